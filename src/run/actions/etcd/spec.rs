//! What the modules of this family take: one table for checking arguments and for `quorate doc`.
//!
//! Every one that speaks to a cluster finds it in the same three ways: `members`, `endpoints`, or the inventory.

use quorate_agent::modules::etcd_service::PROCESS;
use quorate_agent::spec::{Check, Kind, Param, RequiredIf, Rules, Spec};

/// The parameters of a module, and behind them those that name a cluster.
macro_rules! cluster {
    ($($param:expr,)*) => {
        &[
            $($param,)*
            Param::new("members", Kind::Dict).doc("The cluster: host to `name`, `endpoint` and `peer` of its member. Without this and `endpoints`, the cluster of the inventory that the host belongs to."),
            Param::list("endpoints", Kind::Str).doc("The cluster: URLs for clients of some of its members. The others are found by asking."),
            Param::str("cluster").doc("The cluster: its `etcd_cluster` in the inventory, for hosts that belong to none."),
            Param::path("ca").doc("File of the controller with the certificates that sign the cluster's. Default: `etcd_operator.ca`, else `ca.crt` in `pki_dir`."),
            Param::path("cert").doc("File of the controller with the operator's certificate. Default: `etcd_operator.cert`, else `etcd/root.crt` in `pki_dir`."),
            Param::path("key").aliases(&["client_key"]).doc("File of the controller with its private key. Default: `etcd_operator.key`, else `etcd/root.key` in `pki_dir`."),
            Param::str("login_user").doc("User of etcd to log in as, where the certificate is not enough."),
            Param::str("login_password").no_log().doc("Its password."),
        ]
    };
}

const fn module(name: &'static str, summary: &'static str) -> Spec {
    Spec::new(name, summary).collection("quorate").world()
}

const HOST: Param =
    Param::str("host").doc("The member: a host of the inventory. Default: the host of the task.");
const ID: Param = Param::str("id").doc("The member, by its id in hex.");
const STATE: &[&str] = &["present", "absent"];

const PERMISSION: &[Param] = &[
    Param::str("key").aliases(&["prefix"]).required().no_log_false().doc("The key, or the first of a range."),
    Param::str("range_end").doc("The first key behind the range. Not together with `recursive`."),
    Param::bool("recursive")
        .default_bool(false)
        .doc("All keys that begin with `key`; with an empty `key`, all."),
    Param::str("permission").required().choices(&["read", "write", "readwrite"]).doc("What is allowed."),
];

/// All of the family.
pub static SPECS: &[Spec] = &[
    module("etcd_guard", "Ask whether members of an etcd cluster may be taken away, and open the gate for it").params(cluster![
        Param::str("step").required().choices(&["purge", "stop", "restart"]).doc("What is about to happen."),
        Param::list("hosts", Kind::Str).required().doc("The hosts it happens to."),
    ]),
    module("etcd_health", "Wait until members of an etcd cluster are healthy").params(cluster![
        Param::int("count").doc("How many started members the cluster must have."),
        Param::str("expect").default_str("voters").choices(&["voters", "learner"]).doc("What they must be: voters that read linearizably, or at least learners."),
        Param::int("timeout").default_int(60).doc("Seconds to wait."),
    ]),
    module("etcd_info", "Tell what an etcd cluster says of itself").params(cluster![
        Param::int("timeout").default_int(0).doc("Seconds to wait for a quorum, since an election takes a moment. Without one it tells what there is."),
    ]),
    module("etcd_live", "Tell whether a host carries a live member of etcd, one at rest, or what one left behind").params(&[
        Param::str("endpoint").required().doc("Its URL for clients."),
        Param::str("peer").required().doc("Its URL for other members."),
        Param::str("unit").default_str("etcd").doc("Its systemd unit."),
        Param::new("process", Kind::Dict).options(PROCESS).apply_defaults().doc("How it is run, where no unit of systemd does."),
        Param::path("data").required().doc("Its data directory."),
        Param::path("ca").doc("File of the controller with the certificates that sign the cluster's."),
        Param::path("cert").doc("File of the controller with the operator's certificate."),
        Param::path("key").doc("File of the controller with its private key."),
    ]),
    module("etcd_member", "Announce, promote or remove a member of an etcd cluster").params(cluster![
        Param::str("state").default_str("present").choices(&["present", "promoted", "absent", "updated"]).doc("`present`: in the member list, announced if need be. `promoted`: a voter; waits until it has caught up. `absent`: not in the member list; leadership is moved away first. `updated`: listed at `peer`, whatever address it had."),
        HOST,
        ID,
        Param::str("peer").doc("The member, by its URL for other members. For `updated`, the new one."),
        Param::str("name").doc("The member, by its own name."),
        Param::bool("learner").default_bool(true).doc("Announce it without a vote. The safe way: it gets its vote once it has caught up."),
        Param::int("timeout").default_int(300).doc("Seconds that a learner may take to catch up."),
    ]),
    module("etcd_leader", "Move the leadership of an etcd cluster").params(cluster![
        Param::str("to").doc("The host that shall lead."),
        Param::list("away_from", Kind::Str).doc("Hosts that shall not lead. Default: the host of the task."),
    ])
    .rules(Rules { mutually_exclusive: &[&["to", "away_from"]], ..Rules::NONE }),
    module("etcd_snapshot", "Save a snapshot of an etcd cluster on the controller, and prove its hash").params(cluster![
        Param::path("dest").required().doc("File on the controller, or a directory (with `/` at its end, or one that exists), where it is named after cluster and time."),
        HOST.doc("The member to ask: a host of the inventory. Default: the follower that is furthest ahead."),
        Param::int("max_age").default_int(0).doc("Seconds: with a snapshot in the directory that is not older, nothing is done."),
        Param::int("keep").doc("How many snapshots of the cluster the directory keeps, the newest."),
        Param::path("passphrase_file").doc("Encrypt it with the passphrase in this file, as `quorate vault decrypt` reads it. Needs memory for three times its size."),
    ])
    .check(Check::Partial),
    module("etcd_restore", "Make the data directory of a member of a new cluster from a snapshot").params(&[
        Param::path("snapshot").required().doc("The snapshot, a file on the host."),
        Param::str("sha256").doc("What the whole file must have as its SHA-256."),
        Param::path("data").required().doc("The data directory to make. It must not exist, or be empty."),
        Param::str("name").required().doc("The member's name."),
        Param::str("peer").required().doc("Its URL for other members."),
        Param::str("initial_cluster").required().doc("All members of the new cluster, as `name=url,…`, the same on every host."),
        Param::str("token").required().doc("Enters the new cluster's id: never one that was used before."),
        Param::str("bump").default_str("auto").doc("Raise revisions by so much, and mark older ones as compacted, so that watchers notice. Needs etcdutl 3.5.10 or later; `auto` is a milliard where the tool can, and nothing where it cannot."),
        Param::bool("skip_hash_check").default_bool(false).doc("For a bare copy of `member/snap/db` of a stopped member, which has no hash."),
        Param::str("owner").default_str("etcd").doc("User and group of the directory."),
        Param::str("unit").default_str("etcd").doc("The systemd unit that must not run; empty for a directory that none uses."),
        Param::str("image").doc("A container's image with etcdutl or etcdctl, for hosts that have neither."),
        Param::str("runtime").default_str("podman").doc("What runs that image: podman or docker."),
    ]),
    module("etcd_defrag", "Give an etcd member's free pages back to the file system, if there are many").params(cluster![
        HOST,
        Param::int("min_free_percent").default_int(30).doc("Do it from this share of free pages on."),
        Param::int("min_free_bytes").default_int(100 << 20).doc("And from so many bytes of them on."),
    ]),
    module("etcd_compact", "Forget an etcd cluster's history").params(cluster![
        Param::int("keep").default_int(0).doc("How many of the last revisions stay."),
    ]),
    module("etcd_alarm", "Disarm alarms of an etcd cluster").params(cluster![
        Param::str("state").default_str("absent").choices(&["absent"]).doc("No alarm of this kind is raised."),
        Param::str("alarm").default_str("nospace").choices(&["nospace", "corrupt"]).doc("Which. NOSPACE comes back at the next write if no space was made before."),
        Param::bool("force").default_bool(false).doc("CORRUPT too: only after the odd member was replaced."),
    ]),
    module("etcd_user", "Users of etcd's own authentication").params(cluster![
        Param::str("name").required().doc("The user. `root` may do everything."),
        Param::str("state").default_str("present").choices(STATE).doc("Whether it is there."),
        Param::str("password").no_log().doc("Its password; without one it can only log in by a certificate with this common name."),
        Param::str("update_password").default_str("always").choices(&["always", "on_create"]).no_log_false().doc("Whether an existing user's password is compared, and set where it differs."),
        Param::list("roles", Kind::Str).doc("Its roles: exactly these."),
        Param::bool("append").default_bool(false).doc("Its other roles stay."),
    ]),
    module("etcd_role", "Roles of etcd's own authentication").params(cluster![
        Param::str("name").required().doc("The role."),
        Param::str("state").default_str("present").choices(STATE).doc("Whether it is there."),
        Param::list("permissions", Kind::Dict).options(PERMISSION).doc("What it may do: exactly this."),
        Param::bool("append").default_bool(false).doc("Its other permissions stay."),
    ]),
    module("etcd_auth", "Turn etcd's own authentication on or off").params(cluster![
        Param::str("state").default_str("enabled").choices(&["enabled", "disabled"]).doc("On or off. Before it is turned on, it is proven that somebody can still come in as root."),
    ]),
    module("etcd_key", "A key of etcd").params(&[
        Param::str("name").aliases(&["path"]).required().doc("The key."),
        Param::str("value").no_log_false().doc("Its value."),
        Param::str("state").default_str("present").choices(STATE).doc("Whether it is there."),
        Param::bool("prefix").default_bool(false).doc("With `absent`: all keys that begin like this."),
        Param::new("members", Kind::Dict).doc("The cluster: host to `name`, `endpoint` and `peer` of its member. Without this and `endpoints`, the cluster of the inventory that the host belongs to."),
        Param::list("endpoints", Kind::Str).doc("The cluster: URLs for clients of some of its members. The others are found by asking."),
        Param::str("cluster").doc("The cluster: its `etcd_cluster` in the inventory, for hosts that belong to none."),
        Param::path("ca").doc("File of the controller with the certificates that sign the cluster's."),
        Param::path("cert").doc("File of the controller with the operator's certificate."),
        Param::path("client_key").doc("File of the controller with its private key."),
        Param::str("login_user").doc("User of etcd to log in as, where the certificate is not enough."),
        Param::str("login_password").no_log().doc("Its password."),
    ])
    .rules(Rules { required_if: &[RequiredIf::str("state", "present", &["value"])], ..Rules::NONE }),
    module("etcd_lock", "Hold a lock in etcd until the end of the run").params(cluster![
        Param::str("name").default_str("quorate/lock").doc("The key. The default is the one that every run takes before it changes the cluster."),
        Param::str("state").default_str("present").choices(STATE).doc("Held or given back."),
        Param::int("timeout").default_int(60).doc("Seconds to wait for whoever holds it."),
    ]),
    module("etcd_plan", "Compare an etcd cluster with the inventory, and order what has to be done").params(cluster![
        Param::new("hosts", Kind::Dict).doc("Verdicts of `etcd_live`, by host."),
        Param::int("allow_destroy").default_int(1).doc("How many members may be removed."),
    ]),
];

/// The table of a module.
pub(super) fn of(module: &str) -> &'static Spec {
    SPECS.iter().find(|spec| spec.name == module).expect("the dispatcher knows only these")
}
