//! SSH in this process (`russh`): no `ssh` process and no master for a host. For runs on hundreds of hosts, where starting
//! them is most of what a connection costs this machine.
//!
//! In: a [`Target`] and what `ssh_config` says of it. Out: a [`Session`], or nothing: then OpenSSH is to connect.
//!
//! **Invariant:** this never lets in what OpenSSH would refuse, and never says why a host cannot be used: whenever a key is
//! not the known one, or nobody is let in, OpenSSH tries as well, and its word counts.

use super::process::Channel;
use super::ssh_config::{Files, Unknown, Way};
use super::{ConnectError, Stage, Target};
use hmac::{KeyInit as _, Mac as _};
use russh::client::{self, AuthResult};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{ChannelMsg, Preferred};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// How many bytes that a host sent may wait for whoever reads them; then the host waits, with all its channels.
const WAITING: usize = 32 << 20;

/// How much of a stream goes from hand to hand at a time.
const PIPE: usize = 256 << 10;

/// How many keys are offered; a host refuses everybody after six.
const OFFERS: usize = 5;

/// What is read once for all hosts.
#[derive(Default)]
pub(super) struct Native {
    files: OnceLock<Files>,
    keys: Mutex<HashMap<PathBuf, Option<Arc<PrivateKey>>>>,
    known: Mutex<HashMap<PathBuf, Arc<Known>>>,
}

/// A connection that lives as long as somebody holds it.
pub(super) struct Session {
    handle: client::Handle<Judge>,
}

impl Native {
    /// Connects, where OpenSSH would do the same; else nothing.
    pub(super) async fn open(&self, target: &Target) -> Result<Option<Session>, ConnectError> {
        let Some(way) = self.files.get_or_init(Files::of_this_machine).way(target) else { return Ok(None) };
        let Some(keys) = self.keys_of(&way) else { return Ok(None) };
        if keys.is_empty() && way.unknown == Unknown::Refuse {
            return Ok(None);
        }
        let mut attempt = 0;
        let stream = loop {
            match dial(&way, target).await {
                Ok(stream) => break stream,
                Err(_) if attempt < target.retries => {
                    attempt += 1;
                    tokio::time::sleep(Duration::from_secs(1 << attempt.min(5))).await;
                }
                Err(error) => return Err(error),
            }
        };
        let limit = target.timeout + Duration::from_secs(20);
        let Ok(done) = tokio::time::timeout(limit, self.greet(stream, &way, keys)).await else {
            return Err(super::ssh::explain(
                &format!(
                    "Connection timed out during banner exchange with {} port {}",
                    way.address, way.port
                ),
                target,
            ));
        };
        // OpenSSH says why, if it fares no better
        Ok(done.ok().flatten())
    }

    async fn greet(
        &self,
        stream: tokio::net::TcpStream,
        way: &Way,
        keys: Vec<PublicKey>,
    ) -> Result<Option<Session>, russh::Error> {
        let mut preferred = Preferred::DEFAULT;
        if !keys.is_empty() {
            // a host has keys of several kinds: it must show the one that is known
            preferred.key = Cow::Owned(keys.iter().flat_map(|key| signed_by(&key.algorithm())).collect());
        }
        let config = client::Config {
            preferred,
            nodelay: true,
            keepalive_interval: Some(Duration::from_secs(15)),
            keepalive_max: 4,
            ..client::Config::default()
        };
        let shown = Arc::new(OnceLock::new());
        let judge = Judge { known: keys, unknown: way.unknown, shown: shown.clone() };
        let mut handle = client::connect_stream(Arc::new(config), stream, judge).await?;
        if let Some(key) = shown.get() {
            self.learn(way, key);
        }
        let user = match &way.user {
            Some(user) => user.clone(),
            None => match quorate_agent::system::users::own() {
                Some(own) => own.name,
                None => return Ok(None),
            },
        };
        let let_in = self.authenticate(&mut handle, way, &user).await?;
        Ok(let_in.then_some(Session { handle }))
    }

    /// Offers keys as `ssh` does: those of the agent that are also in files, the agent's others, the files.
    async fn authenticate(
        &self,
        handle: &mut client::Handle<Judge>,
        way: &Way,
        user: &str,
    ) -> Result<bool, russh::Error> {
        let files: Vec<Arc<PrivateKey>> =
            way.identities.iter().filter_map(|path| self.private_key(path)).collect();
        let mut offers = 0;
        let named = |key: &PublicKey| files.iter().any(|file| file.public_key().key_data() == key.key_data());
        if let Ok(mut agent) = russh::keys::agent::client::AgentClient::connect_env().await
            && let Ok(held) = agent.request_identities().await
        {
            let held: Vec<PublicKey> =
                held.iter().map(|identity| identity.public_key().into_owned()).collect();
            let others = held.iter().filter(|key| !named(key) && !way.identities_only);
            for key in others.take(OFFERS) {
                let hash = hash_for(handle, &key.algorithm()).await?;
                offers += 1;
                match handle.authenticate_publickey_with(user, key.clone(), hash, &mut agent).await {
                    Ok(AuthResult::Success) => return Ok(true),
                    Ok(AuthResult::Failure { .. }) => {}
                    Err(_) => return Ok(false),
                }
            }
        }
        for key in files.into_iter().take(OFFERS - offers) {
            let hash = hash_for(handle, &key.algorithm()).await?;
            let offer = PrivateKeyWithHashAlg::new(key, hash);
            if handle.authenticate_publickey(user, offer).await?.success() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A key file, read once; nothing where it is not there or wants a passphrase.
    fn private_key(&self, path: &Path) -> Option<Arc<PrivateKey>> {
        let mut keys = self.keys.lock().expect("no panic while reading keys");
        if let Some(key) = keys.get(path) {
            return key.clone();
        }
        // like ssh: what others can read is no secret
        let open = std::fs::metadata(path)
            .is_ok_and(|meta| std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0);
        let key = if open { None } else { russh::keys::load_secret_key(path, None).ok().map(Arc::new) };
        keys.insert(path.to_owned(), key.clone());
        key
    }

    /// Keys that are known for a host; nothing where a line about it is more than a key.
    fn keys_of(&self, way: &Way) -> Option<Vec<PublicKey>> {
        let name = known_name(way);
        let mut keys = Vec::new();
        for path in &way.known {
            let known = self.known.lock().expect("no panic while reading keys").get(path).cloned();
            let known = match known {
                Some(known) => known,
                None => {
                    let known = Arc::new(Known::read(path));
                    self.known
                        .lock()
                        .expect("no panic while reading keys")
                        .insert(path.clone(), known.clone());
                    known
                }
            };
            keys.extend(known.keys(&name)?);
            // noted under the bare name: ssh looks there, too
            if keys.is_empty() && way.port != 22 && !known.keys(&way.address.to_ascii_lowercase())?.is_empty()
            {
                return None;
            }
        }
        Some(keys)
    }

    /// Notes a new key, as OpenSSH does; where that cannot be done, it is new again next time.
    fn learn(&self, way: &Way, key: &PublicKey) {
        let Some(path) = way.known.first() else { return };
        let Some(line) = known_line(&known_name(way), key, way.hash) else { return };
        // one write of one line: runs beside this one do the same
        let _one_at_a_time = self.keys.lock().expect("no panic while reading keys");
        let dir = path.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).ok();
        let torn = std::fs::read(path).is_ok_and(|text| text.last().is_some_and(|last| *last != b'\n'));
        let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        if let Ok(mut file) = file {
            file.write_all(format!("{}{line}\n", if torn { "\n" } else { "" }).as_bytes()).ok();
        }
    }
}

/// A file of known keys.
#[derive(Default)]
struct Known {
    /// Names as they stand there, and their keys; nothing in place of a key that cannot be read.
    named: HashMap<String, Vec<Option<PublicKey>>>,
    /// Salt and digest of a name.
    hashed: Vec<(Vec<u8>, Vec<u8>, Option<PublicKey>)>,
    /// Lines that need more than to be found: patterns, authorities, keys that were withdrawn.
    others: Vec<Vec<String>>,
}

impl Known {
    fn read(path: &Path) -> Self {
        let mut known = Known::default();
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            let Some(first) = words.next().filter(|word| !word.starts_with('#')) else { continue };
            let marked = first.starts_with('@');
            let Some(names) = (if marked { words.next() } else { Some(first) }) else { continue };
            let names: Vec<&str> = names.split(',').collect();
            if marked || names.iter().any(|name| name.contains(['*', '?', '!'])) {
                known.others.push(names.iter().map(|name| name.to_ascii_lowercase()).collect());
                continue;
            }
            let key = words.nth(1).and_then(|key| russh::keys::parse_public_key_base64(key).ok());
            for name in names {
                match name.strip_prefix("|1|").and_then(|rest| rest.split_once('|')) {
                    Some((salt, digest)) => {
                        if let (Some(salt), Some(digest)) = (unbase(salt), unbase(digest)) {
                            known.hashed.push((salt, digest, key.clone()));
                        }
                    }
                    None => known.named.entry(name.to_ascii_lowercase()).or_default().push(key.clone()),
                }
            }
        }
        known
    }

    fn keys(&self, name: &str) -> Option<Vec<PublicKey>> {
        let about = |pattern: &String| {
            pattern.contains('|') || {
                let pattern = pattern.strip_prefix('!').unwrap_or(pattern);
                quorate_agent::system::glob::fnmatch(name, &pattern.replace('[', "[[]"))
            }
        };
        if self.others.iter().flatten().any(about) {
            return None;
        }
        let hashed = self.hashed.iter().filter(|(salt, digest, _)| {
            hmac::Hmac::<sha1::Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name).verify_slice(digest).is_ok())
        });
        let named = self.named.get(name).into_iter().flatten();
        named.chain(hashed.map(|(_, _, key)| key)).cloned().collect()
    }
}

/// `host`, or `[host]:port` where the port is another one.
fn known_name(way: &Way) -> String {
    let name = way.address.to_ascii_lowercase();
    if way.port == 22 { name } else { format!("[{name}]:{}", way.port) }
}

fn known_line(name: &str, key: &PublicKey, hash: bool) -> Option<String> {
    let name = if hash {
        let salt: [u8; 20] = crate::journal::random().ok()?;
        let mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(&salt).ok()?.chain_update(name);
        format!("|1|{}|{}", base(&salt), base(&mac.finalize().into_bytes()))
    } else {
        name.to_owned()
    };
    let mut key = key.clone();
    key.set_comment("");
    Some(format!("{name} {}", key.to_openssh().ok()?.trim_end()))
}

fn base(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn unbase(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// The signatures by which a host shows that it has a key of this kind.
fn signed_by(kind: &Algorithm) -> Vec<Algorithm> {
    match kind {
        Algorithm::Rsa { .. } => {
            [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) }).to_vec()
        }
        other => vec![other.clone()],
    }
}

async fn hash_for(handle: &client::Handle<Judge>, kind: &Algorithm) -> Result<Option<HashAlg>, russh::Error> {
    match kind {
        Algorithm::Rsa { .. } => Ok(handle.best_supported_rsa_hash().await?.flatten()),
        _ => Ok(None),
    }
}

/// Opens a TCP connection; what goes wrong is said in ssh's words.
async fn dial(way: &Way, target: &Target) -> Result<tokio::net::TcpStream, ConnectError> {
    let said = |why: &str| {
        let line = format!("ssh: connect to host {} port {}: {why}", way.address, way.port);
        super::ssh::explain(&line, target)
    };
    let addresses = match tokio::net::lookup_host((way.address.as_str(), way.port)).await {
        Ok(addresses) => addresses,
        Err(_) => {
            let line = format!("ssh: Could not resolve hostname {}: Name or service not known", way.address);
            return Err(super::ssh::explain(&line, target));
        }
    };
    let mut why = "Name or service not known".to_owned();
    for address in addresses {
        let limit = target.timeout.max(Duration::from_secs(1));
        match tokio::time::timeout(limit, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => {
                why = error.raw_os_error().map_or_else(
                    || error.to_string(),
                    |code| match rustix::io::Errno::from_raw_os_error(code) {
                        rustix::io::Errno::CONNREFUSED => "Connection refused".into(),
                        rustix::io::Errno::HOSTUNREACH => "No route to host".into(),
                        rustix::io::Errno::NETUNREACH => "Network is unreachable".into(),
                        rustix::io::Errno::TIMEDOUT => "Connection timed out".into(),
                        _ => crate::playbook::plain_io(&error),
                    },
                );
            }
            Err(_) => why = "Connection timed out".into(),
        }
    }
    Err(said(&why))
}

/// Looks at the key that a host shows.
struct Judge {
    known: Vec<PublicKey>,
    unknown: Unknown,
    /// A key that nobody has seen before, and that is accepted.
    shown: Arc<OnceLock<PublicKey>>,
}

impl client::Handler for Judge {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let russh::keys::PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        if self.known.iter().any(|known| known.key_data() == key.key_data()) {
            return Ok(true);
        }
        let accept = self.known.is_empty() && self.unknown == Unknown::Accept;
        if accept {
            self.shown.set(key.clone()).ok();
        }
        Ok(accept)
    }
}

/// A command over the session, with its streams.
pub(super) async fn channel(session: Arc<Session>, command: &str) -> Result<Channel, ConnectError> {
    let lost = |error: russh::Error| {
        ConnectError::new(Stage::Lost, format!("the connection to the host is dead ({error})")).help(
            "the host does not answer: see whether it is up, then run the same again, which connects anew",
        )
    };
    let channel = session.handle.channel_open_session().await.map_err(lost)?;
    channel.exec(true, command).await.map_err(lost)?;
    let (mut read, write) = channel.split();
    let (stdin, mut typed) = tokio::io::duplex(PIPE);
    let (mut out, stdout) = tokio::io::duplex(PIPE);
    let (mut err, stderr) = tokio::io::duplex(PIPE);
    let (ended, ending) = oneshot::channel();
    tokio::spawn(async move {
        let mut far = write.make_writer();
        tokio::io::copy(&mut typed, &mut far).await.ok();
        write.eof().await.ok();
    });
    let (queue, mut queued) = mpsc::unbounded_channel::<(bool, Vec<u8>, OwnedSemaphorePermit)>();
    tokio::spawn(async move {
        while let Some((to_err, data, room)) = queued.recv().await {
            // whoever has gone does not keep the host from writing
            let stream = if to_err { &mut err } else { &mut out };
            stream.write_all(&data).await.ok();
            drop(room);
        }
    });
    tokio::spawn(async move {
        let room = Arc::new(Semaphore::new(WAITING));
        let mut status = None;
        while let Some(message) = read.wait().await {
            let (to_err, data) = match message {
                ChannelMsg::Data { data } => (false, data),
                ChannelMsg::ExtendedData { data, ext: 1 } => (true, data),
                ChannelMsg::ExitStatus { exit_status } => {
                    status = i32::try_from(exit_status).ok();
                    continue;
                }
                ChannelMsg::Failure | ChannelMsg::Close => break,
                _ => continue,
            };
            let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let Ok(room) = room.clone().acquire_many_owned(bytes).await else { break };
            if queue.send((to_err, data.to_vec(), room)).is_err() {
                break;
            }
        }
        drop(queue);
        ended.send(status).ok();
        // the connection lives as long as its last channel
        drop(session);
    });
    Ok(Channel {
        stdin: Box::pin(stdin),
        stdout: Box::pin(stdout),
        stderr: Box::pin(stderr),
        ending: Box::pin(async move { ending.await.ok().flatten() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn known(text: &str) -> Known {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Known::read(file.path())
    }

    #[test]
    fn keys_are_found_by_name_and_by_hash() {
        let key = russh::keys::parse_public_key_base64(ONE).unwrap();
        let plain = known(&format!(
            "# {ONE}\n\nDB1,10.0.0.1 ssh-ed25519 {ONE} a comment\n[db2]:2222 ssh-ed25519 {ONE}\n"
        ));
        for name in ["db1", "10.0.0.1", "[db2]:2222"] {
            assert_eq!(plain.keys(name).as_deref(), Some(std::slice::from_ref(&key)), "{name}");
        }
        assert!(plain.keys("db2").unwrap().is_empty());
        for hash in [false, true] {
            let line = known_line("[db2]:2222", &key, hash).unwrap();
            assert_eq!(line.starts_with("|1|"), hash);
            let written = known(&line);
            assert_eq!(written.keys("[db2]:2222").unwrap().len(), 1, "{line}");
            assert!(written.keys("db2").unwrap().is_empty());
        }
    }

    #[test]
    fn what_is_more_than_a_key_is_left_to_openssh() {
        let text = format!(
            "*.example.org ssh-ed25519 {ONE}\n@revoked db1 ssh-ed25519 {ONE}\n@cert-authority !db3,[db*]:22 ssh-ed25519 {ONE}\n\
             db4 ssh-ed25519 not-a-key\n"
        );
        let known = known(&text);
        for name in ["a.example.org", "db1", "db3", "[db7]:22", "db4"] {
            assert_eq!(known.keys(name), None, "{name}");
        }
        assert_eq!(known.keys("db5"), Some(Vec::new()));
    }
}
