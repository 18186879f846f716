//! `quorate init`: a project for a cluster, to begin with: inventory, playbooks, roles, configuration.
//!
//! In: answers, from flags or asked on a terminal. Out: files with comments that teach.
//!
//! **Invariant:** no file that exists is touched: one in the way, and nothing at all is written.

use super::common::Cannot;
use super::status;
use crate::report::display;
use clap::Parser;
use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/project.rs"));

/// Begin a project: an inventory for a cluster, with the playbooks and roles that look after it.
#[derive(Debug, Parser)]
#[command(
    name = "quorate init",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate init\n  quorate init site --host 10.10.10.10,10.10.10.11,10.10.10.12\n  quorate init site --cluster etcd-prod --host db1.example.com --user admin"
)]
struct Args {
    /// The folder; made where it is not there
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Hosts of the cluster: addresses, or names that lead to them. Repeatable, or with commas
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    host: Vec<String>,
    /// What to call the cluster
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Who to log in as
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    super::run(super::parsed("quorate init", args, false), |args: Args| init(args))
}

/// What the inventory is about.
#[derive(Debug, Default)]
struct Site {
    cluster: String,
    hosts: Vec<String>,
    user: Option<String>,
}

fn init(args: Args) -> Result<(), Cannot> {
    let mut site =
        Site { cluster: args.cluster.clone().unwrap_or_default(), hosts: args.host, user: args.user };
    if site.hosts.is_empty() {
        if !std::io::stdin().is_terminal() {
            return Err(Cannot {
                text: "which hosts? Name them with --host, or run this on a terminal to be asked".into(),
                status: status::USAGE,
            });
        }
        ask(&mut site, args.cluster.is_some())?;
    }
    if site.cluster.is_empty() {
        site.cluster = "etcd".into();
    }
    sound(&site)?;
    let files = files(&site);
    let in_the_way: Vec<String> = files
        .iter()
        .map(|(path, _)| args.folder.join(path))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| path.strip_prefix("./").unwrap_or(&path).display().to_string())
        .collect();
    if let Some(first) = in_the_way.first() {
        let more = if in_the_way.len() > 1 { ", and more" } else { "" };
        return Err(Cannot::start(format!(
            "`{first}` is there already{more}; nothing was written. Name another folder"
        )));
    }
    for (path, text) in &files {
        write(&args.folder.join(path), text)?;
    }
    let cd = if args.folder == Path::new(".") {
        String::new()
    } else {
        format!("  cd {}\n", args.folder.display())
    };
    let even = if site.hosts.len().is_multiple_of(2) {
        format!(
            "\n{} members tolerate no more failures than {}: an odd number is better.\n",
            site.hosts.len(),
            site.hosts.len() - 1
        )
    } else {
        String::new()
    };
    display::out(&format!(
        "Wrote inventory.yml (cluster {}, {} host{}), which is yours to edit, with playbooks and roles beside it.\n{even}\nnext:\n{cd}  quorate check                      # is all of it sound? Connects to nobody\n  sudo quorate lab up                # optional: the same hosts as machines on this computer, to rehearse\n  quorate run etcd -m ping           # do the hosts answer?\n  quorate play playbooks/etcd.yml    # create the cluster",
        site.cluster,
        site.hosts.len(),
        if site.hosts.len() == 1 { "" } else { "s" },
    ));
    Ok(())
}

fn line(question: &str) -> Result<String, Cannot> {
    display::prompt(question);
    let mut text = String::new();
    let read = std::io::stdin().lock().read_line(&mut text);
    match read {
        Ok(n) if n > 0 => Ok(text.trim().to_owned()),
        _ => Err(Cannot::start("no answer was given; nothing was written")),
    }
}

fn ask(site: &mut Site, named: bool) -> Result<(), Cannot> {
    if !named {
        site.cluster = line("What is the cluster called? [etcd] ")?;
    }
    while site.hosts.is_empty() {
        let text =
            line("Which hosts are its members? Addresses or names, with blanks between (three, or five): ")?;
        site.hosts = text.split([' ', ',']).filter(|host| !host.is_empty()).map(str::to_owned).collect();
    }
    if site.user.is_none() {
        let user = line("Who logs in there? [as your ssh configuration says] ")?;
        site.user = Some(user).filter(|user| !user.is_empty());
    }
    Ok(())
}

fn sound(site: &Site) -> Result<(), Cannot> {
    let wrong = |text: String| Err(Cannot { text, status: status::USAGE });
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if !site.cluster.chars().all(good) || !site.cluster.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return wrong(format!(
            "`{}` names members and files: letters, digits, `_`, `.` and `-` only",
            site.cluster
        ));
    }
    let mut seen = std::collections::HashSet::new();
    for host in &site.hosts {
        if !host.chars().all(|c| good(c) || c == ':') || host.is_empty() {
            return wrong(format!("`{host}` is neither an address nor the name of a host"));
        }
        if !seen.insert(host) {
            return wrong(format!("{host} is named twice: a host carries one member"));
        }
    }
    let bad_user = |user: &String| user.is_empty() || user.contains(|c: char| !good(c));
    if let Some(user) = site.user.as_ref().filter(|user| bad_user(user)) {
        return wrong(format!("`{user}` is not a login name"));
    }
    Ok(())
}

/// Every file of a project.
fn files(site: &Site) -> Vec<(PathBuf, String)> {
    let mut files: Vec<(PathBuf, String)> = vec![
        ("ansible.cfg".into(), CONFIGURATION.into()),
        ("inventory.yml".into(), inventory(site)),
        (".gitignore".into(), "# private keys: the CA's, and those of hosts\n/files/pki/\n".into()),
    ];
    for (path, text) in PROJECT {
        let text = if *path == "playbooks/ansible.cfg" {
            text.replace("../inventories/lab.yml", "../inventory.yml")
        } else {
            (*text).to_owned()
        };
        files.push((path.into(), text));
    }
    files
}

const CONFIGURATION: &str = "; Read when Quorate, or Ansible, is called from here.\n[defaults]\ninventory = inventory.yml\nroles_path = roles\nforce_valid_group_names = ignore  ; groups may be called pg-test\n";

fn quoted(host: &str) -> String {
    // an address of IPv6 would be a mapping otherwise
    if host.contains(':') { format!("\"{host}\"") } else { host.to_owned() }
}

fn inventory(site: &Site) -> String {
    let width = site.hosts.iter().map(|host| quoted(host).len()).max().unwrap_or(0) + 1;
    let mut out = format!(
        "# Cluster {cluster}, as it should be. Change this file, then let a playbook bring the hosts there:
#
#   quorate check                            is all of it sound? Connects to nobody
#   quorate plan playbooks/etcd-sync.yml     what would change
#   quorate play playbooks/etcd.yml          create the cluster
#   quorate play playbooks/etcd-sync.yml     a line added is a member added, a line deleted a member removed
#   quorate play playbooks/etcd-check.yml    how is it?
#
# What is not here has a default: roles/etcd/defaults/main.yml lists every variable with what it means.
all:
  children:

    # One member a host. etcd_seq is its number in the cluster, never used again once the host is gone; the member is
    # called {cluster}-<etcd_seq>. Three members survive the loss of one, five that of two.
    etcd:
      hosts:
",
        cluster = site.cluster
    );
    for (at, host) in site.hosts.iter().enumerate() {
        out.push_str(&format!("        {:<width$} {{ etcd_seq: {} }}\n", quoted(host) + ":", at + 1));
    }
    out.push_str(&format!(
        "      vars:
        etcd_cluster: {cluster}        # hosts that share it are one cluster

        # Forbids that etcd.yml purges members that live, which it would do to build the cluster anew. Only
        # `-t etcd_purge` goes past it. Leave it on wherever data matters.
        etcd_safeguard: true

        # etcd_data: /data/etcd            # best on a disk of its own
        # etcd_quota: 2147483648           # bytes; above it the cluster refuses writes
        # etcd_heartbeat_interval: 100     # ms; not below the slowest round trip between members
        # etcd_election_timeout: 1000      # ms; ten times that round trip
",
        cluster = site.cluster
    ));
    match &site.user {
        Some(user) => out.push_str(&format!("        ansible_user: {user}              # who logs in; becomes root by sudo\n")),
        None => out.push_str("        # ansible_user: admin              # who logs in, where ~/.ssh/config does not say; becomes root by sudo\n"),
    }
    out.push_str(
        "
    # Hosts that only administer: etcdctl is set up there as the operator, and Prometheus finds its targets.
    infra:
      hosts: {}

    # PostgreSQL with Patroni, which keeps its lock in etcd; one group a cluster. See playbooks/pgsql.yml.
    # pgsql:
    #   children:
    #     pg-test:
    #       hosts:
    #         10.10.10.20: { pg_seq: 1, pg_role: primary }
    #         10.10.10.21: { pg_seq: 2, pg_role: replica }
    #       vars: { pg_cluster: pg-test }
",
    );
    out
}

fn write(path: &Path, text: &str) -> Result<(), Cannot> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let cannot = |e: std::io::Error| Cannot::start(format!("cannot write {}: {e}", path.display()));
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(cannot)?;
    }
    let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
    let mut options = std::fs::OpenOptions::new();
    // never over, or through, what is there
    let mut file = options.write(true).create_new(true).mode(mode).open(path).map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)
}
