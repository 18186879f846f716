//! One schedule after another on a lab that is up, and what must hold at the end of each.
//!
//! **Invariants.** No acknowledged write is lost and no read is stale; nobody waits for long while at most one host is
//! in trouble; once faults are healed, the same command and then `etcd-sync.yml` succeed, the member list is the
//! inventory, and no etcd runs beside it.

use crate::client::{History, now};
use crate::schedule::{Fault, HOSTS, Kind, Operation, Schedule, Shape};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A client waits no longer than this while one host at most is in trouble and nobody else's turn is under way: an
/// election, and its own patience with a mute endpoint, twice.
const LIMIT: u64 = 12_000;
/// A fault that strikes while another member is away for its restart takes the quorum for as long as the fault lasts,
/// whoever is at work; after it, this is what may pass.
const AFTER: u64 = 20_000;
/// After the last fault is healed a run ends within this time.
const HANG: Duration = Duration::from_secs(150);

struct Trial<'a> {
    quorate: &'a Path,
    lab: &'a str,
    dir: PathBuf,
    pki: PathBuf,
    /// What cluster there is.
    shape: Shape,
}

pub(crate) fn run(quorate: &Path, lab: &str, dir: &Path, seeds: &[u64]) -> Result<(), String> {
    let mut schedules: Vec<Schedule> = seeds.iter().copied().map(Schedule::of).collect();
    // those of one shape together: a cluster is made where the one before it is of another
    schedules.sort_by_key(|schedule| schedule.shape);
    let Some(most) = schedules.iter().map(|schedule| schedule.shape).max() else { return Ok(()) };
    let mut trial = Trial { quorate, lab, dir: dir.to_owned(), pki: dir.join("files/pki"), shape: most };
    trial.inventory("all", &most.hosts())?;
    let (mut failed, mut fresh) = (Vec::new(), true);
    let mut worst = (0, 0);
    for schedule in schedules {
        let seed = schedule.seed;
        let began = Instant::now();
        if fresh || trial.shape != schedule.shape {
            trial.shape = schedule.shape;
            trial.create()?;
        }
        match trial.one(&schedule) {
            Ok(history) => {
                fresh = false;
                if history.longest > worst.0 {
                    worst = (history.longest, seed);
                }
                println!(
                    "PASS {seed}: {schedule} ({} s; {} writes, {} reads, longest wait {} ms)",
                    began.elapsed().as_secs(),
                    history.acknowledged.len(),
                    history.reads,
                    history.longest
                );
            }
            Err(why) => {
                fresh = true;
                println!("FAIL {seed}: {schedule} ({} s)", began.elapsed().as_secs());
                for line in why.lines() {
                    println!("     {line}");
                }
                failed.push(seed);
            }
        }
    }
    println!(
        "\n{} schedules, {} failed{}; no wait was longer than {} ms (seed {})",
        seeds.len(),
        failed.len(),
        if failed.is_empty() { String::new() } else { format!(" ({failed:?})") },
        worst.0,
        worst.1
    );
    if failed.is_empty() { Ok(()) } else { Err("each fails again by its seed: tests/chaos/run SEED".into()) }
}

impl Trial<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.quorate);
        command.current_dir(&self.dir).stdin(Stdio::null()).args(words);
        command
    }

    /// `quorate lab WORDS`; what it says where it fails. Faults may be refused: there may be nothing to kill.
    fn lab(&self, words: &[&str]) -> Result<String, String> {
        let (verb, rest) = words.split_first().ok_or("no words")?;
        let output = self.command(&["lab", verb, "-n", self.lab]).args(rest).output();
        let output = output.map_err(|error| error.to_string())?;
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    fn inventory(&self, name: &str, hosts: &[usize]) -> Result<(), String> {
        let mut text = String::from("etcd:\n  hosts:\n");
        for host in hosts {
            let _ = writeln!(text, "    {}: {{ etcd_seq: {} }}", HOSTS[*host], host + 1);
        }
        let _ = writeln!(
            text,
            "  vars: {{ etcd_cluster: etcd, etcd_safeguard: true, etcd_tls: {} }}",
            !self.shape.plain
        );
        fs::write(self.dir.join(name), text).map_err(|error| format!("{name}: {error}"))
    }

    /// Begins a playbook (or a command by hand) in the lab's network.
    fn begin(&self, words: &[&str], log: &str) -> Result<Child, String> {
        let file = |end: &str| fs::File::create(self.dir.join(format!("{log}.{end}")));
        let (out, err) = (file("out").map_err(|e| e.to_string())?, file("err").map_err(|e| e.to_string())?);
        let quorate = self.quorate.to_string_lossy();
        let mut command = self.command(&["lab", "exec", "-n", self.lab, "--", &quorate]);
        command.args(words).stdout(out).stderr(err).spawn().map_err(|error| error.to_string())
    }

    fn said(&self, log: &str) -> String {
        let read = |end: &str| fs::read_to_string(self.dir.join(format!("{log}.{end}"))).unwrap_or_default();
        let text = read("out") + &read("err");
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn play(&self, words: &[&str], log: &str) -> Result<(), String> {
        let began = Instant::now();
        let mut child = self.begin(words, log)?;
        match wait(&mut child, Instant::now() + HANG) {
            Some(true) => Ok(()),
            Some(false) => Err(format!(
                "{} failed after {} s:\n{}",
                words.join(" "),
                began.elapsed().as_secs(),
                self.said(log)
            )),
            None => Err(format!(
                "{} did not end within {} s:\n{}",
                words.join(" "),
                HANG.as_secs(),
                self.said(log)
            )),
        }
    }

    fn urls(&self) -> Vec<String> {
        let scheme = if self.shape.plain { "http" } else { "https" };
        self.shape.hosts().into_iter().map(|host| format!("{scheme}://{}:2379", HOSTS[host])).collect()
    }

    fn create(&self) -> Result<(), String> {
        self.inventory("base", &self.shape.members())?;
        drop(self.lab(&["heal"]));
        self.lab(&["up", "-i", "all"])?;
        self.lab(&["reset"])?;
        drop(fs::remove_dir_all(self.dir.join("files")));
        self.play(&["play", "playbooks/etcd-sync.yml", "-i", "base"], "create")
    }

    fn one(&self, schedule: &Schedule) -> Result<History, String> {
        self.inventory("target", &schedule.target())?;
        // both ends of a migration, and who leaves or comes, have their lines
        let mut named = schedule.target();
        named.extend(self.shape.members());
        named.sort_unstable();
        named.dedup();
        self.inventory("both", &named)?;
        let prefix = format!("chaos-{}", schedule.seed);
        let log = self.dir.join(format!("{prefix}.log"));
        let mut client = self.client(&prefix, &log)?;
        let result = self.story(schedule);
        // what it does when all is over is no part of it
        drop(client.stdin.take());
        drop(client.wait());
        drop(self.lab(&["heal"]));
        let text = fs::read_to_string(&log).unwrap_or_default();
        let history = History::of(&text);
        let (began, ended) = match result {
            Ok(times) => times,
            Err(why) => return Err(format!("{why}\nclient: {history:?}", history = short(&history))),
        };
        self.verify(&prefix, &log, &self.shape.members())?;
        if history.acknowledged.len() < 10 {
            return Err(format!("the client wrote {} times only", history.acknowledged.len()));
        }
        // a fault that began before the operation leaves a quorum that the operation must not take away; of five, two
        // may be away: the one that is in trouble, and the one whose turn it is
        let of_five = schedule.shape.size == 5 && schedule.target().len() >= 5;
        let limit = match schedule.fault {
            Some(_) if of_five => LIMIT,
            Some(Fault { at, lasts, .. }) if at > 0 => lasts + AFTER,
            Some(_) => LIMIT,
            None if schedule.kill.is_some() => AFTER,
            None => LIMIT,
        };
        if history.longest > limit {
            return Err(format!(
                "a client waited {} ms, {} ms after the beginning of {} ms",
                history.longest,
                history.longest_at as i64 - began as i64,
                ended - began
            ));
        }
        Ok(history)
    }

    fn client(&self, prefix: &str, log: &Path) -> Result<Child, String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = self.command(&["lab", "exec", "-n", self.lab, "--"]);
        command.arg(me).args(["client", "--prefix", prefix, "--pki"]).arg(&self.pki).arg("--log").arg(log);
        command.args(self.urls());
        command.stdin(Stdio::piped()).spawn().map_err(|error| error.to_string())
    }

    /// Is the cluster these hosts, and is everything there?
    fn verify(&self, prefix: &str, log: &Path, members: &[usize]) -> Result<(), String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let names: Vec<&str> = members.iter().map(|host| HOSTS[*host]).collect();
        let mut command = self.command(&["lab", "exec", "-n", self.lab, "--"]);
        command.arg(me).args(["verify", "--prefix", prefix, "--pki"]).arg(&self.pki).arg("--log").arg(log);
        command.args(["--members", &names.join(",")]).args(self.urls());
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    }

    /// When it began and ended.
    fn story(&self, schedule: &Schedule) -> Result<(u64, u64), String> {
        std::thread::sleep(Duration::from_millis(300));
        if let Operation::Replace(host) = schedule.operation {
            self.lab(&["ssh", HOSTS[host], "systemctl stop etcd; rm -rf /data/etcd/member"])?;
        }
        let words = words(&schedule.operation);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let began = now();
        let mut struck = None;
        let strike = |fault: &Fault| {
            self.strike(fault);
            Instant::now() + Duration::from_millis(fault.lasts)
        };
        let early = schedule.fault.filter(|fault| fault.at <= 0);
        if let Some(fault) = early {
            struck = Some(strike(&fault));
            std::thread::sleep(Duration::from_millis(fault.at.unsigned_abs()));
        }
        let mut child = self.begin(&words, "operation")?;
        let started = Instant::now();
        let kill = schedule.kill.map(|after| started + Duration::from_millis(after));
        let mut due = schedule.fault.filter(|fault| fault.at > 0);
        let mut killed = false;
        let mut healed = Instant::now();
        let ended = loop {
            if let Ok(Some(status)) = child.try_wait() {
                break status.success();
            }
            if let Some(fault) = due
                && started.elapsed() >= Duration::from_millis(fault.at.unsigned_abs())
            {
                struck = Some(strike(&fault));
                due = None;
            }
            if let Some(until) = struck
                && Instant::now() >= until
            {
                self.heal(schedule)?;
                (struck, healed) = (None, Instant::now());
            }
            if !killed && kill.is_some_and(|at| Instant::now() >= at) {
                killed = true;
                drop(child.kill());
            }
            if struck.is_none() && healed.elapsed() > HANG {
                drop(child.kill());
                drop(child.wait());
                return Err(format!(
                    "it did not end within {} s after the fault was healed:\n{}",
                    HANG.as_secs(),
                    self.said("operation")
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        if let Some(until) = struck {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            self.heal(schedule)?;
        }
        if !ended && schedule.fault.is_none() && !killed {
            return Err(format!("it failed, and nothing was wrong:\n{}", self.said("operation")));
        }
        if schedule.again && (!ended || schedule.operation.converges()) {
            // a member may still be on its way back: a refusal that says so, and changes nothing, is an answer
            match self.play(&words, "again") {
                Err(why) if !why.to_lowercase().contains("nothing was changed") => {
                    return Err(format!("{why}\n-- the run before it:\n{}", self.said("operation")));
                }
                _ => {}
            }
        }
        self.play(&["play", "playbooks/etcd-sync.yml", "-i", "base", "-e", "etcd_sync_destroy=2"], "sync")
            .map_err(|why| format!("{why}\n-- the run before it:\n{}", self.said("operation")))?;
        let spare = HOSTS[self.shape.spare()];
        let beside =
            self.lab(&["ssh", spare, "systemctl is-active etcd; ls /data/etcd/member 2>/dev/null; true"])?;
        if beside.lines().any(|line| line == "active" || line == "snap") {
            return Err(format!("{spare} is no member, and still has an etcd: {beside}"));
        }
        Ok((began, now()))
    }

    fn strike(&self, fault: &Fault) {
        let host = HOSTS[fault.host];
        let (others, number);
        let words: Vec<&str> = match fault.kind {
            Kind::Kill => vec!["kill", "--unit", "etcd", host],
            Kind::Stop => vec!["ssh", host, "systemctl stop etcd"],
            Kind::Freeze => vec!["freeze", "--process", "etcd", host],
            Kind::FreezeHost => vec!["freeze", host],
            Kind::Cut => vec!["cut", host],
            Kind::CutIn => vec!["cut", "--in", host],
            Kind::CutOut => vec!["cut", "--out", host],
            Kind::CutController => vec!["cut", "--from", "controller", host],
            Kind::CutPeers => {
                let hosts = self.shape.hosts().into_iter().map(|other| HOSTS[other]);
                others = hosts.filter(|other| *other != host).flat_map(|other| ["--from", other]);
                ["cut"].into_iter().chain(others).chain([host]).collect()
            }
            Kind::Delay(by) => {
                number = by.to_string();
                vec!["delay", host, &number]
            }
            Kind::Fill => vec!["fill", host, "/data"],
            Kind::Clock(by) => {
                number = by.to_string();
                vec!["clock", host, "--", &number]
            }
            Kind::Power => vec!["kill", host],
        };
        // nothing may be there to kill, fill or freeze yet
        let said = self.lab(&words);
        if std::env::var_os("QUORATE_CHAOS_LOUD").is_some() {
            println!("     {words:?}: {said:?}");
        }
    }

    fn heal(&self, schedule: &Schedule) -> Result<(), String> {
        let Some(fault) = schedule.fault else { return Ok(()) };
        let host = HOSTS[fault.host];
        match fault.kind {
            Kind::Power => self.lab(&["up", "-i", "all"]).map(drop),
            Kind::Kill | Kind::Stop => Ok(()),
            _ => self.lab(&["heal", host]).map(drop),
        }
    }
}

impl Operation {
    /// A second run has nothing to do.
    fn converges(&self) -> bool {
        matches!(
            self,
            Operation::Sync(_)
                | Operation::Add(_)
                | Operation::Remove(_)
                | Operation::Migrate(..)
                | Operation::Replace(_)
        )
    }
}

fn words(operation: &Operation) -> Vec<String> {
    let play = |book: &str, more: &[&str]| {
        let book = format!("playbooks/{book}.yml");
        ["play", &book, "-i"].into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
    };
    match operation {
        Operation::Sync(_) => play("etcd-sync", &["target"]),
        Operation::Add(host) => play("etcd-add", &["both", "-l", HOSTS[*host]]),
        Operation::Remove(host) => play("etcd-rm", &["both", "-l", HOSTS[*host]]),
        Operation::Migrate(from, to, data) => {
            let (from, to) = (format!("etcd_from={}", HOSTS[*from]), format!("etcd_to={}", HOSTS[*to]));
            let by = if *data { "etcd_by=data" } else { "etcd_by=learner" };
            play("etcd-migrate", &["both", "-e", &from, "-e", &to, "-e", by])
        }
        Operation::Replace(host) => play("etcd-replace", &["base", "-l", HOSTS[*host]]),
        Operation::Restart => play("etcd-restart", &["base"]),
        Operation::Defrag => {
            play("etcd-defrag", &["base", "-e", "etcd_defrag_percent=0", "-e", "etcd_defrag_bytes=0"])
        }
        Operation::Backup => play("etcd-backup", &["base"]),
        Operation::Renew => play("etcd-cert", &["base", "-e", "etcd_cert=renew"]),
        Operation::Authority => play("etcd-cert", &["base", "-e", "etcd_cert=ca"]),
        Operation::Check => play("etcd-check", &["base"]),
        Operation::ByHand => ["run", "etcd", "-i", "base", "-f", "1", "-b", "-a", "systemctl restart etcd"]
            .map(str::to_owned)
            .to_vec(),
    }
}

/// Its success, if it ends in time. Otherwise it is killed.
fn wait(child: &mut Child, until: Instant) -> Option<bool> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.success());
        }
        if Instant::now() >= until {
            drop(child.kill());
            drop(child.wait());
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn short(history: &History) -> String {
    format!(
        "{} writes, {} reads, stale {:?}, longest wait {} ms",
        history.acknowledged.len(),
        history.reads,
        history.stale,
        history.longest
    )
}
