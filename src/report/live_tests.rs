//! What a terminal shows, as text: the bytes go through a terminal emulator.

use super::*;
use crate::plan::{Context, program::implicit_step};
use crate::playbook::Task;
use quorate_value::{Dict, Span, dict};

const WIDE: usize = 99;

fn view(unicode: bool) -> View {
    View::new(Look { colour: false, columns: 79 }, unicode, false, Some("7f3a".into()))
}

fn step(name: &str) -> Arc<Step> {
    let task = Task::plain(name, "ansible.builtin.copy", Dict::new(), Span::default());
    implicit_step(task, &Arc::new(Context::default()), Vec::new())
}

fn outcome(host: &str, status: Status, message: &str) -> Outcome {
    Outcome {
        host: Arc::from(host),
        delegate: None,
        status,
        result: Arc::new(dict! {"msg" => message}),
        ignored: false,
        error: None,
    }
}

/// What happens in these tests happens a second at a time.
struct Stage {
    view: View,
    now: u64,
    columns: usize,
    hosts: usize,
    said: Vec<String>,
}

impl Stage {
    fn new(columns: usize, unicode: bool, hosts: usize) -> Self {
        let mut stage = Stage { view: view(unicode), now: 0, columns, hosts, said: Vec::new() };
        stage.tell(&Event::PlaybookStarted { path: "etcd.yml".into(), plays: 1 });
        stage.tell(&Event::PlayStarted { name: "etcd".into(), check: false });
        stage
    }

    fn tell(&mut self, event: &Event) {
        let at = At {
            now: Duration::from_secs(self.now),
            hosts: self.hosts,
            took: Some(Duration::from_millis(100)),
        };
        self.said.extend(self.view.event(event, &at, self.columns));
    }

    fn task(&mut self, title: &str, results: &[Outcome]) {
        let step = step(title);
        self.tell(&Event::TaskStarted { step: step.clone(), title: title.into(), check: false });
        for outcome in results {
            self.tell(&Event::Result { step: step.clone(), looped: false, outcome: outcome.clone() });
        }
        self.now += 1;
    }

    fn end(mut self) -> String {
        self.tell(&Event::Finished(super::super::Recap::default()));
        for line in &self.said {
            assert!(line.width() <= self.columns, "{} columns: {line}", line.width());
        }
        self.said.join("\n")
    }
}

#[test]
fn finished_tasks_are_a_line_each() {
    let mut stage = Stage::new(WIDE, true, 3);
    let well = |host| outcome(host, Status::Ok, "");
    let changed = |host| outcome(host, Status::Changed, "");
    stage.task("etcd_install : Install etcd packages", &[well("a"), well("b"), well("c")]);
    stage.task("etcd_conf : Render /etc/etcd/etcd.conf", &[well("a"), changed("b"), changed("c")]);
    let skipped = |host| outcome(host, Status::Skipped, "");
    stage.task("Only elsewhere", &[skipped("a"), skipped("b"), skipped("c")]);
    assert_eq!(
        stage.end(),
        "
etcd.yml · etcd (3 hosts) · run 7f3a · check off
✓ etcd_install Install etcd packages                         3 ok                     0.1s
✓ etcd_conf    Render /etc/etcd/etcd.conf                    1 ok  2 changed          0.1s
-              Only elsewhere                                3 skipped                0.1s"
    );
}

#[test]
fn hosts_that_fail_alike_share_a_message() {
    let mut stage = Stage::new(79, true, 300);
    let hosts: Vec<String> = (0..300).map(|n| format!("node-{n:03}.example")).collect();
    let all: Vec<Outcome> = hosts
        .iter()
        .map(|host| match host.as_str() {
            "node-007.example" => outcome(host, Status::Failed, "another trouble"),
            _ => outcome(host, Status::Failed, "no room on /var"),
        })
        .collect();
    stage.task("Write a very long title that would not fit into the line of a small terminal", &all);
    assert_eq!(
        stage.end(),
        "
etcd.yml · etcd (300 hosts) · run 7f3a · check off
✗              Write a very long title that wou…  300 FAILED               0.1s
    node-000.example node-001.example … (297 more of 299 hosts):
      no room on /var
    node-007.example:
      another trouble"
    );
}

#[test]
fn signs_are_plain_where_the_terminal_is() {
    let mut stage = Stage::new(79, false, 1);
    stage.task("Write", &[outcome("a", Status::Ok, "")]);
    let text = stage.end();
    assert!(text.is_ascii(), "{text}");
}

#[test]
fn what_runs_is_shown_with_where_and_since_when() {
    let running = Running::default();
    let (write, restart) = (step("Write"), step("Restart etcd"));
    let hosts: Vec<Arc<str>> = (10..13).map(|n| Arc::from(format!("10.10.10.{n}"))).collect();
    for host in &hosts {
        running.begin(&restart, host);
    }
    running.waits(restart.id, &hosts[1], Some("guard"));
    running.end(restart.id, &hosts[0]);
    running.begin(&write, &hosts[0]);
    running.now().clusters.insert(
        "etcd".into(),
        Sighting {
            at: 0,
            cluster: "etcd".into(),
            members: vec![
                ("10.10.10.10".into(), Standing::Leader),
                ("10.10.10.11".into(), Standing::Voter),
                ("10.10.10.12".into(), Standing::Away),
            ],
            healthy: 2,
            voters: 3,
            need: 2,
        },
    );
    let shown = |columns: usize, rows: usize| {
        let lines = view(true).region(&running, 0, Instant::now(), columns, rows);
        assert!(lines.iter().all(|line| line.width() <= columns), "{lines:?}");
        lines
    };
    assert_eq!(
        shown(WIDE, 24).join("\n"),
        "⠋              Restart etcd            2 running      0.0s   10.10.10.11 (waits: guard) 10.10.10.12
⠋              Write                   1 running      0.0s   10.10.10.10
  cluster etcd   ● 10.10.10.10 leader  ● .11 voter  ◐ .12 away   quorum 2 of 3, 0 to spare"
    );
    assert_eq!(shown(40, 24).len(), 3);
    assert_eq!(shown(79, 3).len(), 2, "a small terminal shows what it has room for");
}

/// The region gives way to what is printed, and a terminal made narrower leaves nothing behind.
#[test]
fn the_region_is_erased_at_any_width() {
    let mut terminal = vt100::Parser::new(10, 40, 0);
    terminal.process(b"first\r\n");
    let region = vec!["x".repeat(30), "y".repeat(10)];
    terminal.process(region.join("\r\n").as_bytes());
    terminal.process(display::erased(&region, 40).as_bytes());
    terminal.process(b"second\r\n");
    assert_eq!(terminal.screen().contents(), "first\nsecond");
    terminal.process(region.join("\r\n").as_bytes());
    // as terminals that wrap again do: 30 columns are two rows of 20
    terminal.screen_mut().set_size(10, 20);
    let mut narrow = vt100::Parser::new(10, 20, 0);
    narrow.process(b"first\r\nsecond\r\n");
    narrow.process(region.join("\r\n").as_bytes());
    narrow.process(display::erased(&region, 20).as_bytes());
    assert_eq!(narrow.screen().contents(), "first\nsecond");
}

#[test]
fn what_was_changed_is_named_with_its_hosts() {
    use quorate_value::dict;
    let step = |module: &str, title: &str| {
        let task = crate::playbook::Task::plain(
            title,
            module,
            quorate_value::Dict::new(),
            quorate_value::Span::default(),
        );
        crate::plan::program::implicit_step(task, &Arc::default(), Vec::new())
    };
    let mut view = view(true);
    let changed = |host: &str, result: quorate_value::Dict| Outcome {
        result: Arc::new(result),
        ..outcome(host, Status::Changed, "")
    };
    let conf = step("template", "Render etcd.conf");
    for host in ["10.10.10.10", "10.10.10.11"] {
        view.changed(&conf, &changed(host, dict! {"dest" => "/etc/etcd/etcd.conf"}), None);
    }
    view.changed(&step("systemd", "Launch"), &changed("10.10.10.10", dict! {"name" => "etcd"}), None);
    view.changed(&step("shell", "By hand"), &changed("10.10.10.10", dict! {"cmd" => "x"}), Some("one"));
    view.changed(&conf, &outcome("10.10.10.12", Status::Ok, ""), None);
    assert_eq!(
        view.changes(79),
        [
            "  /etc/etcd/etcd.conf  10.10.10.10 10.10.10.11",
            "  unit etcd            10.10.10.10",
            "  By hand (one)        10.10.10.10",
        ]
    );
    for number in 0..40 {
        let path = format!("/srv/{}/{number}", "long".repeat(20));
        for host in 0..50 {
            view.changed(&conf, &changed(&format!("host{host:03}"), dict! {"path" => path.as_str()}), None);
        }
    }
    let lines = view.changes(79);
    assert_eq!((lines.len(), lines.last().map(String::as_str)), (CHANGES, Some("  and 32 more")));
    assert!(lines.iter().all(|line| line.width() <= 79), "{lines:#?}");
}

#[test]
fn what_is_the_hosts_own_is_no_difference() {
    let said = |host: &str, address: &str| {
        let text = format!(
            "Failed to connect to the host via ssh: ssh: connect to host {address} port 22: Connection refused\nhelp: see it by hand: ssh -v admin@{address}"
        );
        without_host(&text, host)
    };
    assert_eq!(said("db1", "10.0.0.1"), said("db2", "10.0.0.10"));
    assert!(said("db1", "10.0.0.1").ends_with("ssh -v admin@HOST"), "{}", said("db1", "10.0.0.1"));
    assert_eq!(without_host("10.0.0.10 is not 10.0.0.1.", "10.0.0.1"), "10.0.0.10 is not HOST.");
    assert_eq!(without_host("Origin: /srv/web/play.yml", "web"), "Origin: /srv/web/play.yml");
}

#[test]
fn a_recap_of_thousands_of_hosts_names_those_that_failed() {
    let mut recap = crate::report::Recap::default();
    for nth in 0..3000 {
        let mut counts = crate::report::Counts { ok: 2, changed: 1, ..Default::default() };
        counts.failed = u32::from(nth % 1500 == 7);
        recap.hosts.insert(format!("h{nth}").into(), counts);
    }
    let (shown, rest) = brief(&recap);
    assert_eq!(shown.hosts.keys().map(|host| &**host).collect::<Vec<_>>(), ["h7", "h1507"]);
    assert_eq!(rest.unwrap(), "2998 more hosts, none of them failed: ok=5996 changed=2998 skipped=0 in all");
    for counts in recap.hosts.values_mut() {
        counts.unreachable = 1;
    }
    let (shown, rest) = brief(&recap);
    assert_eq!(shown.hosts.len(), ROWS);
    assert!(rest.unwrap().starts_with("2940 more hosts, 2940 OF THEM FAILED OR WERE UNREACHABLE:"));
}
