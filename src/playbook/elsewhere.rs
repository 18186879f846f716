//! Modules that Ansible's collections have, whether or not Quorate does.
//!
//! In: a module's name as written. Out: its full name. Playbooks name modules for systems that a run never touches
//! (`yum_repository` under `when`), so such a task loads and is listed; the run says what is missing when it gets there.
//! A name that stands nowhere stays a mistake that the loader reports.
//!
//! The list has one line a collection, its name first; `+` marks a name that Ansible also takes without the collection,
//! `=` stands before what the module is called today.
//!
//! Not here: modules of a `library/` folder.

/// Names as the `ansible` package (the one that goes with ansible-core 2.19) has them.
const NAMES: &str = include_str!("elsewhere.txt");

/// The full name of a module that exists in Ansible's world.
pub fn find(name: &str, collections: &[String]) -> Option<String> {
    let lines = || NAMES.lines().filter_map(|line| line.split_once(' '));
    let has = |collection: &str, module: &str| {
        let (_, names) = lines().find(|(of, _)| *of == collection)?;
        names.split(' ').find_map(|word| named(word.strip_prefix('+').unwrap_or(word), collection, module))
    };
    if let Some((collection, module)) = name.rsplit_once('.') {
        if !matches!(collection, "ansible.builtin" | "ansible.legacy") {
            return has(collection, module);
        }
        // or what once was Ansible's own and now is a collection's
        return find(module, &[]);
    }
    let short = || {
        lines().find_map(|(of, names)| {
            names.split(' ').find_map(|word| named(word.strip_prefix('+')?, of, name))
        })
    };
    collections.iter().find_map(|c| has(c, name)).or_else(short)
}

/// What a word of the list says about a module: its full name today.
fn named(word: &str, collection: &str, module: &str) -> Option<String> {
    match word.strip_prefix(module)? {
        "" => Some(format!("{collection}.{module}")),
        rest => rest.strip_prefix('=').map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ansibles_collections() {
        let none: &[&str] = &[];
        let cases: [(&str, &[&str], Option<&str>); 15] = [
            ("yum_repository", none, Some("ansible.builtin.yum_repository")),
            ("ansible.builtin.yum_repository", none, Some("ansible.builtin.yum_repository")),
            ("ansible.legacy.git", none, Some("ansible.builtin.git")),
            ("virt", none, Some("community.libvirt.virt")),
            ("community.libvirt.virt", none, Some("community.libvirt.virt")),
            ("seport", none, Some("community.general.seport")),
            // known in its collection only
            ("zabbix_item", none, None),
            ("zabbix_item", &["community.zabbix"], Some("community.zabbix.zabbix_item")),
            ("ansible.builtin.seboolean", none, Some("ansible.posix.seboolean")),
            ("ansible.builtin.zabbix_item", none, None),
            // names of long ago
            ("openssl_certificate", none, Some("community.crypto.x509_certificate")),
            ("ansible.builtin.openssl_certificate", none, Some("community.crypto.x509_certificate")),
            ("community.general.docker_compose_v2_", none, None),
            ("community.libvirt.vert", none, None),
            ("my.own.virt", none, None),
        ];
        for (name, collections, wanted) in cases {
            let collections: Vec<String> = collections.iter().map(|c| (*c).to_owned()).collect();
            assert_eq!(find(name, &collections).as_deref(), wanted, "{name}");
        }
    }
}
