//! The codes that messages carry: what each means, and what to do about it.
//!
//! `quorate help CODE` prints a page of it, `docs/reference/errors.md` is written from it, and a diagnostic that knows no
//! better way out takes its own from here.
//!
//! **Invariant:** every code that a message can carry is here, and none besides. Checked below by looking through the
//! sources; `tests/cli/codes.txt` (the guard's: the cases of `crates/etcd`) brings each of them about.

/// A code, what it means, what to do.
pub type Code = (&'static str, &'static str, &'static str);

/// All of them.
#[rustfmt::skip] // read in columns
pub const CODES: &[Code] = &[
    ("E0100", "This file is not the YAML it should be.", "Look at the place that is named; the line before it is often the cause."),
    ("E0101", "A file cannot be read.", "Check its path and its permissions."),
    ("E0102", "A file is not UTF-8 text.", "Convert it, or take it for what it is: a binary file for `copy`."),
    ("E0103", "A file of variables holds something else than a mapping.", "Write `name: value` lines."),
    ("E0104", "A playbook is a list of plays, and this is not.", "Begin each play with `- hosts: …`; a list of tasks belongs into a role, or below `tasks:`."),
    ("E0105", "`import_playbook` wants the path of one playbook.", "Write `- import_playbook: other.yml`."),
    ("E0106", "A play does not say for which hosts it is.", "Give it `hosts: …`."),
    ("E0107", "Nothing here is called so: an unknown keyword of a play, block, role or task.", "Check its spelling and its indentation: a keyword indented too little or too much belongs to something else."),
    ("E0110", "Playbooks import each other in a circle.", "Take one of the imports out."),
    ("E0111", "An encrypted file cannot be opened.", "Give its password: --vault-password-file, --vault-id or -J."),
    ("E0112", "The name of something imported depends on a host, but imports are read before any host is known.", "Use `include_tasks` or `include_role`, or set the variable with -e."),
    ("E0120", "An entry of `roles` names no role.", "Write its name, or `role: name` with its parameters."),
    ("E0121", "There is no such role in any of the places where roles are looked for.", "Check its name, `roles/` beside the playbook, and `roles_path` (quorate config dump)."),
    ("E0122", "A role depends on itself, perhaps by way of others.", "Take one of the dependencies out of meta/main.yml."),
    ("E0123", "A role has no such file, or the file holds the wrong kind of thing.", "Check `tasks_from`, `vars_from` and the like."),
    ("E0124", "`import_role` and `include_role` want the name of a role.", "Write `name: ROLE` below it."),
    ("E0125", "An import or include has an option that it does not know.", "Keywords for its tasks go beside it, or below `apply`."),
    ("E0130", "Tasks are a list of mappings, and this is not.", "Begin each task with `- name: …`."),
    ("E0131", "`rescue` and `always` belong to a `block`.", "Put the tasks they guard below `block:`."),
    ("E0132", "What is imported cannot be repeated: it is read once, before anything runs.", "Use `include_tasks` or `include_role` with `loop`."),
    ("E0133", "`import_tasks` names no file.", "Write `- import_tasks: file.yml`."),
    ("E0134", "Files of tasks import each other in a circle.", "Use `include_tasks` with a condition, or take one of the imports out."),
    ("E0135", "Only handlers can `listen`.", "Move the task below `handlers`, or take `listen` away."),
    ("E0136", "The result of a task cannot be kept under this name.", "Names of variables hold letters, digits and underscores, and do not begin with a digit."),
    ("E0137", "A task has both `loop` and `with_…`.", "Keep one of them."),
    ("E0138", "A task does nothing: no module is named.", "Name a module, or check its spelling and its indentation."),
    ("E0139", "A task does two things: two modules are named.", "Make two tasks of it."),
    ("E0140", "There is no such module here.", "Check its spelling; `quorate doc -l` lists what is built in, README.md what is not there yet."),
    ("E0141", "The arguments of a module have the wrong shape.", "Write them as a mapping below it, or as name=value."),
    ("E0142", "The arguments of a module cannot be taken apart.", "Check quotes and braces."),
    ("E0143", "Free text stands where a module takes named arguments only.", "Write name=value, or a mapping."),
    ("E0144", "`args` must be a mapping.", "Write name: value lines below it."),
    ("E0145", "A module has no argument of this name.", "Check its spelling; `quorate doc MODULE` lists what it takes."),
    ("E0146", "An argument that a module cannot do without is missing.", "Give it; `quorate doc MODULE` says what it means."),
    ("E0147", "An argument has a value that the module does not take.", "Take one of the values that are listed, or write a value of the right kind."),
    ("E0150", "`vars` must be a mapping.", "Write name: value lines below it."),
    ("E0151", "A variable cannot be called so.", "Names of variables hold letters, digits and underscores, and do not begin with a digit."),
    ("E0152", "A name must be text.", "Quote it."),
    ("E0153", "Tags are text, or a list of texts.", "Quote what is a number or a boolean."),
    ("E0154", "A list of names is wanted.", "Write `[a, b]`, or one name."),
    ("E0155", "`loop_control` must be a mapping.", "Write loop_var, label and the like below it."),
    ("E0156", "`vars_prompt` must be a list of mappings, each with a `name`.", "Write `- name: …` below it."),
    ("E0158", "A handler is one task: no role, and no block within a block.", "Let the handler be an `include_tasks` of what is to happen."),
    ("E0160", "A template or a condition is not written as it should be, or names a filter or test that is not there.", "Look in front of the place where reading ended: a quote, a bracket or a block may be open, or a word be missing."),
    ("E0200", "It cannot be told for which hosts a play is.", "`hosts` may use extra variables and variables of the playbook, but no variables of hosts."),
    ("E0201", "There is no such `order`.", "Take inventory, reverse_inventory, sorted, reverse_sorted or shuffle."),
    ("E0202", "A file of `vars_files` does not exist.", "Check its path, relative to the playbook; a list of paths takes the first that exists."),
    ("E0203", "There is no such strategy.", "Take linear, free or host_pinned."),
    ("E0204", "`max_fail_percentage` is no number.", "Write a number from 0 to 100."),
    ("E0205", "`gather_facts` is neither true nor false.", "Write true or false."),
    ("E0206", "`serial` is no size of a batch.", "Write a number, a percentage, or a list of those."),
    ("E0207", "A pattern of hosts matches nothing, and the setting host_pattern_mismatch makes that an error.", "Check the name, or let the setting be a warning."),
    ("E0210", "A host or group cannot be added.", "Check its name and its parents: no group is above itself."),
    ("E0220", "A condition cannot be evaluated.", "The place shows what is wrong with it; quote text within it."),
    ("E0221", "`end_role` stands outside of a role.", "Use end_play, or move it into the role."),
    ("E0222", "The inventory cannot be read again.", "Check what changed in it."),
    ("E0223", "There is no such `meta` action.", "`quorate doc meta` lists them."),
    ("E0224", "`throttle` is no number of hosts.", "Write a number; 0 means no limit."),
    ("E0230", "A file that is included does not exist.", "Check its path: first the role's folders, then the playbook's."),
    ("E0231", "`apply` is not what it should be.", "Write keywords of tasks below it, as a mapping."),
    ("E0300", "The inventory does not exist. (As `ansible-playbook`, this is only a warning.)", "Check -i, and `inventory` in ansible.cfg."),
    ("E0301", "-e got neither name=value nor @file.", "A file needs an @ in front."),
    ("E0302", "A pattern means no host.", "Check its spelling; `quorate inventory --graph` shows what there is."),
    ("E0303", "An inventory, or a file of variables beside it, cannot be understood.", "Mend what stands at the place that is named."),
    ("E0304", "Two members of an etcd cluster have the same number (`etcd_seq`).", "Give each its own, one that no member of the cluster has had before."),
    ("E0305", "Two groups claim a host for different etcd clusters.", "Take the host out of one of the groups."),
    ("E0310", "-t or --skip-tags names a tag that no task has.", "Check its spelling; --list-tags lists those there are."),
    ("E0311", "-e sets a variable that nothing in the playbook, its roles, templates and inventory reads.", "Check its spelling, or leave it out."),
    ("E0312", "--start-at-task names a task that is not there.", "Check its spelling; --list-tasks lists those there are."),
    ("E0400", "A variable is read that nothing defines for this host.", "Set it in the inventory, in `vars` or by -e, or give it a default by the filter `default('')`; `quorate explain NAME` shows every definition. The task changed nothing."),
    ("E0401", "A value has no attribute or item of this name.", "Show the value with `debug: var=NAME`; what may be missing takes the filter `default(…)`. The task changed nothing."),
    ("E0402", "A template or a keyword of a task could not be rendered.", "The place shows the text; what it says last is the cause. The task changed nothing."),
    ("E0403", "A condition is neither true nor false.", "Write a comparison, or a test such as `is truthy`."),
    ("E0410", "A module could not do on the host what it was asked for.", "What it says is the cause; `quorate doc MODULE` says what it takes and needs, and -vvv shows its arguments."),
    ("E0411", "A command ended with another status than 0.", "What it said is in `stderr` and `stdout`; `failed_when` says what counts as failure."),
    ("E0412", "A file that the task wants from this computer is not there.", "Check its path: first the role's folders, then the playbook's; a file of the host itself takes `remote_src: true`."),
    ("E0413", "The task's own `failed_when` calls this a failure.", "Look at the result that is shown; the condition stands in the task."),
    ("E0414", "The task took longer than its `timeout` allows.", "Look at what it waits for on the host, or give it more time."),
    ("E0415", "The host has no room left on its disk.", "See which disk on the host is full (df -h; df -i), make room, then run the same again."),
    ("E0416", "The user of this task may not do that on the host.", "Become root (`become: true`, or -b); as root already, look for a read-only file system or an immutable file."),
    ("E0417", "Something else uses the address or port already.", "See who does, on the host: ss -ltnp"),
    ("E0418", "A unit could not be brought into the state that was asked for.", "See what it says itself, on the host: journalctl -u UNIT"),
    ("E0419", "A member did not become healthy in time.", "See what it says itself, on its host: journalctl -n 50 -u etcd; and who holds its ports: ss -ltnp"),
    ("E0420", "`loop` wants a list, and got something else.", "Give it a list; a mapping becomes one by the filter `dict2items`, one value by [value]."),
    ("E0500", "The name of a host leads to no address.", "Check the name, or set `ansible_host` to its address."),
    ("E0501", "The host's SSH does not answer.", "See whether the host is up and the port is right; the command that is named shows it."),
    ("E0502", "The host shows another key than the one that is known.", "If it was rebuilt on purpose, forget the old key (ssh-keygen -R HOST); otherwise find out who answers there."),
    ("E0503", "The host does not let us in.", "Check the user (-u, `ansible_user`) and the key (--private-key); the command that is named shows which keys are tried."),
    ("E0504", "The host does not let us become the other user.", "Give the password (-K), or allow it in the host's sudoers."),
    ("E0505", "Becoming the other user took longer than it may.", "Look for a login script that waits, or give it more time (`ansible_ssh_timeout`)."),
    ("E0506", "The helper could not be put on the host, or not be started there.", "It wants a directory that it may write and run programs in, such as ~/.cache, and a few megabytes of room."),
    ("E0507", "The connection broke while the host was at work.", "See whether the host is up, then go on: quorate play --resume last"),
    ("W0145", "A module passes over an argument that it does not know.", "Take it out, or correct its name; `quorate doc MODULE` lists what it takes."),
    ("W0310", "The inventory sets a variable that nothing reads, and a name that is read is one slip away.", "Correct the name."),
    ("G0101", "What is known of the cluster is too old to decide on.", "Nothing: it is read again by itself. If it stays, its members answer slowly."),
    ("G0102", "The step would leave the cluster without a quorum.", "Bring back the members that are down first; the message names them."),
    ("G0103", "The cluster has no leader at the moment.", "Wait for the election; if none ends, look at the members' logs."),
    ("G0104", "The cluster has no quorum already.", "Bring back members until a majority is healthy."),
    ("G0105", "The members belong to two different clusters.", "Find out which is the right one, before anything is stopped."),
    ("G0106", "Members do not agree on who belongs to the cluster.", "Wait until they do; if they never do, look at their logs."),
    ("G0107", "Another member of the cluster is being taken away right now.", "Nothing: it is asked again when that is over."),
    ("G0108", "An earlier step of this run left the cluster in a state that nobody planned.", "Look at the member that is named, then run again."),
    ("G0109", "A member is broken, and this step does not mend it.", "Mend that member first."),
    ("G0110", "The cluster is too small to go on without this member.", "Say --override-guard=quorum if a pause is acceptable, or add members first."),
    ("G0111", "A voter that has not started would raise the quorum before it serves.", "Add it as a learner, start it, then promote it."),
    ("G0112", "The learner is too far behind to be promoted.", "Wait until it has caught up."),
    ("G0113", "An alarm stands.", "Solve its cause, then clear it: etcdctl alarm disarm."),
    ("G0114", "The last voter cannot be removed.", "Purge the whole cluster instead."),
    ("G0115", "Another member is on its way in.", "Let it arrive, or remove it."),
    ("G0116", "A step for the whole cluster leaves members out.", "Name all hosts of the cluster."),
    ("G0117", "It cannot be told whether something lives there.", "Make the host answer, or make sure that it is gone."),
    ("G0118", "The step names a member that the cluster does not know.", "Check etcd_seq, addresses and `etcdctl member list`."),
    ("G0119", "With fewer members the cluster survives fewer failures.", "Say --override-guard=quorum if that is meant."),
    ("G0120", "On this release of etcd, changing the addresses of a learner makes it a voter.", "Promote it first, or remove it and add it again."),
    ("G0121", "One command takes several members of a cluster away.", "Name one pod after another, or use playbooks/etcd-restart.yml."),
    ("W0303", "Something in an inventory is probably not meant so.", "Correct what stands there, or take it out."),
    ("W0103", "A variable has the name of a keyword or of a function of templates.", "Give it another name."),
    ("W0101", "A file of YAML has something that is probably a slip, such as a key that stands twice.", "Take out what is not meant."),
];

/// What to do about a code, as a fragment that follows `help: `.
pub fn remedy(code: &str) -> Option<String> {
    let (_, _, text) = CODES.iter().find(|(known, ..)| *known == code)?;
    Some(fragment(text))
}

/// A sentence as what follows `help: `: no capital in front, no full stop behind.
pub fn fragment(sentence: &str) -> String {
    let mut text = sentence.strip_suffix('.').unwrap_or(sentence).to_owned();
    // names and flags stay as they are written
    if text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().nth(1).is_some_and(char::is_lowercase)
    {
        text[..1].make_ascii_lowercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Codes in the sources: `"E0101"` and the like, of lines that no test holds.
    fn used(dir: &Path, out: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                used(&path, out);
                continue;
            }
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !name.ends_with(".rs") || name.ends_with("tests.rs") || name == "codes.rs" {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for quote in ["\"", "["] {
                for (at, _) in text.match_indices(quote) {
                    let code: String = text[at + 1..].chars().take(5).collect();
                    if code.starts_with(['E', 'G', 'W'])
                        && code[1..].bytes().all(|b| b.is_ascii_digit())
                        && code.len() == 5
                    {
                        out.insert(code);
                    }
                }
            }
        }
    }

    #[test]
    fn every_code_has_its_page_and_every_page_its_code() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeSet::new();
        used(&root.join("src"), &mut found);
        used(&root.join("crates/etcd/src"), &mut found);
        let known: BTreeSet<String> = CODES.iter().map(|(code, ..)| (*code).to_owned()).collect();
        assert_eq!(found.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "without a page");
        assert_eq!(known.difference(&found).collect::<Vec<_>>(), Vec::<&String>::new(), "never used");
    }
}
