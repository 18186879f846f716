//! What holds for every input.

use crate::loading::load_with;
use proptest::prelude::*;
use quorate_inventory::{
    HashBehaviour, Inventory, Limit, MOST_NAMES, Options, Show, expand_host, split_pattern,
};
use quorate_value::{Dict, Value};
use std::fmt::Write as _;

fn sample() -> Inventory {
    let files = [(
        "h.yml",
        "all: {children: {web: {hosts: {'web[1:5]': }}, db: {hosts: {'db[1:3]': , web2: }}, top: {children: {web: , db: }}}}",
    )];
    load_with(&files, &["h.yml"], |_| Options::default()).1.inventory
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "web",
        "db",
        "all",
        "*",
        "web1",
        "nope",
        "localhost",
        ":",
        ",",
        "&",
        "!",
        "~",
        "[",
        "]",
        "[0]",
        "[-1]",
        "[1:2]",
        "[:",
        "[0-1]",
        "(",
        ")",
        "?",
        "é",
        " ",
        "@x",
        "-",
        "99999999999999999999",
        "::1",
        "\\",
        "w*[",
        "{",
        "$",
        "^",
        ".*",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), ..ProptestConfig::default() })]

    #[test]
    fn no_pattern_panics_or_repeats_a_host(pattern in pattern(), limit in pattern()) {
        thread_local!(static INVENTORY: Inventory = sample());
        INVENTORY.with(|inventory| {
            let limit = Limit::parse(&limit).ok();
            let found = inventory.select_within(&pattern, limit.as_ref());
            let unlimited = inventory.select(&pattern);
            let mut names: Vec<_> = found.hosts.iter().map(|host| inventory.host_name(*host).clone()).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), found.hosts.len(), "{pattern}");
            // A limit only takes away, and keeps the order.
            let kept: Vec<_> = unlimited.hosts.iter().filter(|host| found.hosts.contains(host)).collect();
            assert_eq!(kept, found.hosts.iter().collect::<Vec<_>>(), "{pattern}");
        });
    }

    #[test]
    fn any_text_is_a_pattern(text in any::<String>()) {
        for piece in split_pattern(&text) {
            assert!(!piece.is_empty());
        }
        sample().select(&text);
    }

    #[test]
    fn any_text_is_a_host_entry_or_a_mistake(text in "[a-c0-9\\[\\]:.é -]{0,30}") {
        if let Ok((names, _)) = expand_host(&text) {
            assert!(names.len() <= MOST_NAMES);
        }
    }

    #[test]
    fn ranges_count(first in 0u64..500, more in 0u64..500, step in 1u64..20) {
        let (names, _) = expand_host(&format!("h[{first}:{}:{step}]", first + more)).unwrap();
        assert_eq!(names.len() as u64, more / step + 1);
        assert_eq!(names[0], format!("h{first}"));
    }

    #[test]
    fn any_text_is_a_source_or_a_mistake(text in "([a-c\\[\\]:=# \"'{},\n-]|all|hosts|vars|children){0,60}", toml in any::<bool>()) {
        let name = if toml { "h.toml" } else { "h" };
        let (_kept, loaded) = load_with(&[(name, &text)], &[name], |_| Options::default());
        assert_eq!(loaded.parsed, loaded.failures.is_empty(), "{text:?}");
        for failure in &loaded.failures {
            assert!(!failure.errors().is_empty(), "{text:?}");
        }
        loaded.inventory.show_list(&Show::default()).unwrap();
    }
}

/// Memberships, priorities and variables of a small inventory, at random.
#[derive(Debug, Clone)]
struct Plan {
    /// Parent of each group, which always comes before it.
    parents: Vec<usize>,
    priorities: Vec<i64>,
    /// Groups of each host.
    hosts: Vec<Vec<usize>>,
    /// (level, owner, variable, value)
    definitions: Vec<(usize, usize, usize, i64)>,
    merge: bool,
}

const GROUPS: usize = 6;
const HOSTS: usize = 4;

fn plan() -> impl Strategy<Value = Plan> {
    (
        prop::collection::vec(any::<prop::sample::Index>(), GROUPS),
        prop::collection::vec(1i64..4, GROUPS),
        prop::collection::vec(prop::collection::vec(0..GROUPS, 0..3), HOSTS),
        prop::collection::vec((0usize..6, 0usize..8, 0usize..4, 0i64..100), 0..25),
        any::<bool>(),
    )
        .prop_map(|(parents, priorities, hosts, definitions, merge)| Plan {
            parents: parents.iter().enumerate().map(|(group, parent)| parent.index(group + 1)).collect(),
            priorities,
            hosts,
            definitions,
            merge,
        })
}

impl Plan {
    fn files(&self) -> Vec<(String, String)> {
        let mut ini = String::new();
        for (group, priority) in self.priorities.iter().enumerate() {
            let _ = writeln!(ini, "[g{group}]");
            for (host, groups) in self.hosts.iter().enumerate() {
                if groups.contains(&group) {
                    let _ = writeln!(ini, "h{host}");
                }
            }
            let _ = writeln!(ini, "[g{group}:vars]\nansible_group_priority={priority}");
        }
        for (group, parent) in self.parents.iter().enumerate() {
            if *parent < group {
                let _ = writeln!(ini, "[g{parent}:children]\ng{group}");
            }
        }
        let _ = writeln!(ini, "[ungrouped]");
        for host in 0..HOSTS {
            let _ = writeln!(ini, "h{host}");
        }
        let mut files: Vec<(String, String)> = Vec::new();
        for (level, owner, variable, value) in &self.definitions {
            let group = if *owner < GROUPS { format!("g{owner}") } else { "all".into() };
            let host = owner % HOSTS;
            let value =
                if variable % 2 == 0 { format!("{value}") } else { format!("{{'k{}': {value}}}", value % 3) };
            let mut add = |path: String| match files.iter_mut().find(|(known, _)| *known == path) {
                Some((_, text)) => {
                    let _ = writeln!(text, "v{variable}: {value}");
                }
                None => files.push((path, format!("v{variable}: {value}\n"))),
            };
            match level {
                0 => {
                    let _ = writeln!(ini, "[{group}:vars]\nv{variable}={value}");
                }
                1 => add(format!("inv/group_vars/{group}.yml")),
                2 => add(format!("play/group_vars/{group}/x.yml")),
                3 => {
                    let _ = writeln!(ini, "[ungrouped]\nh{host} v{variable}=\"{value}\"");
                }
                4 => add(format!("inv/host_vars/h{host}.yaml")),
                _ => add(format!("play/host_vars/h{host}")),
            }
        }
        files.push(("inv/hosts".into(), ini));
        files
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.min(150), ..ProptestConfig::default() })]

    /// What `host_vars` merges and what `explain` tells are one and the same.
    #[test]
    fn the_definition_that_wins_is_the_value(plan in plan()) {
        let files = plan.files();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let (_kept, loaded) = load_with(&files, &["inv/hosts"], |directory| Options {
            playbook_dir: Some(directory.join("play")),
            hash_behaviour: if plan.merge { HashBehaviour::Merge } else { HashBehaviour::Replace },
            ..Options::default()
        });
        assert!(loaded.failures.is_empty(), "{:?}", loaded.failures);
        let inventory = loaded.inventory;
        for host in inventory.hosts() {
            let vars = inventory.host_vars(host).unwrap();
            for variable in 0..4 {
                let name = format!("v{variable}");
                let told = inventory.explain(host, &name).unwrap();
                assert!(told.is_sorted_by_key(|definition| definition.level));
                let mut expected: Option<Value> = None;
                for definition in told.iter().filter(|definition| definition.wins) {
                    expected = Some(match (expected, &definition.value) {
                        (Some(Value::Dict(old)), Value::Dict(new)) => {
                            let mut merged = Dict::clone(&old);
                            merged.update(new);
                            Value::dict(merged)
                        }
                        (_, value) => value.clone(),
                    });
                }
                assert_eq!(vars.get(&name), expected.as_ref(), "{name} {told:?}");
            }
        }
    }

    /// Children come after parents, and a host knows every group that has it.
    #[test]
    fn groups_are_ordered_and_complete(plan in plan()) {
        let files = plan.files();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let (_kept, loaded) = load_with(&files, &["inv/hosts"], |_| Options::default());
        let inventory = loaded.inventory;
        for host in inventory.hosts() {
            let groups = inventory.groups_of(host);
            for (place, group) in groups.iter().enumerate() {
                for parent in inventory.group(*group).parents() {
                    assert!(groups[..place].contains(parent));
                    assert!(inventory.group(*parent).depth() < inventory.group(*group).depth());
                }
            }
            for group in inventory.groups() {
                assert_eq!(inventory.hosts_of(group).contains(&host), groups.contains(&group));
            }
        }
    }
}
