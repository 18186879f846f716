use super::*;
use crate::fixture::{peer, see};

fn me(host: &str) -> LocalDir {
    LocalDir { name: format!("{host}-name"), peer: peer(host), initialised: false, founded: None }
}

fn say(mode: StartMode) -> String {
    match mode {
        StartMode::AsIs => "as it is".into(),
        StartMode::New => "new".into(),
        StartMode::Existing { id, initial_cluster } => format!("existing {id} {initial_cluster}"),
        StartMode::Replace { old } => format!("replace {old}"),
        StartMode::AddLearner => "add a learner".into(),
        StartMode::Refuse { why } => format!("refuse: {why}"),
    }
}

#[rustfmt::skip] // read in columns; the member in question is always h3
const CASES: &[(&str, Option<bool>, &str)] = &[
    ("h1=leader h2 h3=out:down",            None,        "add a learner"),
    ("h1=leader h2 h3=learner:unstarted",   None,        "existing 3 h1=http://h1:2380,h2=http://h2:2380,h3-name=http://h3:2380"),
    ("h1=leader h2=unstarted h3=unstarted", None,        "refuse: members answer, but not a quorum of them: joining or founding a cluster now could split it"),
    ("h1=leader h2 h3=down",                None,        "replace 3"),
    ("h1=leader h2 h3=down",                Some(false), "replace 3"),
    ("h1=noread h2=down h3=down",           Some(false), "refuse: members answer, but not a quorum of them: joining or founding a cluster now could split it"),
    ("h1=leader h2 h3=out:other",           Some(false), "refuse: two clusters answer: a and b"),
    ("h1=out:down h2=out:down h3=out:down", Some(false), "new"),
    ("h1=out:down h2=out:down h3=out:down", Some(true),  "refuse: the cluster was founded before, and none of its members answers"),
    ("h1=out:down h2=out:down h3=out:down", None,        "refuse: no member answers, and nothing says that this cluster is to be founded now"),
    ("h1=out:down h2=out:gone h3=out:down", Some(false), "refuse: h2 cannot be asked"),
    ("h1=out:down h2=out:silent h3=out:down", Some(false), "refuse: h2 cannot be asked"),
];

#[test]
fn how_an_empty_member_starts() {
    for (cluster, founded, expected) in CASES {
        let me = LocalDir { founded: *founded, ..me("h3") };
        assert_eq!(say(decide(&see(cluster), &me)), *expected, "{cluster} {founded:?}");
    }
}

#[test]
fn a_directory_with_an_identity_decides_for_itself() {
    for (cluster, founded, _) in CASES {
        let me = LocalDir { founded: *founded, initialised: true, ..me("h3") };
        assert_eq!(decide(&see(cluster), &me), StartMode::AsIs, "{cluster}");
    }
}

#[test]
fn unstarted_others_get_placeholders() {
    let seen = see("h1=leader h2=learner:unstarted h3=unstarted");
    assert_eq!(
        initial_cluster(&seen, &me("h3")),
        "h1=http://h1:2380,h3-name=http://h3:2380,unstarted-2=http://h2:2380"
    );
}
