//! The lab on real machines. Needs root and systemd-nspawn, so it runs only with `QUORATE_LAB_TESTS=1`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic, as tests do")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use quorate_lab::fault::{Direction, Peer, Signal, Target};
use quorate_lab::{HostSpec, Lab, LabError, Power, UpOptions};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const BIN: &str = env!("CARGO_BIN_EXE_quorate-lab");

/// A lab that is taken down whatever happens to the test.
struct Guard(Lab);

impl Guard {
    /// `None`, and a word about it, when lab tests are not wanted.
    fn new(name: &str) -> Option<Self> {
        if std::env::var_os("QUORATE_LAB_TESTS").is_none_or(|v| v != "1") {
            eprintln!("skipped: set QUORATE_LAB_TESTS=1 (needs root)");
            return None;
        }
        let lab = Lab::open(name).unwrap().with_helper(vec![BIN.into(), "helper".into()]);
        lab.down().unwrap();
        Some(Self(lab))
    }

    fn up(&self, hosts: &[(&str, &str)]) -> quorate_lab::Summary {
        let specs: Vec<HostSpec> = hosts.iter().map(|(n, ip)| HostSpec::new(*n, ip.parse().ok())).collect();
        self.0.up(&specs, &UpOptions::default(), &mut |_| {}).unwrap()
    }

    fn ssh(&self, host: &str, remote: &str) -> Output {
        let mut command = self.0.ssh_command(host, &[remote]).unwrap();
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// What it prints; the test fails when it fails.
    fn says(&self, host: &str, remote: &str) -> String {
        let output = self.ssh(host, remote);
        assert!(output.status.success(), "{host}: {remote}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn pings(&self, host: &str, to: &str) -> bool {
        self.ssh(host, &format!("ping -c1 -W1 {to}")).status.success()
    }

    fn enter(&self, argv: &[&str]) -> Output {
        self.0.enter_command(argv).unwrap().stdin(Stdio::null()).output().unwrap()
    }

    fn power(&self, host: &str) -> Power {
        self.0.status().unwrap().into_iter().find(|h| h.name == host).unwrap().power
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(e) = self.0.down() {
            eprintln!("down: {e}");
        }
    }
}

/// Everything on this machine that names the lab.
fn traces(lab: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |what: &str, text: String| {
        let ours = |l: &&str| {
            l.contains(&format!("quorate-{lab}"))
                || l.contains(&format!("quorate-lab/{lab}"))
                || l.contains(&format!("labs/{lab}/"))
        };
        found.extend(text.lines().filter(ours).map(|l| format!("{what}: {l}")));
    };
    let names = |directory: &str| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.fold(String::new(), |text, e| text + &e.path().to_string_lossy() + "\n")
    };
    look("mount", fs::read_to_string("/proc/self/mountinfo").unwrap());
    look("netns", names("/run/netns"));
    look("run", names("/run/quorate-lab"));
    look("disk", names("/var/lib/quorate-lab/labs").replace('\n', "/\n"));
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        look("cgroup", names(&format!("{root}/quorate-lab")));
    }
    for entry in fs::read_dir("/sys/block").unwrap().flatten() {
        look("loop", fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default());
    }
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let cgroup = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        look("process", cgroup);
    }
    found
}

/// Ended processes wait for init to reap them, which it does in its own time.
fn assert_gone(lab: &str) {
    eventually(|| traces(lab).is_empty());
    assert_eq!(traces(lab), [] as [String; 0]);
}

/// The user's own network and names, which no lab may change.
fn own_network() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for args in [&["-o", "link"][..], &["-o", "addr"], &["route"], &["-6", "route"], &["rule"]] {
        let output = Command::new("ip").args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // Counters of seconds are not settings.
        all.extend(text.lines().map(|l| l.split("valid_lft").next().unwrap_or(l).to_owned()));
    }
    for file in ["/etc/hosts", "/etc/resolv.conf", "/etc/ssh/ssh_config", "/proc/sys/net/ipv4/ip_forward"] {
        all.insert(format!("{file}: {}", fs::read_to_string(file).unwrap_or_default()));
    }
    all
}

#[test]
fn a_lab_lives_and_leaves_nothing() {
    let Some(lab) = Guard::new("t-life") else { return };
    let other = Guard::new("t-other").unwrap();
    let before = own_network();
    let hosts = [("n1", "10.10.10.11"), ("n2", "10.10.10.12"), ("n3", "10.10.10.13")];
    assert_eq!(lab.up(&hosts).booted, 3);
    // The same addresses in another lab at the same time.
    assert_eq!(other.up(&hosts[..1]).booted, 1);

    for (name, ip) in hosts {
        assert_eq!(lab.says(name, "hostname"), name);
        assert_eq!(lab.says(ip, "systemctl is-system-running --wait"), "running");
    }
    assert!(lab.pings("n1", "n3"));
    assert!(!lab.pings("n1", "192.0.2.1"), "a lab has no way out");
    for (login, sudo) in [("admin", true), ("dba", false), ("plain", false)] {
        let output = lab.enter(&["ssh", &format!("{login}@n2"), "sudo -n id -u"]);
        assert_eq!(output.status.success(), sudo, "{login}: {output:?}");
    }
    assert!(lab.says("n1", "apt-get -y install hello >/dev/null 2>&1 && hello").contains("Hello"));

    // Two labs are two worlds.
    lab.says("n1", "touch /root/mine");
    assert!(!other.ssh("n1", "test -e /root/mine").status.success());
    other.0.down().unwrap();
    assert_gone("t-other");

    // Up again changes nothing; a killed host keeps its disk; a reset one does not.
    assert_eq!(lab.up(&hosts).booted, 0);
    lab.says("n2", "touch /root/mine");
    lab.says("n3", "echo kept > /root/kept");
    lab.says("n3", "ip addr add 10.10.10.2/24 dev eth0");
    assert!(lab.pings("n1", "10.10.10.2"));
    lab.0.kill("n3", &Target::Host, Signal::KILL).unwrap();
    assert_eq!(lab.power("n3"), Power::Off);
    assert!(!lab.pings("n1", "10.10.10.2"), "an address must not outlive its host");
    assert_eq!(lab.up(&hosts).booted, 1);
    assert_eq!(lab.says("n3", "cat /root/kept"), "kept");
    assert!(!lab.pings("n1", "10.10.10.2"), "a boot forgets addresses");
    lab.0.reset(&["n2".to_owned()], &mut |_| {}).unwrap();
    assert!(!lab.ssh("n2", "test -e /root/mine").status.success());
    assert!(lab.ssh("n1", "test -e /root/mine").status.success());

    // A host that boots by itself comes back, at once reachable for its neighbours.
    let boot = lab.says("n2", "cat /proc/sys/kernel/random/boot_id");
    lab.ssh("n2", "systemctl reboot");
    let came_back = || {
        let now = lab.ssh("n2", "cat /proc/sys/kernel/random/boot_id");
        now.status.success() && String::from_utf8_lossy(&now.stdout).trim() != boot
    };
    assert!(eventually(came_back), "n2 did not boot again");
    assert!(lab.pings("n1", "n2"));

    // A host may join later, and the others learn its name.
    lab.up(&[("n4", "10.10.10.14")]);
    assert!(lab.pings("n1", "n4"));
    let error =
        lab.0.up(&[HostSpec::new("n4", "10.10.10.15".parse().ok())], &UpOptions::default(), &mut |_| {});
    assert!(matches!(error, Err(LabError::HostChanged { .. })));

    lab.0.down().unwrap();
    assert_gone("t-life");
    assert_eq!(own_network(), before);
    assert!(matches!(lab.0.status(), Err(LabError::NoSuchLab { .. })));
}

#[test]
fn any_address_an_inventory_may_hold_works() {
    let Some(lab) = Guard::new("t-address") else { return };
    let mut dual = HostSpec::new("pg_dual", "10.20.0.5".parse().ok());
    dual.extra = vec!["fd00:5::5".parse().unwrap()];
    dual.user = Some("vagrant".into());
    dual.ssh_port = Some(2222);
    let mut named = HostSpec::new("etcd1", None);
    named.aliases = vec!["etcd1.example.com".into()];
    let specs =
        [HostSpec::new("10.10.10.254", None), dual, named, HostSpec::new("six", "fd00:5::6".parse().ok())];
    let options = UpOptions { reserved: vec!["10.99.0.1".parse().unwrap()], ..UpOptions::default() };
    lab.0.up(&specs, &options, &mut |_| {}).unwrap();
    for (name, hostname) in [
        ("10.10.10.254", "node-10-10-10-254"),
        ("pg_dual", "pg-dual"),
        ("fd00:5::5", "pg-dual"),
        ("etcd1.example.com", "etcd1"),
        ("six", "six"),
        ("fd00:5::6", "six"),
    ] {
        let output = lab.enter(&["ssh", name, "hostname"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), hostname, "{name}: {output:?}");
    }
    assert!(lab.enter(&["ssh", "-p", "2222", "vagrant@pg_dual", "sudo -n true"]).status.success());
    assert!(lab.pings("10.10.10.254", "pg_dual"), "subnets reach each other");
    assert!(lab.pings("six", "fd00:5::5"));
    lab.says("etcd1", "ip addr add 10.99.0.1/32 dev eth0");
    assert!(lab.pings("pg_dual", "10.99.0.1"), "a virtual address outside every subnet");
    assert!(lab.enter(&["ssh", "-o", "StrictHostKeyChecking=no", "10.99.0.1", "true"]).status.success());
}

#[test]
fn faults_hold_and_heal() {
    let Some(lab) = Guard::new("t-fault") else { return };
    lab.up(&[("n1", "10.10.10.11"), ("n2", "10.10.10.12"), ("n3", "10.10.10.13")]);
    let n2 = || Peer::Host("n2".into());

    // A pair, both ways.
    lab.0.cut("n1", &n2(), Direction::Both).unwrap();
    assert!(!lab.pings("n1", "n2") && !lab.pings("n2", "n1"));
    assert!(lab.pings("n1", "n3") && lab.pings("n3", "n2"));
    lab.0.heal(None).unwrap();
    // A neighbour that did not answer is asked again once a second.
    assert!(eventually(|| lab.pings("n1", "n2")));

    // One way: what n2 sends never arrives, what n1 sends does.
    lab.0.cut("n1", &n2(), Direction::In).unwrap();
    let heard = |from: &str, to: &str, ip: &str| {
        let listener =
            lab.0.ssh_command(to, &["timeout 3 nc -lu -W1 9999"]).unwrap().stdout(Stdio::piped()).spawn();
        let listener = listener.unwrap();
        std::thread::sleep(Duration::from_millis(700));
        lab.ssh(from, &format!("for i in 1 2 3; do echo hello | nc -u -q0 {ip} 9999; sleep 0.1; done"));
        String::from_utf8_lossy(&listener.wait_with_output().unwrap().stdout).contains("hello")
    };
    assert!(heard("n1", "n2", "10.10.10.12"));
    assert!(!heard("n2", "n1", "10.10.10.11"));
    lab.0.heal(Some("n1")).unwrap();
    assert!(heard("n2", "n1", "10.10.10.11"));

    // From everyone, the controller included.
    lab.0.cut("n3", &Peer::Everyone, Direction::Both).unwrap();
    assert!(!lab.pings("n1", "n3"));
    assert!(!lab.enter(&["ssh", "-o", "ConnectTimeout=2", "n3", "true"]).status.success());
    assert_eq!(lab.0.status().unwrap()[2].faults, ["cut from everyone"]);
    lab.0.heal(Some("n3")).unwrap();
    assert!(lab.ssh("n3", "true").status.success());

    // Late, each way.
    lab.0.delay("n2", 40).unwrap();
    let round_trip = || {
        let text = lab.says("n1", "ping -c3 -i0.2 n2 | tail -1");
        text.split('/')
            .nth(3)
            .and_then(|min| min.split('=').next_back()?.trim().parse::<f64>().ok())
            .unwrap_or(-1.0)
    };
    let late = round_trip();
    assert!((80.0..120.0).contains(&late), "{late} ms");
    lab.0.heal(None).unwrap();
    assert!(round_trip() < 20.0);

    // Frozen: the kernel answers, the program does not.
    lab.says("n1", "systemctl start etcd");
    let healthy = "curl -s -m 1 http://127.0.0.1:2379/health";
    assert!(eventually(|| lab.ssh("n1", healthy).status.success()));
    lab.0.freeze("n1", &Target::Unit("etcd".into())).unwrap();
    assert!(!lab.ssh("n1", healthy).status.success());
    lab.0.thaw("n1", &Target::Unit("etcd.service".into())).unwrap();
    assert!(lab.ssh("n1", healthy).status.success());
    lab.0.freeze("n1", &Target::Process("etcd".into())).unwrap();
    assert!(!lab.ssh("n1", healthy).status.success());
    lab.0.freeze("n2", &Target::Host).unwrap();
    assert_eq!(lab.power("n2"), Power::Frozen);
    assert!(lab.pings("n1", "n2"));
    lab.0.heal(None).unwrap();
    assert!(lab.ssh("n1", healthy).status.success());
    assert!(lab.ssh("n2", "true").status.success());

    // Full.
    assert!(lab.0.fill("n1", "/var/lib/etcd").unwrap() > 1 << 30);
    let write = "dd if=/dev/zero of=/root/file bs=64k count=1 conv=fsync";
    let full = lab.ssh("n1", write);
    assert!(String::from_utf8_lossy(&full.stderr).contains("No space left"), "{full:?}");
    assert!(lab.ssh("n3", write).status.success(), "only n1's disk is full");
    lab.0.heal(Some("n1")).unwrap();
    assert!(lab.ssh("n1", write).status.success());
    // A link that leads out of the host leads nowhere.
    lab.says("n1", "ln -s /run/quorate-lab /root/out");
    assert!(lab.0.fill("n1", "/root/out").is_err());
    lab.0.heal(None).unwrap();

    // Another time, for programs that run, for new ones, and over a reboot; and only there.
    let ahead = |host: &str| lab.says(host, "date +%s").parse::<i64>().unwrap() - now();
    lab.ssh("n1", "nohup python3 -uc 'import time\nwhile 1: print(int(time.time())); time.sleep(0.1)' >/root/t 2>&1 </dev/null &");
    lab.0.clock("n1", 86_400_000).unwrap();
    let near = |got: i64, wanted: i64| assert!((got - wanted).abs() <= 3, "{got} and not {wanted}");
    near(ahead("n1"), 86_400);
    near(ahead("n2"), 0);
    near(lab.says("n1", "sleep 0.5; tail -1 /root/t").parse::<i64>().unwrap() - now(), 86_400);
    lab.0.clock("n1", -1500).unwrap();
    near(ahead("n1"), -2);
    lab.0.kill("n1", &Target::Host, Signal::KILL).unwrap();
    lab.up(&[("n1", "10.10.10.11")]);
    assert!(eventually(|| ahead("n1") < 0));
    lab.0.heal(None).unwrap();
    near(ahead("n1"), 0);
    assert!(
        !lab.says("n1", "cat /proc/[0-9]*/status")
            .lines()
            .any(|l| l.starts_with("TracerPid") && !l.ends_with("\t0"))
    );

    // Killed: a unit comes back as its unit file says, a process by name, and nobody by a wrong name.
    lab.says("n1", "systemctl start cron");
    let pid = lab.says("n1", "systemctl show -P MainPID cron");
    assert_eq!(lab.0.kill("n1", &Target::Unit("cron".into()), "TERM".parse().unwrap()).unwrap(), 1);
    assert!(eventually(|| lab.says("n1", "systemctl show -P MainPID cron") != pid));
    let nobody = lab.0.kill("n1", &Target::Process("nosuch".into()), Signal::KILL);
    assert!(matches!(nobody, Err(LabError::NothingRuns { .. })));
    assert!(matches!(lab.0.freeze("n9", &Target::Host), Err(LabError::NoSuchHost { .. })));

    lab.0.down().unwrap();
    assert_gone("t-fault");
}

#[test]
fn killed_at_any_moment_up_and_down_can_be_run_again() {
    let Some(lab) = Guard::new("t-kill") else { return };
    let arguments = ["-n", "t-kill", "up", "--host", "n1=10.10.10.11", "--host", "n2=10.10.10.12"];
    let mut rest = 0x2545_f491_4f6c_dd1d_u64;
    let mut within = |limit: u64| {
        rest ^= rest << 13;
        rest ^= rest >> 7;
        rest ^= rest << 17;
        Duration::from_millis(rest % limit)
    };
    for _ in 0..8 {
        for arguments in [&arguments[..], &["-n", "t-kill", "down"]] {
            let mut child = Command::new(BIN)
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(within(700));
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    lab.up(&[("n1", "10.10.10.11"), ("n2", "10.10.10.12")]);
    assert!(lab.pings("n1", "n2"));
    lab.0.down().unwrap();
    assert_gone("t-kill");
    lab.0.down().unwrap();
}

#[test]
fn without_root_nothing_is_touched_and_the_next_step_is_said() {
    if std::env::var_os("QUORATE_LAB_TESTS").is_none_or(|v| v != "1") {
        return;
    }
    // The program is copied to where anybody may run it.
    let copy = std::env::temp_dir().join(format!("quorate-lab-test-{}", std::process::id()));
    fs::copy(BIN, &copy).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(&copy)
        .args(["-n", "t-noroot", "up", "--host", "n1=10.10.10.11"])
        .output()
        .unwrap();
    fs::remove_file(&copy).unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("needs root") && text.contains("sudo"), "{text}");
    assert_gone("t-noroot");
}

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    false
}
