//! OpenSSH: a master connection a host, channels over it without a process each.
//!
//! The master is the system's own `ssh`, so `~/.ssh/config`, agents, jump hosts, certificates and `known_hosts` mean what
//! they mean elsewhere; the `openssh` crate speaks its multiplexing protocol. Masters outlive the run by `ControlPersist`.

use super::process::Channel;
use super::{ConnectError, Stage, Target};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn socket_of(target: &Target, dir: &Path) -> PathBuf {
    use sha2::Digest as _;
    // the same address in another network namespace (a lab) is another host
    let network = std::fs::read_link("/proc/self/ns/net").unwrap_or_default().display().to_string();
    let key = format!(
        "{network}|{:?}|{:?}|{:?}|{:?}|{:?}|{:?}",
        target.address,
        target.port,
        target.user,
        target.private_key,
        target.ssh_args,
        target.host_key_checking
    );
    let hash: String =
        sha2::Sha256::digest(key.as_bytes()).iter().take(8).map(|b| format!("{b:02x}")).collect();
    dir.join(hash)
}

/// A connected session; an existing master is used again.
pub(super) async fn open(
    target: &Target,
    dir: &Path,
    persist: u64,
) -> Result<openssh::Session, ConnectError> {
    make_private(dir)?;
    let socket = socket_of(target, dir);
    if socket.exists() {
        let session = openssh::Session::resume_mux(socket.clone().into_boxed_path(), None);
        if tokio::time::timeout(Duration::from_secs(3), session.check()).await.is_ok_and(|r| r.is_ok()) {
            // dropping a resumed session does not close the master
            return Ok(session);
        }
        session.detach_quietly();
        std::fs::remove_file(&socket).ok();
    }
    let mut attempt = 0;
    loop {
        match master(target, &socket, persist).await {
            Ok(()) => break,
            Err(error) if attempt < target.retries && matches!(error.stage, Stage::Tcp | Stage::Lost) => {
                attempt += 1;
                tokio::time::sleep(Duration::from_secs(1 << attempt.min(5))).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(openssh::Session::resume_mux(socket.into_boxed_path(), None))
}

trait DetachQuietly {
    fn detach_quietly(self);
}

impl DetachQuietly for openssh::Session {
    fn detach_quietly(self) {
        drop(self.detach());
    }
}

/// A directory that is ours alone.
fn make_private(dir: &Path) -> Result<(), ConnectError> {
    let refuse = |why: String| {
        ConnectError::new(Stage::Helper, format!("cannot keep control sockets in {}: {why}", dir.display()))
            .help("set `control_path_dir` in the [ssh_connection] section of ansible.cfg")
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| refuse(crate::playbook::plain_io(&e)))?;
    let meta = std::fs::symlink_metadata(dir).map_err(|e| refuse(crate::playbook::plain_io(&e)))?;
    if meta.is_dir() && meta.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
        .map_err(|e| refuse(crate::playbook::plain_io(&e)))
}

/// Starts a master that goes to the background once it is authenticated.
async fn master(target: &Target, socket: &Path, persist: u64) -> Result<(), ConnectError> {
    let log = socket.with_extension("log");
    std::fs::remove_file(&log).ok();
    let mut command = tokio::process::Command::new(target.ssh_executable.as_deref().unwrap_or("ssh"));
    let seconds = target.timeout.as_secs().max(1);
    command
        .arg("-E")
        .arg(&log)
        .args(["-M", "-N", "-f", "-S"])
        .arg(socket)
        .args(["-o", &format!("ControlPersist={}", if persist == 0 { 30 } else { persist })]);
    command.args(&target.ssh_args);
    command.args([
        "-o",
        &format!("ConnectTimeout={seconds}"),
        "-o",
        "ServerAliveInterval=15",
        "-o",
        "ServerAliveCountMax=4",
    ]);
    match target.host_key_checking {
        Some(false) => {
            command.args(["-o", "StrictHostKeyChecking=no"]);
        }
        Some(true) => {}
        None => {
            command.args(["-o", "StrictHostKeyChecking=accept-new"]);
        }
    }
    if let Some(port) = target.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = &target.user {
        command.args(["-l", user]);
    }
    if let Some(key) = &target.private_key {
        command.arg("-i").arg(key);
    }
    let _askpass = match &target.password {
        None => {
            command.args(["-o", "BatchMode=yes"]);
            None
        }
        Some(password) => {
            command.args([
                "-o",
                "NumberOfPasswordPrompts=1",
                "-o",
                "PreferredAuthentications=keyboard-interactive,password,publickey",
            ]);
            Some(askpass(&mut command, password)?)
        }
    };
    command.arg("--").arg(&target.address);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // a Ctrl-C at the terminal is ours to handle; the master must survive it
    command.process_group(0);
    let mut child = command.spawn().map_err(|e| {
        ConnectError::new(Stage::Helper, format!("cannot start ssh: {}", crate::playbook::plain_io(&e)))
            .help("install OpenSSH's client (package openssh-client)")
    })?;
    let status = tokio::time::timeout(target.timeout + Duration::from_secs(20), child.wait()).await;
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    std::fs::remove_file(&log).ok();
    match status {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(_) => Err(explain(&said, target)),
        Err(_) => {
            child.start_kill().ok();
            Err(ConnectError::new(
                Stage::Tcp,
                format!(
                    "Failed to connect to the host via ssh: {} did not answer within {seconds} s",
                    target.address
                ),
            ))
        }
    }
}

/// The password waits in a pipe-like file that only our askpass helper (this same program) reads once.
fn askpass(
    command: &mut tokio::process::Command,
    password: &quorate_value::Str,
) -> Result<PasswordPipe, ConnectError> {
    let pipe = PasswordPipe::new(password).map_err(|e| {
        ConnectError::new(
            Stage::Auth,
            format!("cannot hand the password to ssh: {}", crate::playbook::plain_io(&e)),
        )
    })?;
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    command
        .env("SSH_ASKPASS", own)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("DISPLAY", ":0")
        .env("QUORATE_ASKPASS", &pipe.path);
    Ok(pipe)
}

/// A unix socket in a private directory that gives the password to whoever of this user connects, while it lives.
struct PasswordPipe {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl PasswordPipe {
    fn new(password: &quorate_value::Str) -> std::io::Result<Self> {
        // tempfile makes the directory 0700
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("ask");
        let listener = tokio::net::UnixListener::bind(&path)?;
        let password = password.clone();
        let task = tokio::spawn(async move {
            use tokio::io::AsyncWriteExt as _;
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(password.as_str().as_bytes()).await.ok();
                stream.shutdown().await.ok();
            }
        });
        Ok(PasswordPipe { path, task, _dir: dir })
    }
}

impl Drop for PasswordPipe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What ssh said, as a stage and a next step.
pub(super) fn explain(said: &str, target: &Target) -> ConnectError {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let lower = said.to_lowercase();
    let important = lines
        .iter()
        .rev()
        .find(|line| !line.starts_with('@') && !line.to_lowercase().starts_with("warning: permanently added"))
        .copied()
        .unwrap_or("ssh ended without a word");
    let show = {
        let user = target.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let port = target.port.map(|port| format!(" -p {port}")).unwrap_or_default();
        let key = target.private_key.as_ref().map(|key| format!(" -i {}", key.display())).unwrap_or_default();
        format!("ssh -v{port}{key} {user}{}", target.address)
    };
    let stage = if lower.contains("could not resolve") || lower.contains("name or service not known") {
        Stage::Name
    } else if lower.contains("host key verification failed")
        || lower.contains("remote host identification has changed")
    {
        Stage::HostKey
    } else if lower.contains("permission denied") || lower.contains("too many authentication failures") {
        Stage::Auth
    } else {
        Stage::Tcp
    };
    let message = format!("Failed to connect to the host via ssh: {important}");
    let error = ConnectError::new(stage, message);
    match stage {
        Stage::Name => error.help(format!("check the name, or set `ansible_host` for {}", target.host)),
        Stage::HostKey => error.help(format!(
            "if the host was rebuilt on purpose: ssh-keygen -R {}",
            target.port.map_or(target.address.clone(), |port| format!("'[{}]:{port}'", target.address))
        )),
        Stage::Auth => error.help(format!("see which keys are tried: {show}")),
        _ => match labs_of(&target.address).as_slice() {
            // who forgets `lab exec` is told so
            [lab, others @ ..] => {
                let others = others.iter().map(|other| format!(" (or {other})")).collect::<String>();
                error.help(format!(
                    "the lab `{lab}`{others} has a host with this address, in a network of its own: quorate lab exec -n {lab} -- quorate …"
                ))
            }
            [] => error.help(format!("see it by hand: {show}")),
        },
    }
}

/// Labs of this machine that have the address, and that we are not in; the one that was made last in front.
fn labs_of(address: &str) -> Vec<String> {
    use std::os::unix::fs::MetadataExt as _;
    // every lab has these, as every machine
    if address == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        return Vec::new();
    }
    let Ok(here) = std::fs::metadata("/proc/self/ns/net").map(|meta| meta.ino()) else { return Vec::new() };
    let mut found: Vec<(std::time::SystemTime, String)> = Vec::new();
    for entry in std::fs::read_dir("/run/quorate-lab").into_iter().flatten().flatten() {
        let Ok(lab) = entry.file_name().into_string() else { continue };
        let Ok(there) = std::fs::metadata(format!("/run/netns/quorate-{lab}")) else { continue };
        let hosts = std::fs::read_to_string(entry.path().join("hosts")).unwrap_or_default();
        let has = hosts.lines().any(|line| line.split_whitespace().any(|word| word == address));
        if has && here != there.ino() {
            found.push((there.modified().unwrap_or(std::time::UNIX_EPOCH), lab));
        }
    }
    found.sort();
    found.into_iter().rev().map(|(_, lab)| lab).collect()
}

/// A command over the session, with its streams.
pub(super) async fn channel(session: Arc<openssh::Session>, command: &str) -> Result<Channel, ConnectError> {
    let mut remote = session.arc_raw_command(command);
    remote.stdin(openssh::Stdio::piped()).stdout(openssh::Stdio::piped()).stderr(openssh::Stdio::piped());
    let mut child = remote.spawn().await.map_err(|e| {
        ConnectError::new(Stage::Lost, format!("the connection that was kept from before is dead ({e})"))
            .help("the host does not answer: see whether it is up, then run the same again, which connects anew")
    })?;
    Ok(Channel {
        stdin: Box::pin(child.stdin().take().expect("piped")),
        stdout: Box::pin(child.stdout().take().expect("piped")),
        stderr: Box::pin(child.stderr().take().expect("piped")),
        ending: Box::pin(async move { child.wait().await.ok().and_then(|status| status.code()) }),
    })
}

/// Ends the master of a target.
pub(super) async fn exit_master(target: &Target, dir: &Path) {
    let socket = socket_of(target, dir);
    if !socket.exists() {
        return;
    }
    let session = openssh::Session::resume_mux(socket.into_boxed_path(), None);
    session.close().await.ok();
}
