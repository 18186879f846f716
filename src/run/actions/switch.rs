//! The dead man's switch of `rollback_after`: what a block touches on a host is kept, and a timer of that host puts it
//! back unless a fresh connection says that all is well.
//!
//! In: each task of the block, just before it runs. Out: scripts for the host; the verdict at the block's end.
//!
//! **Invariant:** a task of the block runs only after what it touches was kept and a timer was set that does not need
//! us; of the timer and the confirmation exactly one wins (`mkdir` decides).

use super::remote;
use super::{ActionCall, ActionResult};
use crate::connect::{Become, Target};
use crate::run::task::Failure;
use quorate_agent::protocol::hex;
use quorate_agent::system::shlex;
use quorate_value::{Dict, Value, dict, str_of};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a host gets for putting things back, once its timer has fired.
const GRACE: Duration = Duration::from_secs(20);

/// The switches of a run, by host.
#[derive(Default)]
pub struct Switches {
    armed: Mutex<HashMap<String, Armed>>,
    back: AtomicBool,
}

#[derive(Clone)]
struct Armed {
    id: String,
    after: u64,
    /// Where and as whom the timer was set; nothing until a task has run.
    set: Option<(Target, Option<Become>, Instant)>,
}

impl Switches {
    fn armed(&self) -> MutexGuard<'_, HashMap<String, Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something was put back.
    pub fn rolled_back(&self) -> bool {
        self.back.load(Ordering::Relaxed)
    }

    /// Hosts that nobody has confirmed, and within how many seconds they put things back by themselves.
    pub fn open(&self) -> Vec<(String, u64)> {
        let mut open: Vec<(String, u64)> = self
            .armed()
            .iter()
            .filter_map(|(host, armed)| {
                let (.., since) = armed.set.as_ref()?;
                Some((host.clone(), armed.after.saturating_sub(since.elapsed().as_secs())))
            })
            .collect();
        open.sort();
        open
    }
}

/// `quorate_switch`: the beginning and the end of a block with `rollback_after`.
pub(super) async fn switch(call: &ActionCall<'_>) -> ActionResult {
    let state = call.args.get("state").map(str_of).unwrap_or_default();
    let host = call.host.to_string();
    let same = || Ok((dict! {"changed" => false}, Vec::new()));
    if call.check {
        return same();
    }
    match state.as_str() {
        "armed" => {
            let after = call.args.get("after").map(seconds).transpose()?.unwrap_or(60);
            let id = crate::journal::random::<8>()
                .map_err(|e| Failure::action(format!("no random number: {e}")))?;
            let id = hex(&id);
            call.run.switches.armed().insert(host, Armed { id, after, set: None });
            same()
        }
        "confirmed" => {
            let armed = call.run.switches.armed().get(&host).cloned();
            let Some(Armed { id, after, set: Some((target, become_, since)) }) = armed else {
                // no task of the block has touched the host
                call.run.switches.armed().remove(&host);
                return same();
            };
            confirm(call, &id, after, &target, become_.as_ref(), since).await
        }
        "rolled_back" => {
            let armed = call.run.switches.armed().remove(&host);
            let fails = call.args.get("fails").and_then(Value::to_bool_loose).unwrap_or(false);
            let mut what = "nothing was touched".to_owned();
            if let Some(Armed { id, set: Some((target, become_, _)), .. }) = armed {
                call.run.switches.back.store(true, Ordering::Relaxed);
                let said = shell(call, &target, become_.as_ref(), &back_now(&id)).await?;
                if rc(&said) != 0 {
                    return Err(Failure::action(format!(
                        "putting back failed, its timer tries again: {}",
                        said.get("stderr").map(str_of).unwrap_or_default().trim()
                    )));
                }
                let paths = said.get("stdout").map(str_of).unwrap_or_default();
                what = format!("put back: {}", paths.split_whitespace().collect::<Vec<_>>().join(", "));
            }
            if fails {
                return Err(Failure::action(format!(
                    "a task of the block failed, and it was rolled back ({what})"
                )));
            }
            Ok((dict! {"changed" => true, "msg" => what}, Vec::new()))
        }
        other => Err(Failure::action(format!("`{other}` is no state of a switch"))),
    }
}

/// `60`, `60s`, `2m`.
fn seconds(value: &Value) -> Result<u64, Failure> {
    let text = str_of(value);
    let (digits, factor) = match text.trim().strip_suffix('m') {
        Some(digits) => (digits, 60),
        None => (text.trim().trim_end_matches('s'), 1),
    };
    let seconds = digits.trim().parse::<u64>().ok().map(|n| n * factor).filter(|n| (5..=86_400).contains(n));
    seconds.ok_or_else(|| {
        Failure::action(format!("rollback_after: `{text}` is no time between 5s and 24h, such as 60s or 2m"))
    })
}

/// Whether a task stands inside of such a block: it waits for its turn.
pub(crate) fn is_armed(call: &ActionCall<'_>) -> bool {
    !call.check && call.run.switches.armed().contains_key(&call.host.to_string())
}

/// Called before every task: inside of such a block, what the task touches is kept and the timer set anew.
pub(crate) async fn before(call: &ActionCall<'_>) -> Result<(), Failure> {
    if call.check || call.delegated.is_some() || call.module == "quorate_switch" {
        return Ok(());
    }
    let Some(armed) = call.run.switches.armed().get(&call.host.to_string()).cloned() else { return Ok(()) };
    if crate::journal::runs_again(&call.module) || matches!(call.module.as_str(), "pause" | "fail" | "fetch")
    {
        return Ok(());
    }
    let (paths, units) = touched(&call.module, &call.args);
    let script = arm(&armed.id, armed.after, &paths, &units);
    let said = shell(call, call.target, call.become_, &script).await?;
    if rc(&said) != 0 {
        let why = said.get("stderr").map(str_of).unwrap_or_default();
        return Err(Failure::action(format!(
            "rollback_after: the switch cannot be set, so the task was not run: {}",
            why.trim()
        )));
    }
    let set = Some((call.target.clone(), call.become_.cloned(), Instant::now()));
    call.run.switches.armed().insert(call.host.to_string(), Armed { set, ..armed });
    Ok(())
}

async fn shell(
    call: &ActionCall<'_>,
    target: &Target,
    become_: Option<&Become>,
    script: &str,
) -> Result<Dict, Failure> {
    remote::module_at(call, target, become_, "ansible.builtin.shell", dict! {"_raw_params" => script}).await
}

fn rc(said: &Dict) -> i64 {
    said.get("rc").and_then(Value::as_int).unwrap_or(-1)
}

/// Tries to come in anew until the host's own time is over.
async fn confirm(
    call: &ActionCall<'_>,
    id: &str,
    after: u64,
    target: &Target,
    become_: Option<&Become>,
    since: Instant,
) -> ActionResult {
    let host = call.host.to_string();
    let mut fresh = target.clone();
    fresh.timeout = Duration::from_secs(after.clamp(2, 5));
    fresh.retries = 0;
    let deadline = since + Duration::from_secs(after);
    let mut why = String::new();
    loop {
        // nothing that was open before counts
        call.run.pool.reset(&call.target.host).await;
        match shell(call, &fresh, become_, &confirmed(id)).await {
            Ok(said) if rc(&said) == 0 => {
                call.run.switches.armed().remove(&host);
                return Ok((dict! {"changed" => false, "msg" => "a fresh connection came in"}, Vec::new()));
            }
            Ok(said) if rc(&said) == 3 => break,
            Ok(said) => why = said.get("stderr").map(str_of).unwrap_or_default(),
            Err(failure) => why = failure.result.get("msg").map(str_of).unwrap_or_default(),
        }
        if Instant::now() >= deadline + GRACE {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    call.run.switches.back.store(true, Ordering::Relaxed);
    let why = why.trim().lines().last().unwrap_or("it came too late").to_owned();
    Err(Failure::action(format!(
        "no fresh connection came in within {after} s, so {host} has put back what the block changed (last: {why})"
    )))
}

/// Paths and units that a task touches. Each path with whether all below it goes.
fn touched(module: &str, args: &Dict) -> (Vec<(String, bool)>, Vec<String>) {
    let text = |names: &[&str]| {
        names.iter().find_map(|name| args.get(*name)).filter(|value| !value.is_null()).map(str_of)
    };
    let mut paths = Vec::new();
    let mut units = Vec::new();
    match module {
        "copy" | "template" | "assemble" | "get_url" => {
            let src = text(&["src", "url"]).unwrap_or_default();
            let name = src.rsplit('/').next().unwrap_or_default().to_owned();
            if let Some(dest) = text(&["dest"]) {
                // a folder, or the file in it: whichever it is
                paths.push((format!("{}/{name}", dest.trim_end_matches('/')), false));
                paths.push((dest.trim_end_matches('/').to_owned(), false));
            }
        }
        "file" => {
            let whole = text(&["state"]).as_deref() == Some("absent");
            paths.extend(text(&["path", "dest", "name"]).map(|path| (path, whole)));
        }
        "lineinfile" | "blockinfile" | "replace" | "ini_file" | "openssl_privatekey" | "x509_certificate"
        | "openssl_csr" | "openssh_keypair" => {
            paths.extend(text(&["path", "dest", "name"]).map(|path| (path, false)));
        }
        "hostname" => paths.push(("/etc/hostname".into(), false)),
        "sysctl" => {
            paths.push((text(&["sysctl_file"]).unwrap_or_else(|| "/etc/sysctl.conf".into()), false));
        }
        "user" | "group" => {
            paths.extend(
                ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"].map(|p| (p.into(), false)),
            );
        }
        "mount" => paths.push((text(&["fstab"]).unwrap_or_else(|| "/etc/fstab".into()), false)),
        "service" | "systemd" | "systemd_service" | "sysvinit" => {
            units.extend(text(&["name", "service", "unit"]));
        }
        _ => {}
    }
    paths.retain(|(path, _)| path.starts_with('/') && path.len() > 1 && !path.ends_with('/'));
    (paths, units)
}

fn folder(id: &str) -> String {
    format!("/var/lib/quorate/rollback/{id}")
}

fn arm(id: &str, after: u64, paths: &[(String, bool)], units: &[String]) -> String {
    let short = |text: &str| hex(&Sha256::digest(text)[..8]);
    let mut out = format!("set -eu\numask 077\nd={}\nid={id}\n", folder(id));
    out.push_str(ARM);
    for (path, whole) in paths {
        let whole = if *whole { "whole" } else { "own" };
        out.push_str(&format!("keep {} {} {whole}\n", short(path), shlex::quote(path)));
    }
    for unit in units {
        out.push_str(&format!("unit {} {}\n", short(unit), shlex::quote(unit)));
    }
    out.push_str(&format!(
        "cat > \"$d/restore.sh\" <<'RESTORE'\nd={}\nid={id}\n{RESTORE}RESTORE\n",
        folder(id)
    ));
    out.push_str(&format!("after={after}\n{TIMER}"));
    out
}

const ARM: &str = r#"[ "$(id -u)" = 0 ] || { echo 'it needs root: set become' >&2; exit 1; }
if ! command -v systemd-run >/dev/null || ! [ -d /run/systemd/system ]; then
  echo 'it needs systemd on the host' >&2; exit 1
fi
mkdir -p -m 700 /var/lib/quorate /var/lib/quorate/rollback
mkdir -p -m 700 "$d"
[ ! -e "$d/decided" ] || { echo 'it has been rolled back already' >&2; exit 1; }
keep() {
  [ -e "$d/$1.seen" ] && return 0
  if [ -L "$2" ] || { [ -e "$2" ] && [ ! -d "$2" ]; }; then
    cp -a -- "$2" "$d/$1.data"; echo file > "$d/$1.kind"
  elif [ -d "$2" ] && [ "$3" = whole ]; then
    size=$(du -sk -- "$2" | cut -f1)
    [ "$size" -le 262144 ] || { echo "$2 is too large to keep a copy of ($size KiB)" >&2; exit 1; }
    cp -a -- "$2" "$d/$1.data"; echo tree > "$d/$1.kind"
  elif [ -d "$2" ]; then
    stat -c 'folder %u:%g %a' -- "$2" > "$d/$1.kind"
  else
    echo absent > "$d/$1.kind"
  fi
  printf '%s' "$2" > "$d/$1.path"
  : > "$d/$1.seen"
}
unit() {
  [ -e "$d/$1.unit" ] && return 0
  active=$(systemctl is-active -- "$2" || true)
  enabled=$(systemctl is-enabled -- "$2" 2>/dev/null || true)
  printf '%s\n%s\n%s\n' "$2" "$active" "$enabled" > "$d/$1.unit"
}
"#;

const RESTORE: &str = r#"cd /
# a machine that went down half-way through goes on when it is up again
mkdir "$d/decided" 2>/dev/null || { [ "${1-}" = boot ] && [ -e "$d/restoring" ] && [ ! -e "$d/restored" ]; } || exit 0
: > "$d/restoring"
for seen in "$d"/*.seen; do
  [ -e "$seen" ] || continue
  b=${seen%.seen}; p=$(cat "$b.path"); kind=$(cat "$b.kind")
  case $kind in
    absent) rm -rf -- "$p";;
    file)
      cp -a -- "$b.data" "$p.quorate-back"
      [ ! -d "$p" ] || [ -L "$p" ] || rm -rf -- "$p"
      mv -fT -- "$p.quorate-back" "$p";;
    tree) rm -rf -- "$p"; cp -a -- "$b.data" "$p";;
    folder*)
      set -- $kind
      mkdir -p -- "$p"; chown "$2" -- "$p"; chmod "$3" -- "$p";;
  esac
done
systemctl daemon-reload
for u in "$d"/*.unit; do
  [ -e "$u" ] || continue
  { read -r name; read -r active; read -r enabled || :; } < "$u"
  case $enabled in
    enabled|disabled) verb=${enabled%d}; systemctl "$verb" -- "$name";;
  esac
  case $active in
    active|activating|reloading) systemctl restart -- "$name";;
    *) systemctl stop -- "$name";;
  esac
done
rm -f -- "/etc/systemd/system/timers.target.wants/quorate-rollback-$id.timer" \
  "/etc/systemd/system/quorate-rollback-$id.timer" "/etc/systemd/system/quorate-rollback-$id.service"
: > "$d/restored"
"#;

/// A unit for the next boot, and the timer of this one.
const TIMER: &str = r#"u=/etc/systemd/system/quorate-rollback-$id
if ! { printf '%s\n' '[Unit]' 'Description=Put back what nobody has confirmed (rollback_after)' '[Service]' \
    'Type=oneshot' "ExecStart=/bin/sh $d/restore.sh boot" > "$u.service" &&
  printf '%s\n' '[Unit]' 'Description=Put back what nobody confirms after a boot (rollback_after)' '[Timer]' \
    "OnBootSec=${after}s" 'AccuracySec=500ms' > "$u.timer" &&
  mkdir -p /etc/systemd/system/timers.target.wants &&
  ln -sf "../quorate-rollback-$id.timer" /etc/systemd/system/timers.target.wants/; }; then
  echo 'no unit can be set for the next boot: is /etc/systemd/system read-only?' >&2; exit 1
fi
# all of it is on the disk before anything is changed
sync "$d"/* "$d" "$u.service" "$u.timer" /etc/systemd/system/timers.target.wants 2>/dev/null || sync
n=$(cat "$d/n" 2>/dev/null || echo 0)
next=$((n + 1))
systemd-run --quiet --collect --unit="quorate-rollback-$id-$next" --on-active="${after}s" \
  --timer-property=AccuracySec=500ms /bin/sh "$d/restore.sh"
echo "$next" > "$d/n"
[ "$n" = 0 ] || systemctl stop "quorate-rollback-$id-$n.timer" 2>/dev/null || true
"#;

fn confirmed(id: &str) -> String {
    format!(
        "d={}\n[ -d \"$d\" ] || exit 3\nmkdir \"$d/decided\" 2>/dev/null || exit 3\nrm -f /etc/systemd/system/timers.target.wants/quorate-rollback-{id}.timer /etc/systemd/system/quorate-rollback-{id}.timer /etc/systemd/system/quorate-rollback-{id}.service\nsystemctl stop \"quorate-rollback-{id}.timer\" 2>/dev/null\nsystemctl stop \"quorate-rollback-{id}-$(cat \"$d/n\").timer\" 2>/dev/null\nrm -rf -- \"$d\"\n",
        folder(id)
    )
}

/// Puts back at once, and says which paths.
fn back_now(id: &str) -> String {
    format!(
        "d={}\n[ -d \"$d\" ] || exit 0\n/bin/sh \"$d/restore.sh\"\ni=0\nwhile [ ! -e \"$d/restored\" ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done\n[ -e \"$d/restored\" ] || exit 1\nsystemctl stop \"quorate-rollback-{id}-$(cat \"$d/n\").timer\" 2>/dev/null\nfor p in \"$d\"/*.path; do [ -e \"$p\" ] && {{ cat \"$p\"; echo; }}; done\nrm -rf -- \"$d\"\n",
        folder(id)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tasks_touch() {
        let said = |module: &str, args: Dict| {
            let (paths, units) = touched(module, &args);
            let mut out: Vec<String> = paths
                .into_iter()
                .map(|(path, whole)| if whole { format!("{path} and below") } else { path })
                .collect();
            out.extend(units);
            out.join(" ")
        };
        #[rustfmt::skip] // read in columns
        let cases: Vec<(&str, Dict, &str)> = vec![
            ("template", dict! {"src" => "a/sshd.j2", "dest" => "/etc/ssh/sshd_config"}, "/etc/ssh/sshd_config/sshd.j2 /etc/ssh/sshd_config"),
            ("copy", dict! {"src" => "a/x", "dest" => "/etc/"}, "/etc/x /etc"),
            ("file", dict! {"path" => "/etc/x", "state" => "absent"}, "/etc/x and below"),
            ("file", dict! {"path" => "/", "state" => "absent"}, ""),
            ("systemd", dict! {"name" => "ssh", "state" => "restarted"}, "ssh"),
            ("command", dict! {"_raw_params" => "true"}, ""),
        ];
        for (module, args, wanted) in cases {
            assert_eq!(said(module, args), wanted, "{module}");
        }
    }

    #[test]
    fn times() {
        let said = |text: &str| seconds(&Value::from(text)).ok();
        assert_eq!(
            [said("60"), said("60s"), said("2m"), said("1"), said("soon")],
            [Some(60), Some(60), Some(120), None, None]
        );
    }

    /// The scripts are shell that a shell reads, whatever the paths hold.
    #[test]
    fn scripts_are_shell() {
        let script = arm("ab", 60, &[("/etc/it's; rm -rf $HOME".into(), true)], &["ssh@a b".into()]);
        for text in [script, RESTORE.to_owned(), confirmed("ab"), back_now("ab")] {
            let checked = std::process::Command::new("sh")
                .args(["-n", "-c", &text])
                .output()
                .expect("there is a shell");
            assert!(checked.status.success(), "{}\n{text}", String::from_utf8_lossy(&checked.stderr));
        }
    }
}
