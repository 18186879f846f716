//! Names to addresses without NSS, which a static binary cannot load: literals, `/etc/hosts`, then `getent`.
//!
//! **Invariant:** never calls `getaddrinfo`; whoever connects to a name asks here first.

use super::process::Command;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The addresses of a name, best first.
pub fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    let plain = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = plain.parse() {
        return Ok(vec![address]);
    }
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let local = in_hosts(&hosts, plain);
    if !local.is_empty() {
        return Ok(local);
    }
    let command =
        Command::new(["getent", "ahosts", plain]).env("LC_ALL", "C").timeout(Duration::from_secs(30));
    let output = command.run_quietly().map_err(|error| io::Error::other(error.to_string()))?;
    let mut found: Vec<IpAddr> = Vec::new();
    for line in output.stdout_text().lines() {
        let address = line.split_whitespace().next().and_then(|text| text.split('%').next()?.parse().ok());
        found.extend(address.filter(|address| !found.contains(address)));
    }
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "Name or service not known"));
    }
    Ok(found)
}

/// The addresses that a hosts file gives to a name.
fn in_hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    hosts
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let address = words.next()?.parse().ok()?;
            words.any(|known| known.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect()
}

/// Connects to the first of a name's addresses that answers.
pub fn connect(name: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let end = Instant::now() + timeout;
    let mut trouble = None;
    for address in resolve(name)? {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&SocketAddr::new(address, port), left) {
            Ok(stream) => return Ok(stream),
            Err(error) => trouble = Some(error),
        }
    }
    Err(trouble.unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_files() {
        let hosts =
            "127.0.0.1 localhost loopback\n10.0.0.1 db.lan db # main\n::1 localhost\n# 10.0.0.2 web\n";
        let text =
            |name: &str| in_hosts(hosts, name).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        for (name, expected) in [("localhost", "127.0.0.1 ::1"), ("DB", "10.0.0.1"), ("web", ""), ("lan", "")]
        {
            assert_eq!(text(name), expected, "{name}");
        }
    }

    #[test]
    fn literals_need_nobody() {
        assert_eq!(resolve("192.0.2.7").unwrap(), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(resolve("[::1]").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
    }
}
