//! What the caller asks for: hosts by name and address, checked before anything is made.

use crate::{LabError, Result};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A host to boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its name in the inventory; may itself be an address.
    pub name: String,
    /// Its address; without one the lab makes one up in `10.255.0.0/24`.
    pub address: Option<IpAddr>,
    /// Length of the subnet's prefix; 24 and 64 when not given.
    pub prefix: Option<u8>,
    /// More names that should lead to it, for example the DNS name that `ansible_host` holds.
    pub aliases: Vec<String>,
    /// More addresses on the same interface: a second network, or IPv6 beside IPv4.
    pub extra: Vec<IpAddr>,
    /// One more login with sudo without a password (the inventory's `ansible_user`).
    pub user: Option<String>,
    /// One more port for sshd besides 22 (the inventory's `ansible_port`).
    pub ssh_port: Option<u16>,
}

impl HostSpec {
    /// A host with a name and perhaps an address. A name that is an address is its own address.
    pub fn new(name: impl Into<String>, address: Option<IpAddr>) -> Self {
        let name = name.into();
        let address = address.or_else(|| name.parse().ok());
        Self {
            name,
            address,
            prefix: None,
            aliases: Vec::new(),
            extra: Vec::new(),
            user: None,
            ssh_port: None,
        }
    }

    /// What the machine calls itself: the name, or one made from the address for hosts named by address.
    pub fn hostname(&self) -> String {
        if self.name.parse::<IpAddr>().is_ok() {
            let dashed: String =
                self.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
            return format!("node-{}", dashed.trim_matches('-'));
        }
        self.name.replace('_', "-")
    }

    /// A name for files, cgroups and namespaces.
    pub(crate) fn id(&self, index: usize) -> String {
        let safe: String = self
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' })
            .take(60)
            .collect();
        format!("{index}-{safe}")
    }

    pub(crate) fn check(&self) -> Result<()> {
        let bad = |why| Err(LabError::BadHostName { name: self.name.clone(), why });
        if self.name.is_empty() {
            return bad("it is empty");
        }
        if self.name.parse::<IpAddr>().is_err() {
            check_name(&self.name).or_else(bad)?;
        }
        for alias in &self.aliases {
            if let Err(why) = check_name(alias) {
                return Err(LabError::BadHostName { name: alias.clone(), why });
            }
        }
        if let Some(user) = &self.user {
            let fine = user.len() <= 32
                && user.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
                && user.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
            if !fine {
                return Err(LabError::BadHostName { name: user.clone(), why: "it is not a login name" });
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> std::result::Result<(), &'static str> {
    if name.len() > 64 {
        return Err("it is longer than 64 characters");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_') {
        return Err("only letters, digits, dots, dashes and underscores can be a host's name");
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("it has to begin with a letter or a digit");
    }
    if name == "localhost" || name == "controller" {
        return Err("that name is taken by the machine itself");
    }
    Ok(())
}

/// The disk of every host: a sparse image, so only what is written takes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its size in MiB.
    pub mebibytes: u32,
}

impl Default for Disk {
    fn default() -> Self {
        Self { mebibytes: 8192 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames_are_made_from_inventory_names() {
        for (name, hostname) in [
            ("etcd-1", "etcd-1"),
            ("pg_test_1", "pg-test-1"),
            ("10.10.10.10", "node-10-10-10-10"),
            ("fd00::1", "node-fd00--1"),
            ("etcd1.example.com", "etcd1.example.com"),
        ] {
            assert_eq!(HostSpec::new(name, None).hostname(), hostname);
        }
    }

    #[test]
    fn a_name_that_is_an_address_is_its_own_address() {
        assert_eq!(HostSpec::new("10.10.10.11", None).address, "10.10.10.11".parse().ok());
        assert_eq!(HostSpec::new("n1", None).address, None);
    }

    #[test]
    fn bad_names_are_refused() {
        for name in ["", "a b", "-a", "localhost", "controller", "a/../b", "ü"] {
            assert!(HostSpec::new(name, None).check().is_err(), "{name}");
        }
        for name in ["a", "etcd_1", "10.10.10.10", "fd00::1"] {
            assert!(HostSpec::new(name, None).check().is_ok(), "{name}");
        }
        let mut spec = HostSpec::new("a", None);
        spec.user = Some("root; rm".into());
        assert!(spec.check().is_err());
    }

    #[test]
    fn ids_are_safe_as_file_names() {
        assert_eq!(HostSpec::new("fd00::1", None).id(2), "2-fd00__1");
    }
}
