//! What a fresh host differs in from the base image: its name, keys, and who may log in.
//!
//! Written once per host into `<disk>/seed` with the owners and modes it should have; the first boot of a
//! fresh disk copies it. Host keys stay over a reset, so `known_hosts` stays true.

use crate::command::{run, run_with_input};
use crate::error::At;
use crate::paths::Paths;
use crate::state::{Host, State, make_private};
use crate::{Result, address};
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Logins of the base image besides root: directory, uid. See `assets/finish-base.sh`.
const LOGINS: &[(&str, u32)] = &[("root", 0), ("home/admin", 1001), ("home/dba", 1002), ("home/plain", 1003)];

/// The lab's own key pair, made once.
pub(crate) fn lab_key(paths: &Paths) -> Result<String> {
    let key = paths.key();
    if !key.exists() {
        let new = paths.run.join("id_ed25519.new");
        make_key(&new, &format!("quorate-lab {}", paths.lab))?;
        fs::rename(new.with_extension("new.pub"), key.with_extension("pub")).at("write", &key)?;
        fs::rename(&new, &key).at("write", &key)?;
    }
    let public = key.with_extension("pub");
    fs::read_to_string(&public).at("read", public)
}

fn make_key(path: &Path, comment: &str) -> Result<()> {
    let public = PathBuf::from(format!("{}.pub", path.display()));
    for old in [path, &public] {
        if old.exists() {
            fs::remove_file(old).at("remove", old)?;
        }
    }
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &path.to_string_lossy()])?;
    Ok(())
}

/// Writes the seed of one host, keeping host keys that are there.
pub(crate) fn write(paths: &Paths, state: &State, host: &Host, lab_key: &str) -> Result<()> {
    let disk = paths.host_disk(&host.id());
    make_private(&disk)?;
    let seed = disk.join("seed");
    for directory in ["", "etc", "etc/ssh", "etc/ssh/sshd_config.d", "home"] {
        make_directory(&seed.join(directory), 0o755, 0)?;
    }
    for (home, uid) in LOGINS {
        // Debian's own modes: these directories replace those of the base image.
        make_directory(&seed.join(home), 0o700, *uid)?;
        make_directory(&seed.join(home).join(".ssh"), 0o700, *uid)?;
        write_file(&seed.join(home).join(".ssh/authorized_keys"), lab_key, 0o600, *uid)?;
    }
    let hostname = host.spec.hostname();
    write_file(&seed.join("etc/hostname"), &format!("{hostname}\n"), 0o644, 0)?;
    write_file(&seed.join("etc/machine-id"), &format!("{}\n", machine_id(paths, host)), 0o444, 0)?;
    write_file(&seed.join("etc/hosts"), &hosts_file(state, STOCK_HOSTS), 0o644, 0)?;
    if let Some(port) = host.spec.ssh_port.filter(|port| *port != 22) {
        let text = format!("Port 22\nPort {port}\n");
        write_file(&seed.join("etc/ssh/sshd_config.d/lab.conf"), &text, 0o644, 0)?;
    }
    let key = seed.join("etc/ssh/ssh_host_ed25519_key");
    if !key.exists() || !seed.join("etc/ssh/ssh_host_ed25519_key.pub").exists() {
        make_key(&key, &format!("root@{hostname}"))?;
    }
    Ok(())
}

const STOCK_HOSTS: &str = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";

/// A hosts file with the lab's block in it.
pub(crate) fn hosts_file(state: &State, old: &str) -> String {
    let hosts: Vec<_> = state.hosts.iter().map(|h| (&h.spec, h.addresses.as_slice())).collect();
    address::with_block(old, &address::hosts_block(&hosts, &state.controller))
}

/// Stable for a host of a lab, so that a reset machine is the same machine with a new disk.
pub(crate) fn machine_id(paths: &Paths, host: &Host) -> String {
    let text = format!("quorate-lab\n{}\n{}\n", paths.lab, host.id());
    // The digest only spreads names over ids; sha256sum is part of every system that boots one.
    let digest = run_with_input("sha256sum", &[] as &[&str], &text).unwrap_or_default();
    let id: String = digest.chars().take(32).collect();
    if id.len() == 32 { id } else { format!("{:032x}", host.index + 1) }
}

/// Writes what the controller's side needs: names, keys it may trust, and an ssh configuration.
pub(crate) fn write_controller(paths: &Paths, state: &State) -> Result<()> {
    let stock = fs::read_to_string("/etc/hosts").unwrap_or_else(|_| STOCK_HOSTS.to_owned());
    write_file(&paths.hosts_file(), &hosts_file(state, &stock), 0o644, 0)?;
    write_file(&paths.run.join("resolv.conf"), "# A lab has no name server.\n", 0o644, 0)?;
    let mut known = String::new();
    let mut blocks = String::new();
    for host in &state.hosts {
        let key = paths.host_disk(&host.id()).join("seed/etc/ssh/ssh_host_ed25519_key.pub");
        let key = fs::read_to_string(&key).at("read", &key)?;
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        let mut names = vec![host.spec.name.clone(), host.spec.hostname()];
        names.extend(host.spec.aliases.iter().cloned());
        names.extend(host.addresses.iter().map(|a| a.ip.to_string()));
        names.sort();
        names.dedup();
        let mut patterns = names.clone();
        if let Some(port) = host.spec.ssh_port.filter(|port| *port != 22) {
            patterns.extend(names.iter().map(|n| format!("[{n}]:{port}")));
        }
        known.push_str(&format!("{} {}\n", patterns.join(","), key.join(" ")));
        let addresses: Vec<String> = host.addresses.iter().map(|a| a.ip.to_string()).collect();
        let by_name: Vec<String> = names.into_iter().filter(|n| !addresses.contains(n)).collect();
        if !by_name.is_empty() {
            blocks.push_str(&format!("Host {}\n    HostName {}\n", by_name.join(" "), host.ip()));
        }
    }
    write_file(&paths.known_hosts(), &known, 0o644, 0)?;
    let config = format!(
        "# Written by the lab `{}`. Works inside its network: quorate lab exec -- ssh -F {} HOST\n\
         {blocks}Host *\n    IdentityFile {}\n    UserKnownHostsFile {}\n    StrictHostKeyChecking yes\n    \
         ConnectTimeout 10\n    LogLevel ERROR\n",
        paths.lab,
        paths.ssh_config().display(),
        paths.key().display(),
        paths.known_hosts().display(),
    );
    write_file(&paths.ssh_config(), &config, 0o644, 0)
}

fn make_directory(path: &Path, mode: u32, owner: u32) -> Result<()> {
    fs::create_dir_all(path).at("create", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("change the mode of", path)?;
    chown(path, Some(owner), Some(owner)).at("change the owner of", path)
}

/// Written under its final name in place: mounts over these files must keep seeing them.
fn write_file(path: &Path, text: &str, mode: u32, owner: u32) -> Result<()> {
    use std::io::Write;
    let open = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).at("write", path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("change the mode of", path)?;
    chown(path, Some(owner), Some(owner)).at("change the owner of", path)
}
