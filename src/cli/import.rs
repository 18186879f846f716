//! `quorate import`: looks at a running cluster and writes the inventory that describes it.
//!
//! In: one or more of its hosts, reached over ssh. Out: an inventory with which the first `etcd-sync.yml` changes nothing.
//!
//! What runs is found by its process, so it does not matter who set it up: a unit, a container, a shell. Members that
//! these roles did not make get `etcd_keep: true`.
//!
//! **Invariant:** nothing is written on any host, and no file that exists here is touched.

mod found;

use super::common::{self, Cannot, Shape};
use crate::plan::TagFilter;
use crate::playbook::{Entry, Play};
use crate::report::{Event, Status, display};
use crate::run::{Playbook, Runner};
use clap::Parser;
use found::{Found, Keys, Site};
use quorate_etcd::{Access, ClientIdentity, Endpoint, MemberClient};
use quorate_value::{FileId, Span, Str, Value, str_of};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// Look at a running cluster, and write the inventory that describes it. Changes nothing on any host.
#[derive(Debug, Parser)]
#[command(
    name = "quorate import",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate import 10.10.10.10\n  quorate import etcd1,etcd2 -u admin -o inventories/prod.yml\n\nOne host is enough: the cluster names the others, and they are looked at, too."
)]
struct Args {
    /// Hosts of the cluster
    #[arg(value_name = "HOST", required = true, value_delimiter = ',')]
    hosts: Vec<String>,
    /// The inventory to write
    #[arg(short, long, value_name = "FILE", default_value = "inventory.yml")]
    output: PathBuf,
    /// What to call the cluster, where its members' names do not tell
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Folder of the CA and the operator's certificate (files/pki beside the inventory, unless named)
    #[arg(long, value_name = "FOLDER")]
    pki: Option<PathBuf>,
    /// Who logs in
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Private key file
    #[arg(long, value_name = "FILE", alias = "key-file")]
    private_key: Option<PathBuf>,
    /// Arguments for every ssh
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    ssh_common_args: Option<String>,
    /// Ask for the password of the login
    #[arg(short = 'k', long)]
    ask_pass: bool,
    /// Ask for the password that becoming root needs
    #[arg(short = 'K', long)]
    ask_become_pass: bool,
    /// Seconds to wait for a connection
    #[arg(short = 'T', long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    super::run(super::parsed("quorate import", args, false), |args: Args| import(&args))
}

/// Tells of every etcd on a host, in lines. Reads only; names of files, never what secret files hold.
const LOOK: &str = r#"for p in /proc/[0-9]*; do
  exe=$(readlink "$p/exe" 2>/dev/null) || continue
  case "$exe" in */etcd|*"/etcd (deleted)") ;; *) continue ;; esac
  echo "process ${p#/proc/}"
  tr '\0' '\n' <"$p/cmdline" | sed 's/^/arg /'
  tr '\0' '\n' <"$p/environ" | grep -E '^ETCD(CTL)?_[A-Z_]*=' | grep -vE '^[A-Z_]*(PASSWORD|USER|TOKEN_SECRET)[A-Z_]*=' | sed 's/^/env /'
  sed 's/^/cgroup /' "$p/cgroup"
  f=$(tr '\0' '\n' <"$p/cmdline" | sed -n -e 's/^--*config-file=//p' -e '/^--*config-file$/{n;p;}' | head -1)
  [ -n "$f" ] || f=$(tr '\0' '\n' <"$p/environ" | sed -n 's/^ETCD_CONFIG_FILE=//p' | head -1)
  if [ -n "$f" ] && [ -f "$p/root$f" ]; then sed 's/^/conf /' "$p/root$f"; fi
  up=$(awk '$1 == "PPid:" { print $2 }' "$p/status")
  for tool in podman docker; do
    command -v $tool >/dev/null 2>&1 || continue
    ids=$($tool ps -q 2>/dev/null)
    [ -z "$ids" ] || $tool inspect --format 'pid {{.State.Pid}} {{.Name}} {{.Config.Image}}{{range .Mounts}} {{.Source}}:{{.Destination}}{{end}}' $ids 2>/dev/null |
      sed -n -e "s#^pid ${p#/proc/} /*#container $tool #p" -e "s#^pid $up /*#container $tool #p"
  done
  if grep -q kubepods "$p/cgroup" && [ -e /etc/kubernetes/manifests/etcd.yaml ]; then echo 'container staticpod etcd'; fi
done
if grep -qsi 'written by etcd.yml' /etc/systemd/system/etcd.service && grep -qsi 'written by etcd.yml' /etc/etcd/etcd.conf; then echo ours; fi
if grep -qsi 'written by etcd.yml' /etc/etcd/etcd.conf; then echo configured; fi
cat /etc/profile.d/etcdctl.sh /etc/profile.d/etcd.sh /etc/etcd/etcdctl.env /etc/etcd.env 2>/dev/null | sed -nE "s/^(export )?(ETCDCTL_(CACERT|CERT|KEY|CA_FILE|CERT_FILE|KEY_FILE))=[\"']?([^\"']*)[\"']?\$/ctl \2=\4/p"
echo done"#;

/// What hosts said, or why they did not.
type Said = BTreeMap<String, Result<String, String>>;

fn import(args: &Args) -> Result<(), Cannot> {
    if args.output.symlink_metadata().is_ok() {
        return Err(Cannot::start(format!(
            "`{}` is there already; nothing was written. Name another file with -o",
            args.output.display()
        )));
    }
    let dir = args.output.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let pki = args.pki.clone().unwrap_or_else(|| dir.join("files/pki"));
    let runtime = common::runtime()?;
    let mut looked: BTreeMap<String, Found> = BTreeMap::new();
    let mut silent: BTreeMap<String, String> = BTreeMap::new();
    note(ask(args, &runtime, &args.hosts, LOOK)?, &mut looked, &mut silent);
    let Some((first, seen)) = looked.iter().next().map(|(host, found)| (host.clone(), found.clone())) else {
        let why: Vec<String> = silent.iter().map(|(host, why)| format!("  {host}: {why}")).collect();
        return Err(Cannot::start(format!("no etcd was found; nothing was written\n{}", why.join("\n"))));
    };
    // the operator's certificate: ours where it is here, else one that the host itself uses; none for plain HTTP
    let plain = seen.client_url().starts_with("http://");
    let ours = operator(&pki).filter(|_| !plain);
    let fetched = if ours.is_some() || plain { None } else { Some(fetch(args, &runtime, &first, &seen)?) };
    let identity = ours
        .as_ref()
        .or(fetched.as_ref())
        .map(|keys| ClientIdentity::new(&keys.ca, &keys.cert, Zeroizing::new(keys.key.to_vec())))
        .transpose()
        .map_err(|e| Cannot::start(format!("the certificate found on {first} cannot be used: {e}")))?;
    let members = runtime.block_on(members(&looked, &Access::direct(identity)))?;

    // whoever the cluster names is looked at, too
    let missing: Vec<String> = members
        .iter()
        .filter(|member| !looked.iter().any(|(host, found)| member.is(host, found)))
        .map(|member| member.address.clone())
        .filter(|address| !address.is_empty() && !silent.contains_key(address))
        .collect();
    if !missing.is_empty() {
        note(ask(args, &runtime, &missing, LOOK)?, &mut looked, &mut silent);
    }
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));

    let mut site = Site::new(args.cluster.as_deref(), &members, &looked, &silent).map_err(Cannot::start)?;
    site.user.clone_from(&args.user);
    // without the authority's key nothing can be issued, so nothing is set up
    site.adopted |= ours.is_none() && !plain;
    let mut written = Vec::new();
    if let Some(keys) = &fetched {
        for (name, bytes, mode) in [
            ("ca.crt", &keys.ca[..], 0o644),
            ("etcd/root.crt", &keys.cert[..], 0o644),
            ("etcd/root.key", &keys.key[..], 0o600),
        ] {
            written.push(create(&pki.join(name), bytes, mode)?);
        }
    }
    let named = args.pki.as_ref().map(|dir| std::path::absolute(dir).unwrap_or_else(|_| dir.clone()));
    written.push(create(&args.output, site.inventory(named.as_deref()).as_bytes(), 0o644)?);
    for path in written {
        display::out(&format!("wrote {}", path.display()));
    }
    display::out(&site.summary());
    display::out(&format!(
        "\nnext:\n  quorate plan playbooks/etcd-sync.yml -i {0}     # nothing should be pending\n  quorate play playbooks/etcd-check.yml -i {0}    # how is it?",
        args.output.display()
    ));
    Ok(())
}

fn note(said: Said, looked: &mut BTreeMap<String, Found>, silent: &mut BTreeMap<String, String>) {
    for (host, said) in said {
        match said.and_then(|text| Found::read(&text)) {
            Ok(found) => drop(looked.insert(host, found)),
            Err(why) => drop(silent.insert(host, why)),
        }
    }
}

/// The CA and the operator's pair, where they lie here.
fn operator(pki: &Path) -> Option<Keys> {
    let read = |name: &str| std::fs::read(pki.join(name)).ok();
    Some(Keys {
        ca: read("ca.crt")?,
        cert: read("etcd/root.crt")?,
        key: Zeroizing::new(read("etcd/root.key")?),
    })
}

/// A client's certificate that the host has, with its CA.
fn fetch(args: &Args, runtime: &tokio::runtime::Runtime, host: &str, seen: &Found) -> Result<Keys, Cannot> {
    let mut why = String::from("it names no certificate");
    for (ca, cert, key) in seen.pairs() {
        let quote = |path: &str| format!("'/proc/{}/root{}'", seen.pid, path.replace('\'', "'\\''"));
        // what the process sees, and failing that (a client's files are often beside a container) the host itself
        let one = |path: &str| {
            let plain = path.replace('\'', "'\\''");
            format!("{{ base64 -w0 {} 2>/dev/null || base64 -w0 '{plain}'; }} && echo", quote(path))
        };
        let script = format!("{} && {} && {} && echo done", one(&ca), one(&cert), one(&key));
        let mut said = ask(args, runtime, &[host.to_owned()], &script)?;
        match said.remove(host) {
            Some(Ok(text)) => {
                let mut parts = text.lines().map(found::decode);
                if let (Some(Some(ca)), Some(Some(cert)), Some(Some(key))) =
                    (parts.next(), parts.next(), parts.next())
                {
                    let keys = Keys { ca, cert, key: Zeroizing::new(key) };
                    match ClientIdentity::new(&keys.ca, &keys.cert, keys.key.clone()) {
                        Ok(_) => return Ok(keys),
                        Err(e) => why = format!("{cert}: {e}", cert = host),
                    }
                }
            }
            Some(Err(text)) => why = text,
            None => {}
        }
    }
    Err(Cannot::start(format!(
        "no certificate to speak with the cluster was found on {host}: {why}. Put ca.crt, etcd/root.crt and etcd/root.key into a folder, and name it with --pki; nothing was written"
    )))
}

/// The cluster's own list.
async fn members(looked: &BTreeMap<String, Found>, access: &Access) -> Result<Vec<found::Member>, Cannot> {
    let mut why = String::new();
    for found in looked.values() {
        let url: Endpoint = match found.client_url().parse() {
            Ok(url) => url,
            Err(_) => {
                why = format!("{} is no address of a client port", found.client_url());
                continue;
            }
        };
        let list = async { MemberClient::connect(&url, access).await?.member_list().await };
        match list.await {
            Ok(list) => {
                return Ok(list
                    .members
                    .into_iter()
                    .map(|member| {
                        found::Member::new(
                            &member.name,
                            &member.peer_urls,
                            &member.client_urls,
                            member.learner,
                        )
                    })
                    .collect());
            }
            Err(error) => why = error.to_string(),
        }
    }
    Err(Cannot::start(format!("no member tells who the others are: {why}; nothing was written")))
}

/// Runs a script on hosts, as root, and gives what it printed.
fn ask(
    args: &Args,
    runtime: &tokio::runtime::Runtime,
    hosts: &[String],
    script: &str,
) -> Result<Said, Cannot> {
    let shape = Shape {
        inventory: vec![format!("{},", hosts.join(","))],
        user: args.user.clone(),
        private_key: args.private_key.clone(),
        ssh_common_args: args.ssh_common_args.clone(),
        ask_pass: args.ask_pass,
        ask_become_pass: args.ask_become_pass,
        timeout: args.timeout,
        become_: true,
        ..Shape::default()
    };
    let ground = common::ground(&shape, None, false, (&[], &[]))?;
    let file = FileId::register(Path::new("<import>"), "- raw: look\n".into());
    let span = Span::new(file, 1, 3);
    let arguments = Value::dict(quorate_value::dict! { "_raw_params" => Value::Str(Str::new(script)) });
    let task = ground
        .shared
        .loader()
        .adhoc("ansible.builtin.raw", arguments, span)
        .map_err(|diag| Cannot::start(diag.render(false)))?;
    let play = Play {
        name: Some(Str::new("import")),
        gather_facts: Some(Value::Bool(false)),
        tasks: vec![Entry::Task(Arc::new(task))],
        ..Play::of(span, PathBuf::from("import.yml"), Value::from("all"))
    };
    let said: Arc<Mutex<Said>> = Arc::default();
    let run = common::start_silent(&ground);
    {
        let said = said.clone();
        let mut events = run.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *events = Box::new(move |event| {
            let Event::Result { outcome, .. } = event else { return };
            let text = |name: &str| outcome.result.get(name).map(str_of).unwrap_or_default();
            let good =
                matches!(outcome.status, Status::Ok | Status::Changed) && text("stdout").contains("done");
            let answer = if good {
                Ok(text("stdout"))
            } else {
                let why = [text("msg"), text("stderr")].into_iter().find(|text| !text.trim().is_empty());
                Err(why.unwrap_or_else(|| "it did not answer".into()).trim().to_owned())
            };
            let mut said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            said.insert(outcome.host.to_string(), answer);
        });
    }
    runtime.block_on(async {
        let mut runner = Runner::new(run.clone(), TagFilter::default(), None, None);
        let book = Playbook { path: "import.yml".into(), plays: vec![play] };
        let outcome = runner.playbook(&book).await;
        run.guard.close().await;
        run.pool.close().await;
        outcome.map_err(|diag| Cannot::start(diag.render(false)))
    })?;
    let said = std::mem::take(&mut *said.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    Ok(said)
}

/// Writes a file that is not there yet.
fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, Cannot> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let cannot = |e: std::io::Error| Cannot::start(format!("cannot write {}: {e}", path.display()));
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        if mode == 0o600 || dir.ends_with("pki") {
            builder.mode(0o700);
        }
        builder.create(dir).map_err(cannot)?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).map_err(cannot)?;
    file.write_all(bytes).map_err(cannot)?;
    Ok(path.to_path_buf())
}
