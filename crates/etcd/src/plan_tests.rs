use super::*;
use crate::endpoint::Endpoint;
use crate::fixture::{peer, see};
use crate::observe::SpecMember;

/// `h1=live h2=absent`: the inventory and its verdicts, against a cluster in the fixture's words.
fn ask(cluster: &str, inventory: &str, allow: usize) -> String {
    let mut wish = Wish { allow_destroy: allow, ..Wish::default() };
    let mut members = Vec::new();
    for word in inventory.split_whitespace() {
        let (host, verdict) = word.split_once('=').expect("host=verdict");
        let (verdict, learner) = verdict.strip_suffix("/learner").map_or((verdict, false), |v| (v, true));
        if learner {
            wish.learners.push(host.to_owned());
        }
        let verdict = match verdict {
            "live" => Verdict::Live,
            "dormant" => Verdict::Dormant,
            "remnant" => Verdict::Remnant,
            "absent" => Verdict::Absent,
            _ => Verdict::Unknown,
        };
        wish.verdicts.insert(host.to_owned(), verdict);
        let client: Endpoint = format!("http://{host}:2379").parse().unwrap();
        members.push(SpecMember { host: host.to_owned(), name: None, client, peer: peer(host) });
    }
    let spec = ClusterSpec { name: "etcd".into(), members };
    let plan = plan(&spec, &see(cluster), &wish);
    let deeds: Vec<String> = plan.todo.iter().map(|todo| format!("{:?} {}", todo.deed, todo.name)).collect();
    match plan.problem {
        Some(problem) => format!("NO: {problem}"),
        None => deeds.join(", "),
    }
}

#[test]
#[rustfmt::skip] // read in columns
fn differences() {
    let cases = [
        // nothing to do
        ("h1=leader h2=ok h3=ok",                        "h1=live h2=live h3=live",              ""),
        ("h1=leader h2=ok h3=learner",                   "h1=live h2=live h3=live/learner",      ""),
        // nobody is there
        ("h1=out:down h2=out:down h3=out:down",          "h1=absent h2=absent h3=absent",        "Create h1, Create h2, Create h3"),
        ("h1=out:down h2=out:down h3=out:down",          "h1=dormant h2=dormant h3=dormant",     "Start h1, Start h2, Start h3"),
        ("h1=out:down h2=out:down h3=out:down",          "h1=dormant h2=dormant h3=absent",      "Start h1, Start h2"),
        // in and out
        ("h1=leader h2=ok h3=ok",                        "h1=live h2=live h3=live h4=absent",    "Add h4"),
        ("h1=leader h2=ok h3=foreign",                   "h1=live h2=live",                      "Remove h3"),
        ("h1=leader h2=ok h3=foreign:down",              "h1=live h2=live",                      "RemoveDead h3"),
        ("h1=leader h2=ok h3=foreign",                   "h1=live h2=live h4=absent",            "Add h4, Remove h3"),
        ("h1=leader h2=ok h3=foreign:down",              "h1=live h2=live h4=absent",            "RemoveDead h3, Add h4"),
        // half-way
        ("h1=leader h2=ok h3=unstarted",                 "h1=live h2=live h3=absent",            "Add h3"),
        ("h1=leader h2=ok h3=learnerunstarted",          "h1=live h2=live h3=remnant",           "Add h3"),
        ("h1=leader h2=ok h3=learner",                   "h1=live h2=live h3=live",              "Add h3"),
        // down
        ("h1=leader h2=ok h3=down",                      "h1=live h2=live h3=dormant",           "Start h3"),
        ("h1=leader h2=ok h3=down",                      "h1=live h2=live h3=absent",            "Replace h3"),
        ("h1=leader h2=ok h3=gone",                      "h1=live h2=live h3=unknown",           ""),
        ("h1=leader h2=ok h3=down",                      "h1=live h2=live h3=absent h4=absent",  "Replace h3, Add h4"),
    ];
    for (cluster, inventory, expected) in cases {
        assert_eq!(ask(cluster, inventory, 1), expected, "{cluster} against {inventory}");
    }
}

#[test]
fn what_needs_a_word() {
    let two = ("h1=leader h2=ok h3=foreign h4=foreign h5=ok", "h1=live h2=live h5=live");
    assert!(ask(two.0, two.1, 1).starts_with("NO: this would take 2 members away"));
    assert_eq!(ask(two.0, two.1, 2), "Remove h3, Remove h4");
}

#[test]
fn what_is_never_done() {
    let no = |cluster, inventory| {
        let answer = ask(cluster, inventory, 9);
        assert!(answer.starts_with("NO: "), "{cluster} against {inventory}: {answer}");
    };
    no("h1=leader h2=ok h3=ok", "h1=live h2=live h3=live h4=unknown");
    no("h1=leader h2=ok h3=ok h4=out:other", "h1=live h2=live h3=live h4=live");
    no("h1=noread h2=down h3=down", "h1=live h2=absent h3=absent");
    no("h1=out:down h2=out:gone h3=out:gone", "h1=dormant h2=unknown h3=unknown");
}
