use super::*;
use crate::fixture::see;

fn verdict(expected: &Expected, clusters: &[&str]) -> String {
    let polls: Vec<Observation> = clusters.iter().map(|text| see(text)).collect();
    match settled(expected, polls.iter()) {
        Ok(()) => "back".to_owned(),
        Err(missing) => missing.to_string(),
    }
}

const FINE: &str = "h1=leader h2 h3";

#[test]
fn a_voter_is_back_after_three_good_polls() {
    let expected = Expected::voter(Target::host("h3"), Some(MemberId::new(3)));
    #[rustfmt::skip] // read in columns
    let cases: &[(&[&str], &str)] = &[
        (&[FINE, FINE, FINE],                        "back"),
        (&["h1=leader h2 h3=down", FINE, FINE, FINE], "back"),
        (&[FINE, FINE],                              "healthy for 2 of 3 polls"),
        (&[FINE, "h1=leader h2 h3=down", FINE],      "healthy for 1 of 3 polls"),
        (&[FINE, FINE, "h1=leader h2 h3=down"],      "DOWN (connection refused)"),
        (&["h1=leader h2 h3=ok-101"; 3],             "101 entries behind"),
        (&["h1=leader h2 h3=ok-100"; 3],             "back"),
        (&["h1=leader h2 h3=learner"; 3],            "still a learner"),
        (&["h1=leader h2 h3=out:ok"; 3],             "not in an agreed member list"),
        (&["h1=leader h2 h3=noread"; 3],             "NOT SERVING (a linearizable read got no answer)"),
        (&["h1 h2 h3"; 3],                           "no leader known to a quorum"),
        (&[],                                        "healthy for 0 of 3 polls"),
    ];
    for (polls, said) in cases {
        assert_eq!(verdict(&expected, polls), *said, "{polls:?}");
    }
}

#[test]
fn another_id_is_another_member() {
    let expected = Expected::voter(Target::host("h3"), Some(MemberId::new(0xabc)));
    assert_eq!(verdict(&expected, &[FINE; 3]), "member 3 stands in its place");
}

#[test]
fn a_learner_before_its_promotion() {
    let expected = Expected::learner(Target::host("h2"), None);
    assert_eq!(verdict(&expected, &["h1=leader h2=learner"; 3]), "back");
    assert_eq!(verdict(&expected, &["h1=leader h2=learner:ok-4000"; 3]), "4000 entries behind");
    assert_eq!(verdict(&expected, &["h1=leader h2=learner:unstarted"; 3]), "NOT STARTED");
    assert_eq!(verdict(&expected, &["h1=leader h2"; 3]), "a voter already");
}
