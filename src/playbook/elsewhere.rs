//! Modules that Ansible's collections have, whether or not Quorate does.
//!
//! In: a module's name as written. Out: its full name. Playbooks name modules for systems that a run never touches
//! (`yum_repository` under `when`), so such a task loads and is listed; the run says what is missing when it gets there.
//! A name that stands nowhere stays a mistake that the loader reports.
//!
//! The list has one line a collection, its name first; `+` marks a name that Ansible also takes without the collection.
//!
//! Not here: modules of a `library/` folder.

/// Names as the `ansible` package (the one that goes with ansible-core 2.19) has them.
const NAMES: &str = include_str!("elsewhere.txt");

/// The full name of a module that exists in Ansible's world.
pub fn find(name: &str, collections: &[String]) -> Option<String> {
    let has = |collection: &str, module: &str| {
        NAMES
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(of, _)| *of == collection)
            .is_some_and(|(_, names)| names.split(' ').any(|n| n.strip_prefix('+').unwrap_or(n) == module))
    };
    if let Some((collection, module)) = name.rsplit_once('.') {
        if !matches!(collection, "ansible.builtin" | "ansible.legacy") {
            return has(collection, module).then(|| name.to_owned());
        }
        if has("ansible.builtin", module) {
            return Some(name.to_owned());
        }
        // what once was Ansible's own and now is a collection's
        return find(module, &[]);
    }
    let short = || {
        NAMES.lines().filter_map(|line| line.split_once(' ')).find_map(|(of, names)| {
            names.split(' ').any(|n| n.strip_prefix('+') == Some(name)).then_some(of.to_owned())
        })
    };
    let among = collections.iter().find(|c| has(c, name)).cloned();
    among.or_else(short).map(|collection| format!("{collection}.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ansibles_collections() {
        let none: &[&str] = &[];
        let cases: [(&str, &[&str], Option<&str>); 12] = [
            ("yum_repository", none, Some("ansible.builtin.yum_repository")),
            ("ansible.builtin.yum_repository", none, Some("ansible.builtin.yum_repository")),
            ("ansible.legacy.git", none, Some("ansible.legacy.git")),
            ("virt", none, Some("community.libvirt.virt")),
            ("community.libvirt.virt", none, Some("community.libvirt.virt")),
            ("seport", none, Some("community.general.seport")),
            // known in its collection only
            ("zabbix_item", none, None),
            ("zabbix_item", &["community.zabbix"], Some("community.zabbix.zabbix_item")),
            ("ansible.builtin.seboolean", none, Some("ansible.posix.seboolean")),
            ("ansible.builtin.zabbix_item", none, None),
            ("community.libvirt.vert", none, None),
            ("my.own.virt", none, None),
        ];
        for (name, collections, wanted) in cases {
            let collections: Vec<String> = collections.iter().map(|c| (*c).to_owned()).collect();
            assert_eq!(find(name, &collections).as_deref(), wanted, "{name}");
        }
    }
}
