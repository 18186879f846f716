//! `etcd_snapshot` and `etcd_restore`: a cluster's data, out and in.
//!
//! **Invariant:** a file without `.part` at its end is complete and its hash is proven; a data directory under its final
//! name is a whole restore of exactly the snapshot and the token that its marker names.

use super::session::{Session, told};
use crate::run::actions::{ActionCall, remote};
use crate::run::task::Failure;
use quorate_etcd::snapshot::{SnapshotInfo, save};
use quorate_etcd::{Condition, Observation, Role, SeenMember};
use quorate_value::{Dict, Value, dict, str_of};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(super) async fn snapshot(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let mut session = Session::open(call).await?;
    let dest = session.args.text("dest").to_owned();
    let directory = dest.ends_with('/') || Path::new(&dest).is_dir();
    let passphrase = passphrase(&session)?;
    let suffix = if passphrase.is_some() { "db.vault" } else { "db" };
    let name = session.cluster.name().to_owned();
    let path = if directory {
        Path::new(&dest).join(format!("{name}-{}.{suffix}", stamp(SystemTime::now())))
    } else {
        PathBuf::from(&dest)
    };
    if directory {
        let max_age = Duration::from_secs(session.args.int("max_age").unwrap_or(0).max(0) as u64);
        if let Some((newest, age)) = newest(Path::new(&dest), &name).filter(|(_, age)| *age <= max_age) {
            return Ok(
                dict! {"changed" => false, "dest" => newest.display().to_string(), "age" => age.as_secs() as i64},
            );
        }
    }
    let seen = session.look().await;
    let member = source(&session, &seen)?;
    if call.check {
        return Ok(dict! {"changed" => true, "dest" => path.display().to_string(), "from" => member.label()});
    }
    let io = |error: std::io::Error| Failure::action(format!("{}: {error}", path.display()));
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists()) {
        std::fs::create_dir_all(parent).map_err(io)?;
        std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o700)).map_err(io)?;
    }
    let part = PathBuf::from(format!("{}.part", path.display()));
    let info = match write(&session, &member, &part).await {
        Ok(info) => info,
        Err(failure) => {
            let _gone = std::fs::remove_file(&part);
            return Err(failure);
        }
    };
    let sha256 = match passphrase {
        None => file_hash(&part).map_err(io)?,
        Some(secret) => {
            let plain = zeroize::Zeroizing::new(std::fs::read(&part).map_err(io)?);
            let text = quorate_vault::encrypt(&plain, &secret, None)
                .map_err(|error| Failure::action(format!("{}: {error}", path.display())))?;
            private(&part, text.as_bytes()).map_err(io)?;
            file_hash(&part).map_err(io)?
        }
    };
    std::fs::rename(&part, &path).map_err(io)?;
    let mut told = dict! {
        "cluster" => info.cluster.to_string(), "member" => info.member.to_string(), "version" => &info.version,
        "revision" => info.revision, "bytes" => info.bytes as i64, "sha256" => &sha256, "db_sha256" => &info.sha256,
    };
    let beside = PathBuf::from(format!("{}.json", path.display()));
    let style = quorate_value::JsonStyle { indent: Some(2), sort_keys: false, ascii: false, compact: false };
    private(&beside, format!("{}\n", style.write(&Value::dict(told.clone()))).as_bytes()).map_err(io)?;
    if let Some(parent) = path.parent() {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        std::fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(io)?;
    }
    let mut removed = Vec::new();
    if let Some(keep) = session.args.int("keep").filter(|_| directory) {
        for old in all(Path::new(&dest), &name).into_iter().skip(keep.max(1) as usize) {
            std::fs::remove_file(&old).map_err(io)?;
            let _may_lack_one = std::fs::remove_file(format!("{}.json", old.display()));
            removed.push(Value::from(old.display().to_string()));
        }
    }
    told.insert("changed", true);
    told.insert("dest", path.display().to_string());
    told.insert("from", member.label());
    told.insert("removed", Value::list(removed));
    Ok(told)
}

fn passphrase(session: &Session<'_>) -> Result<Option<quorate_vault::Secret>, Failure> {
    let Some(file) = session.args.nonempty("passphrase_file") else { return Ok(None) };
    let bytes = std::fs::read(file)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| Failure::action(format!("passphrase_file: {file}: {error}")))?;
    let text = std::str::from_utf8(&bytes).map_or(bytes.as_slice(), |text| text.trim_end().as_bytes());
    if text.is_empty() {
        return Err(Failure::action(format!("passphrase_file: {file} is empty")));
    }
    quorate_vault::Secret::new(text)
        .map(Some)
        .map_err(|error| Failure::action(format!("passphrase_file: {file}: {error}")))
}

/// Whom to ask: the follower furthest ahead, then the leader, then a voter without quorum, then a learner.
fn source(session: &Session<'_>, seen: &Observation) -> Result<SeenMember, Failure> {
    if let Some(host) = session.args.nonempty("host") {
        let member =
            seen.members.iter().find(|member| member.host.as_deref() == Some(host) && member.id.is_some());
        return member.cloned().ok_or_else(|| Failure::action(format!("{host} is no member of the cluster")));
    }
    let rank = |member: &&SeenMember| {
        let status = member.status.as_ref();
        let class = match (member.role, &member.condition) {
            (Role::Voter, Condition::Healthy) => 0,
            (Role::Voter, _) => 1,
            _ => 2,
        };
        let leads = member.id.is_some() && member.id == seen.leader;
        (class, leads, std::cmp::Reverse(status.map_or(0, |status| status.raft_applied)))
    };
    let answering = seen.members.iter().filter(|member| member.status.is_some() && member.id.is_some());
    answering.min_by_key(rank).cloned().ok_or_else(|| {
        Failure::action(format!("no member answers: {}", seen.members_line(std::time::Instant::now())))
    })
}

async fn write(session: &Session<'_>, member: &SeenMember, part: &Path) -> Result<SnapshotInfo, Failure> {
    let client = session.client(member).await?;
    let io = |error: std::io::Error| Failure::action(format!("{}: {error}", part.display()));
    let file = open(part).map_err(io)?;
    let mut file = tokio::fs::File::from_std(file);
    let info = save(&client, &mut file, |_| {}).await.map_err(told)?;
    file.sync_all().await.map_err(io)?;
    Ok(info)
}

fn open(path: &Path) -> std::io::Result<std::fs::File> {
    let _stale = std::fs::remove_file(path);
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn file_hash(path: &Path) -> std::io::Result<String> {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(quorate_agent::protocol::hex(&hash.finalize()))
}

/// Snapshots of this cluster in a directory, the newest first: their names begin with the cluster and a time.
fn all(dir: &Path, cluster: &str) -> Vec<PathBuf> {
    let is_one = |name: &str| {
        let rest = name.strip_prefix(cluster).and_then(|rest| rest.strip_prefix('-')).unwrap_or_default();
        let rest = rest.strip_suffix(".db").or_else(|| rest.strip_suffix(".db.vault")).unwrap_or_default();
        rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'T' || byte == b'Z')
    };
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_one))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.reverse();
    found
}

fn newest(dir: &Path, cluster: &str) -> Option<(PathBuf, Duration)> {
    let path = all(dir, cluster).into_iter().next()?;
    let age = SystemTime::now().duration_since(std::fs::metadata(&path).ok()?.modified().ok()?);
    Some((path, age.unwrap_or_default()))
}

/// `20261121T134501Z`.
fn stamp(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // days of the civil calendar, counted in eras of 400 years from 0000-03-01
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// On the host: one program, so that nothing is left half-way under the final name.
const RESTORE: &str = r#"set -eu
data=$1 snapshot=$2 sum=$3 name=$4 peer=$5 cluster=$6 token=$7 bump=$8 skip=$9 owner=${10} unit=${11} check=${12}
image=${13} runtime=${14}
say() { echo "$*" >&2; exit 3; }
[ -f "$snapshot" ] || say "$snapshot is not there"
found=$(sha256sum <"$snapshot"); found=${found%% *}
[ -z "$sum" ] || [ "$sum" = "$found" ] || say "$snapshot has the SHA-256 $found, not $sum"
mark="$found $token"
if [ -e "$data/.restored" ] && [ "$(cat "$data/.restored")" = "$mark" ]; then echo same; exit; fi
if [ -n "$unit" ] && [ -d /run/systemd/system ] && systemctl is-active -q "$unit"; then say "$unit runs: stop it first"; fi
if [ -e "$data" ] && [ -n "$(ls -A "$data")" ]; then say "$data is not empty: put it aside first"; fi
if [ -n "$image" ]; then
  above=$(dirname "$data") beside=$(dirname "$snapshot")
  # both directories under the paths they have here; etcdutl is not in images of 3.4
  inside() { entry=$1; shift; "$runtime" run --rm --network=host -v "$above:$above" $([ "$beside" = "$above" ] || echo "-v $beside:$beside") --env=ETCDCTL_API=3 --entrypoint="$entry" "$image" "$@"; }
  if inside etcdutl version >/dev/null 2>&1; then tool="inside etcdutl"
  elif inside etcdctl version >/dev/null 2>&1; then tool="inside etcdctl"
  else say "the image $image has neither etcdutl nor etcdctl, or cannot be run"; fi
elif command -v etcdutl >/dev/null; then tool=etcdutl
elif command -v etcdctl >/dev/null; then tool=etcdctl; export ETCDCTL_API=3
else say "neither etcdutl nor etcdctl is installed"; fi
more=
if [ "$skip" = yes ]; then more=--skip-hash-check=true; fi
if [ "$bump" = auto ]; then
  if $tool snapshot restore --help 2>&1 | grep -q -- --bump-revision; then bump=1000000000; else bump=0; fi
fi
if [ "$bump" != 0 ]; then
  $tool snapshot restore --help 2>&1 | grep -q -- --bump-revision || say "$tool cannot raise revisions: that needs etcdutl 3.5.10"
  more="$more --bump-revision $bump --mark-compacted"
fi
[ "$check" = no ] || { echo would; exit; }
new=$data.restoring
rm -rf "$new"
mkdir -p "$(dirname "$data")"
$tool snapshot restore "$snapshot" --data-dir "$new" --name "$name" --initial-advertise-peer-urls "$peer" \
  --initial-cluster "$cluster" --initial-cluster-token "$token" $more
echo "$mark" >"$new/.restored"
chown -R "$owner:$owner" "$new"
chmod 0700 "$new"
sync -f "$new"
[ ! -e "$data" ] || rmdir "$data"
mv -T "$new" "$data"
echo done
"#;

pub(super) async fn restore(call: &ActionCall<'_>) -> Result<Dict, Failure> {
    let args = super::checked(call)?;
    let data = args.text("data");
    let bump = args.text("bump");
    if bump != "auto" && (bump.is_empty() || !bump.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(Failure::action(format!("bump must be `auto` or a whole number, not `{bump}`")));
    }
    let mut words: Vec<String> = vec!["sh".into(), "-c".into(), RESTORE.into(), "restore".into()];
    words.extend(
        [
            data,
            args.text("snapshot"),
            args.text("sha256"),
            args.text("name"),
            args.text("peer"),
            args.text("initial_cluster"),
            args.text("token"),
        ]
        .map(str::to_owned),
    );
    words.push(args.text("bump").to_owned());
    words.push(if args.bool("skip_hash_check") { "yes" } else { "no" }.to_owned());
    words.push(args.text("owner").to_owned());
    words.push(args.text("unit").to_owned());
    words.push(if call.check { "yes" } else { "no" }.to_owned());
    words.push(args.text("image").to_owned());
    words.push(args.text("runtime").to_owned());
    let argv: Value = words.iter().map(Value::from).collect();
    let answer = remote::module_now(call, "command", dict! {"argv" => argv}).await?;
    let text = |name: &str| answer.get(name).map(str_of).unwrap_or_default();
    let failed = answer.get("rc").map(str_of).is_none_or(|rc| rc != "0");
    if failed {
        let said = text("stderr");
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>().join(" ");
        let last = if last.is_empty() { text("msg") } else { last };
        return Err(Failure::action(format!("{data} was not restored: {last}")));
    }
    Ok(dict! {"changed" => text("stdout").lines().last() != Some("same"), "data" => data})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_calendar() {
        let at = |seconds| stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "19700101T000000Z");
        assert_eq!(at(951_782_399), "20000228T235959Z");
        assert_eq!(at(951_782_400), "20000229T000000Z");
        assert_eq!(at(1_795_268_701), "20261121T134501Z");
        assert_eq!(at(4_107_542_400), "21000301T000000Z");
    }

    #[test]
    fn only_our_snapshots_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "a-20260101T000000Z.db",
            "a-20260102T000000Z.db.vault",
            "a-20260102T000000Z.db.vault.json",
            "a-20260103T000000Z.db.part",
            "b-20260104T000000Z.db",
            "a-b-20260104T000000Z.db",
            "a-notes.db",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let names: Vec<String> = all(dir.path(), "a")
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["a-20260102T000000Z.db.vault", "a-20260101T000000Z.db"]);
    }
}
