//! `wait_for`: until a port, a file or a line in either is as asked.
//!
//! **Invariant:** ends at `timeout`, and at once when the job is cancelled.
//!
//! Not here: waiting for the host itself (`wait_for_connection`, in the controller).

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Check, Kind, Lit, Param, Spec};
use crate::system::regex::{Flags, Match, Regex};
use crate::system::resolve;
use quorate_value::{Dict, Value, dict};
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

/// The `wait_for` module.
pub struct WaitFor;

static SPEC: Spec = Spec::new("wait_for", "Waits until a port or a file is as asked.")
    .check(Check::None)
    .world()
    .params(&[
        Param::str("host").default_str("127.0.0.1").doc("Name or address to connect to."),
        Param::int("timeout").default_int(300).doc("Seconds to wait; without a condition simply sleeps."),
        Param::int("connect_timeout").default_int(5).doc("Seconds one connection may take."),
        Param::int("delay").default_int(0).doc("Seconds to sleep first."),
        Param::int("port").doc("Port to look at."),
        Param::list("active_connection_states", Kind::Str)
            .default(Lit::List(&["ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "SYN_RECV", "SYN_SENT", "TIME_WAIT"]))
            .doc("TCP states that count as a connection for `drained`."),
        Param::path("path").doc("File to look at."),
        Param::str("search_regex").doc("Pattern that must appear in the file, or in what the port sends."),
        Param::str("state")
            .choices(&["absent", "drained", "present", "started", "stopped"])
            .default_str("started")
            .doc("`started`/`present`: open or there; `stopped`/`absent`: closed or gone; `drained`: no connections."),
        Param::list("exclude_hosts", Kind::Str).doc("Peers that do not count for `drained`."),
        Param::int("sleep").default_int(1).doc("Seconds between looks."),
        Param::str("msg").doc("Failure's message in place of the usual one."),
    ]);

impl Module for WaitFor {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        Wait::new(args, ctx)?.run()
    }
}

struct Wait<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    pattern: Option<Regex>,
    start: Instant,
    end: Instant,
}

impl<'a> Wait<'a> {
    fn new(args: &'a Args, ctx: &'a Ctx) -> Result<Self, Failure> {
        let refuse = |msg: &str| Err(Failure::new(msg).with("elapsed", 0i64));
        let state = args.text("state");
        if args.has("port") && args.has("path") {
            return refuse("port and path parameter can not both be passed to wait_for");
        }
        if args.has("path") && matches!(state, "stopped" | "drained") {
            return refuse(&format!(
                "state={state} should only be used for checking a port in the wait_for module"
            ));
        }
        if args.has("exclude_hosts") && state != "drained" {
            return refuse("exclude_hosts should only be with state=drained");
        }
        for name in args.strings("active_connection_states") {
            if state_number(&name).is_none() {
                return refuse(&format!("unknown active_connection_state ({name}) defined"));
            }
        }
        let flags = Flags { multiline: true, dotall: false };
        let pattern = args.str("search_regex").map(|pattern| Regex::new(pattern, flags)).transpose();
        let pattern = pattern.map_err(|why| Failure::new(format!("Invalid regular expression: {why}")))?;
        let start = Instant::now();
        Ok(Wait { args, ctx, pattern, start, end: start + seconds(args, "timeout") })
    }

    fn run(&self) -> Result<Outcome, Failure> {
        let args = self.args;
        let delay = seconds(args, "delay");
        if !delay.is_zero() {
            self.ctx.sleep(delay)?;
        }
        let found = match (args.text("state"), args.int("port"), args.str("path")) {
            (_, None, None) => {
                self.ctx.sleep(seconds(args, "timeout"))?;
                None
            }
            ("absent" | "stopped", port, path) => self.until(|| Ok(self.is_gone(port, path).into()))?,
            ("drained", Some(port), _) => self.until(|| Ok((self.connections(port) == 0).into()))?,
            (_, Some(port), _) => self.until(|| self.is_open(port))?,
            (_, None, Some(path)) => self.until(|| Ok(self.is_there(path)))?,
        };
        let (groups, named) = found.as_ref().map_or((vec![], Dict::new()), captured);
        Ok(Outcome::ok().with_all(dict! {
            "state" => args.text("state"),
            "port" => args.int("port"),
            "search_regex" => args.str("search_regex"),
            "match_groups" => groups,
            "match_groupdict" => named,
            "path" => args.str("path"),
            "elapsed" => self.elapsed(),
        }))
    }

    fn elapsed(&self) -> i64 {
        self.start.elapsed().as_secs() as i64
    }

    /// Looks again and again until all is well; gives the match if there was something to search.
    fn until(&self, look: impl Fn() -> Result<Look, Failure>) -> Result<Option<Match>, Failure> {
        // The first looks come quickly, so that a service that starts in a moment holds nobody up for a second.
        let longest = seconds(self.args, "sleep");
        let mut pause = Duration::from_millis(50);
        loop {
            self.ctx.alive()?;
            match look()? {
                Look::AsAsked => return Ok(None),
                Look::Found(found) => return Ok(Some(found)),
                Look::NotYet => {}
            }
            let left = self.end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let msg = self.args.str("msg").map_or_else(|| self.complaint(), str::to_owned);
                return Err(Failure::new(msg).with("elapsed", self.elapsed()));
            }
            self.ctx.sleep(pause.min(left))?;
            pause = (pause * 2).min(longest.max(Duration::from_millis(50)));
        }
    }

    fn complaint(&self) -> String {
        let args = self.args;
        let (host, path) = (args.text("host"), args.text("path"));
        let place = args.int("port").map(|port| format!("{host}:{port}"));
        let pattern = args.str("search_regex");
        match (args.text("state"), place, pattern) {
            ("absent" | "stopped", Some(place), _) => format!("Timeout when waiting for {place} to stop."),
            ("absent" | "stopped", None, _) => format!("Timeout when waiting for {path} to be absent."),
            ("drained", place, _) => {
                format!("Timeout when waiting for {} to drain", place.unwrap_or_default())
            }
            (_, Some(place), Some(pattern)) => {
                format!("Timeout when waiting for search string {pattern} in {place}")
            }
            (_, Some(place), None) => format!("Timeout when waiting for {place}"),
            (_, None, Some(pattern)) => format!("Timeout when waiting for search string {pattern} in {path}"),
            (_, None, None) => format!("Timeout when waiting for file {path}"),
        }
    }

    fn connect(&self, port: i64) -> io::Result<std::net::TcpStream> {
        let port = u16::try_from(port).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let left = self.end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        resolve::connect(self.args.text("host"), port, seconds(self.args, "connect_timeout").min(left))
    }

    fn is_gone(&self, port: Option<i64>, path: Option<&str>) -> bool {
        match (port, path) {
            (Some(port), _) => self.connect(port).is_err(),
            (None, Some(path)) => std::fs::symlink_metadata(path).is_err(),
            (None, None) => true,
        }
    }

    fn is_there(&self, path: &str) -> Look {
        let Some(pattern) = &self.pattern else { return Path::new(path).exists().into() };
        let Ok(text) = std::fs::read(path) else { return Look::NotYet };
        search(pattern, &text)
    }

    fn is_open(&self, port: i64) -> Result<Look, Failure> {
        let Ok(mut stream) = self.connect(port) else { return Ok(Look::NotYet) };
        let Some(pattern) = &self.pattern else { return Ok(Look::AsAsked) };
        let mut received = Vec::new();
        let mut chunk = [0; 1024];
        while Instant::now() < self.end {
            self.ctx.alive()?;
            let left = self.end.saturating_duration_since(Instant::now());
            let wait = left.clamp(Duration::from_millis(1), Duration::from_millis(100));
            if stream.set_read_timeout(Some(wait)).is_err() {
                return Ok(Look::NotYet);
            }
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(Look::NotYet),
                Ok(count) => received.extend_from_slice(&chunk[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    continue;
                }
                Err(_) => return Ok(Look::NotYet),
            }
            if let Look::Found(found) = search(pattern, &received) {
                return Ok(Look::Found(found));
            }
        }
        Ok(Look::NotYet)
    }

    /// How many connections of the port count.
    fn connections(&self, port: i64) -> usize {
        let states: Vec<u8> = self
            .args
            .strings("active_connection_states")
            .iter()
            .filter_map(|name| state_number(name))
            .collect();
        let own = resolve::resolve(self.args.text("host")).unwrap_or_default();
        let excluded: Vec<IpAddr> = self
            .args
            .strings("exclude_hosts")
            .iter()
            .flat_map(|host| resolve::resolve(host).unwrap_or_default())
            .collect();
        ["/proc/net/tcp", "/proc/net/tcp6"]
            .iter()
            .filter_map(|table| std::fs::read_to_string(table).ok())
            .map(|table| count(&table, port, &states, &own, &excluded))
            .sum()
    }
}

/// What one look found.
enum Look {
    NotYet,
    AsAsked,
    Found(Match),
}

impl From<bool> for Look {
    fn from(is_so: bool) -> Self {
        if is_so { Look::AsAsked } else { Look::NotYet }
    }
}

fn search(pattern: &Regex, text: &[u8]) -> Look {
    // A pattern that gives up on this text has not found anything.
    match pattern.search(&String::from_utf8_lossy(text)) {
        Ok(Some(found)) => Look::Found(found),
        Ok(None) | Err(_) => Look::NotYet,
    }
}

fn seconds(args: &Args, name: &str) -> Duration {
    Duration::from_secs(args.int(name).unwrap_or(0).try_into().unwrap_or(0))
}

/// Groups of a match as Ansible returns them.
fn captured(found: &Match) -> (Vec<Value>, Dict) {
    (found.groups().map(Value::from).collect(), found.named_groups().collect())
}

/// The kernel's number of a TCP state.
fn state_number(name: &str) -> Option<u8> {
    Some(match name {
        "ESTABLISHED" => 1,
        "SYN_SENT" => 2,
        "SYN_RECV" => 3,
        "FIN_WAIT1" => 4,
        "FIN_WAIT2" => 5,
        "TIME_WAIT" => 6,
        _ => return None,
    })
}

/// `0100007F:094B`, as the kernel's tables write ends of connections.
fn end_point(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let words: Vec<u32> = (0..address.len() / 8)
        .map(|nth| u32::from_str_radix(&address[nth * 8..nth * 8 + 8], 16).map(u32::swap_bytes))
        .collect::<Result<_, _>>()
        .ok()?;
    let address = match words.as_slice() {
        [v4] => IpAddr::V4(Ipv4Addr::from(*v4)),
        [a, b, c, d] => {
            let joined = [a, b, c, d].iter().fold(0u128, |sum, word| sum << 32 | u128::from(**word));
            let v6 = Ipv6Addr::from(joined);
            v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

fn count(table: &str, port: i64, states: &[u8], own: &[IpAddr], excluded: &[IpAddr]) -> usize {
    let any =
        |address: &IpAddr| own.iter().any(|own| own.is_unspecified() && own.is_ipv4() == address.is_ipv4());
    table
        .lines()
        .skip(1)
        .filter(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, ..] = words.as_slice() else { return false };
            let (Some((local, local_port)), Some((remote, _))) = (end_point(local), end_point(remote)) else {
                return false;
            };
            i64::from(local_port) == port
                && u8::from_str_radix(state, 16).is_ok_and(|state| states.contains(&state))
                && (own.contains(&local) || any(&local))
                && !excluded.contains(&remote)
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_count() {
        let table = "  sl  local_address rem_address   st\n   0: 0100007F:094B 00000000:0000 0A 0\n   \
                     1: 0100007F:094B 0100007F:9C40 01 0\n   2: 0100007F:094B 0200000A:9C41 06 0\n   \
                     3: 0100007F:0016 0100007F:9C42 01 0\n";
        let ip = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
        for (own, excluded, expected) in [
            ("127.0.0.1", vec![], 2),
            ("10.9.9.9", vec![], 0),
            ("0.0.0.0", ip("10.0.0.2"), 1),
            ("::", vec![], 0),
        ] {
            assert_eq!(count(table, 2379, &[1, 6], &ip(own), &excluded), expected, "{own}");
        }
    }

    #[test]
    fn ends_of_connections() {
        for (text, expected) in [
            ("0100007F:094B", "127.0.0.1 2379"),
            ("00000000000000000000000001000000:0016", "::1 22"),
            ("0000000000000000FFFF00000100007F:0016", "127.0.0.1 22"),
        ] {
            let (address, port) = end_point(text).unwrap();
            assert_eq!(format!("{address} {port}"), expected);
        }
        assert!(end_point("nonsense").is_none());
    }
}
