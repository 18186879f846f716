//! How long an inventory of 3,000 hosts with 100 variables each takes: load, graph, variables of every host.
//!
//! `cargo bench -p quorate-inventory` prints the best of five, in time on the CPU where the system tells it (Linux), so
//! that a busy machine does not count. The bar is 150 ms for load and graph.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its table")]

use quorate_inventory::{Inventory, Options, Show};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const HOSTS: usize = 3000;
const VARIABLES: usize = 100;

fn variable(host: usize, number: usize) -> String {
    match number % 5 {
        0 => format!("{}", host * number),
        1 => format!("value-{host}-{number}"),
        2 => "true".into(),
        3 => format!("10.{}.{}.{}", host / 250, host % 250, number),
        _ => format!("/srv/data/{number}"),
    }
}

fn yaml_inline() -> String {
    let mut out = String::from("all:\n  children:\n");
    for group in 0..30 {
        let _ = writeln!(out, "    group{group}:\n      hosts:");
        for host in (group..HOSTS).step_by(30) {
            let _ = writeln!(out, "        host{host:04}.example.com:");
            for number in 0..VARIABLES {
                let _ = writeln!(out, "          variable_{number}: {}", variable(host, number));
            }
        }
    }
    out
}

fn yaml_groups() -> String {
    let mut out = String::from("all:\n  children:\n");
    for group in 0..30 {
        let _ = writeln!(out, "    group{group}:\n      vars:");
        for number in 0..VARIABLES {
            let _ = writeln!(out, "        variable_{number}: {}", variable(group, number));
        }
        let _ = writeln!(out, "      hosts:");
        for host in (group..HOSTS).step_by(30) {
            let _ = writeln!(out, "        host{host:04}.example.com: {{ seq: {host} }}");
        }
    }
    out
}

fn ini() -> String {
    let mut out = String::new();
    for group in 0..30 {
        let _ = writeln!(out, "[group{group}]");
        for host in (group..HOSTS).step_by(30) {
            let _ = write!(out, "host{host:04}.example.com");
            for number in 0..VARIABLES {
                let _ = write!(out, " variable_{number}={}", variable(host, number));
            }
            out.push('\n');
        }
    }
    out
}

fn host_files(directory: &Path) {
    fs::create_dir_all(directory.join("host_vars")).unwrap();
    let mut hosts = String::from("[all]\n");
    for host in 0..HOSTS {
        let _ = writeln!(hosts, "host{host:04}.example.com");
        let mut vars = String::new();
        for number in 0..VARIABLES {
            let _ = writeln!(vars, "variable_{number}: {}", variable(host, number));
        }
        fs::write(directory.join(format!("host_vars/host{host:04}.example.com.yml")), vars).unwrap();
    }
    fs::write(directory.join("hosts"), hosts).unwrap();
}

/// Time this thread was on the CPU so far.
fn on_cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn best(mut work: impl FnMut()) -> Duration {
    (0..5)
        .map(|_| {
            let (start, cpu) = (Instant::now(), on_cpu());
            work();
            cpu.zip(on_cpu()).map_or_else(|| start.elapsed(), |(before, after)| after.saturating_sub(before))
        })
        .min()
        .unwrap()
}

fn main() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("inline.yml"), yaml_inline()).unwrap();
    fs::write(at("groups.yml"), yaml_groups()).unwrap();
    fs::write(at("hosts.ini"), ini()).unwrap();
    host_files(&at("files"));
    println!("{HOSTS} hosts x {VARIABLES} variables   load   load+graph   load+variables of all hosts");
    for (name, path) in [
        ("YAML, variables at hosts", at("inline.yml")),
        ("YAML, variables at groups", at("groups.yml")),
        ("INI, variables at hosts", at("hosts.ini")),
        ("host_vars, one file a host", at("files/hosts")),
    ] {
        let source = [path.to_string_lossy().into_owned()];
        let load = || {
            let loaded = Inventory::load(&source, Options::default());
            assert!(loaded.failures.is_empty(), "{:?}", loaded.failures);
            loaded.inventory
        };
        let loading = best(|| drop(load()));
        let graph = best(|| {
            let graph = load().show_graph(None, &Show::default()).unwrap();
            assert!(graph.lines().count() > HOSTS);
        });
        let variables = best(|| {
            let inventory = load();
            let count: usize = inventory.hosts().map(|host| inventory.host_vars(host).unwrap().len()).sum();
            assert!(count >= HOSTS * VARIABLES);
        });
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("{name:28} {:8.1} ms {:8.1} ms {:8.1} ms", ms(loading), ms(graph), ms(variables));
    }
}
