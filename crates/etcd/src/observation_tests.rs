use super::*;
use crate::fixture::see;
use crate::observation::assemble::{alarm, majority};

fn conditions(seen: &Observation) -> String {
    let word = |member: &SeenMember| {
        let condition = member.condition.to_string();
        let first = condition.split(" (").next().unwrap_or_default().to_owned();
        format!("{}:{first}", member.label())
    };
    seen.members.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[rustfmt::skip] // read in columns
const CONDITIONS: &[(&str, &str)] = &[
    ("h1=leader h2 h3",                   "h1:healthy h2:healthy h3:healthy"),
    ("h1=leader h2 h3=down",              "h1:healthy h2:healthy h3:DOWN"),
    ("h1=leader h2 h3=silent",            "h1:healthy h2:healthy h3:SILENT"),
    ("h1=leader h2 h3=joining",           "h1:healthy h2:healthy h3:WAITING"),
    ("h1=leader h2 h3=gone",              "h1:healthy h2:healthy h3:UNREACHABLE"),
    ("h1=leader h2 h3=badtls",            "h1:healthy h2:healthy h3:UNKNOWN"),
    ("h1=leader h2 h3=stranger",          "h1:healthy h2:healthy h3:UNKNOWN"),
    ("h1=leader h2 h3=corrupt",           "h1:healthy h2:healthy h3:CORRUPT"),
    ("h1=leader h2 h3=unstarted",         "h1:healthy h2:healthy h3:NOT STARTED"),
    ("h1=leader h2=learner",              "h1:healthy h2:healthy"),
    ("h1=leader h2=learner:unstarted",    "h1:healthy h2:NOT STARTED"),
    ("h1=noread h2=down h3=down",         "h1:NOT SERVING h2:DOWN h3:DOWN"),
    ("h1=denied h2=denied h3=denied",     "h1:UNKNOWN h2:UNKNOWN h3:UNKNOWN"),
    // The read was done before the question of rights.
    ("h1=leader h2=forbidden h3",         "h1:healthy h2:healthy h3:healthy"),
    ("h1=leader h2 h3=foreign",           "h1:healthy h2:healthy h3:healthy"),
];

#[test]
fn how_members_are() {
    for (cluster, expected) in CONDITIONS {
        assert_eq!(conditions(&see(cluster)), *expected, "{cluster}");
    }
}

#[rustfmt::skip] // read in columns
const VIEWS: &[(&str, View)] = &[
    ("h1=leader h2 h3",              View::Agreed { by: 3, of: 3 }),
    ("h1=leader h2 h3=down",         View::Agreed { by: 2, of: 3 }),
    ("h1=noread h2=down h3=down",    View::Partial { by: 1, of: 3 }),
    // A learner does not confirm anything, and does not count.
    ("h1=leader h2=learner",         View::Agreed { by: 1, of: 1 }),
    ("h1=joining h2=joining h3=down", View::Partial { by: 0, of: 3 }),
    ("h1=down h2=down h3=gone",      View::Missing),
];

#[test]
fn how_sure_the_list_is() {
    for (cluster, expected) in VIEWS {
        assert_eq!(see(cluster).view, *expected, "{cluster}");
    }
}

#[test]
fn a_member_that_lags_behind_the_list_does_not_confirm_it() {
    let probes = |text: &str| {
        let seen = see(text);
        (seen.members.len(), seen.view)
    };
    // All three believe in three members; then one of them still believes in an older list of two.
    assert_eq!(probes("h1=leader h2 h3"), (3, View::Agreed { by: 3, of: 3 }));
    let list = |ids: &[u64]| {
        ids.iter()
            .map(|id| ListedMember {
                id: MemberId::new(*id),
                name: format!("h{id}"),
                peer_urls: vec![format!("http://h{id}:2380")],
                client_urls: vec![format!("http://h{id}:2379")],
                learner: false,
            })
            .collect::<Vec<_>>()
    };
    let answer = |id: u64, believes: &[u64]| Probe {
        grpc: Ok(Answers {
            via: "controller".into(),
            status: Err(EtcdError::Local("not asked".into())),
            list: Ok((MemberId::new(id), list(believes))),
            read: Ok(()),
        }),
        peer: None,
    };
    let (view, members) = majority([answer(1, &[1, 2, 3]), answer(2, &[1, 2]), answer(3, &[1, 2, 3])].iter());
    assert_eq!((view, members.len()), (View::Agreed { by: 2, of: 3 }, 3));
    let (view, _) = majority([answer(1, &[1, 2, 3]), answer(2, &[1, 2])].iter());
    assert_eq!(view, View::Partial { by: 1, of: 3 }, "one voice each: neither list stands");
    // A removed member still says what it last knew; it is no voter of that list.
    let (view, members) = majority([answer(1, &[1, 2]), answer(2, &[1, 2]), answer(3, &[1, 2])].iter());
    assert_eq!((view, members.len()), (View::Agreed { by: 2, of: 2 }, 2));
}

#[test]
fn who_leads_and_who_lags() {
    let seen = see("h1=ok h2=leader h3=ok-12");
    assert_eq!((seen.leader, seen.leader_known_by), (Some(MemberId::new(2)), 3));
    let lags: Vec<_> = seen.members.iter().map(|member| member.lag).collect();
    assert_eq!(lags, [Some(0), Some(0), Some(12)]);
    let lost = see("h1=noread h2=down h3=down");
    assert_eq!((lost.leader, lost.commits()), (None, false));
}

#[test]
fn two_cluster_ids_are_both_reported() {
    let seen = see("h1=leader h2 h3=other");
    assert_eq!(seen.cluster_ids, [ClusterId::new(0xa), ClusterId::new(0xb)]);
}

#[test]
fn alarms_are_read_from_status() {
    let seen = see("h1=leader h2=full h3");
    assert_eq!(seen.alarmed(Alarm::NoSpace), Some(MemberId::new(2)));
    assert_eq!(seen.alarmed(Alarm::Corrupt), None);
    assert_eq!(alarm("etcdserver: no leader"), None);
    assert_eq!(
        alarm("memberID:10501334649042878790 alarm:CORRUPT "),
        Some((MemberId::new(0x91bc_3c39_8fb3_c146), Alarm::Corrupt))
    );
}

#[test]
fn the_line_of_members() {
    let seen = see("h1=leader h2 h3=down h4=learner h5=out:down");
    assert_eq!(
        seen.members_line(seen.taken),
        "h1 leader healthy · h2 voter healthy · h3 voter DOWN (connection refused) · h4 learner healthy · \
         h5 not a member DOWN (connection refused)"
    );
}

#[test]
fn how_long_a_member_has_been_silent_is_remembered() {
    let before = see("h1=leader h2 h3");
    let then = before.taken;
    let now = see("h1=leader h2 h3=down").remembering(&before);
    let line = now.members_line(then + Duration::from_secs(41));
    assert!(line.ends_with("h3 voter DOWN (no answer for 41 s)"), "{line}");
}

#[test]
fn json_has_hex_ids_and_no_clock_of_this_process() {
    let json = serde_json::to_value(see("h1=leader h2=learner h3=down").stamped(1_700_000_000_000)).unwrap();
    assert_eq!(json["members"][0]["id"], "1");
    assert_eq!(json["members"][1]["role"], "learner");
    assert_eq!(json["members"][0]["condition"], "healthy");
    assert_eq!(json["taken_unix_ms"], 1_700_000_000_000_u64);
    assert!(json.get("taken").is_none());
}
