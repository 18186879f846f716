//! `pkg_mgr`: who installs packages here.

use super::Host;

/// Programs and the manager they stand for; the last one found counts where the family decides nothing.
const MANAGERS: &[(&str, &str)] = &[
    ("/usr/bin/dnf5", "dnf5"),
    ("/usr/bin/dnf-3", "dnf"),
    ("/usr/bin/rpm-ostree", "atomic_container"),
    ("/usr/bin/yum", "yum"),
    ("/usr/bin/apt-get", "apt"),
    ("/usr/bin/zypper", "zypper"),
    ("/usr/sbin/urpmi", "urpmi"),
    ("/usr/bin/pacman", "pacman"),
    ("/bin/opkg", "opkg"),
    ("/usr/pkg/bin/pkgin", "pkgin"),
    ("/opt/local/bin/pkgin", "pkgin"),
    ("/opt/tools/bin/pkgin", "pkgin"),
    ("/opt/local/bin/port", "macports"),
    ("/usr/local/bin/brew", "homebrew"),
    ("/opt/homebrew/bin/brew", "homebrew"),
    ("/sbin/apk", "apk"),
    ("/usr/bin/apk", "apk"),
    ("/usr/sbin/pkg", "pkgng"),
    ("/usr/sbin/swlist", "swdepot"),
    ("/usr/bin/emerge", "portage"),
    ("/usr/bin/swupd", "swupd"),
    ("/usr/sbin/sorcery", "sorcery"),
    ("/usr/bin/xbps-install", "xbps"),
    ("/usr/local/sbin/pkg", "pkgng"),
    ("/usr/bin/installp", "installp"),
];

/// The package manager's name as Ansible has it.
pub fn package_manager(host: &Host, family: &str) -> String {
    let is_there = |path: &str| host.exists(path);
    if family == "RedHat" {
        let found = ["/usr/bin/dnf5", "/usr/bin/dnf-3", "/usr/bin/dnf", "/usr/bin/yum"];
        let name = found.iter().find(|path| is_there(path)).map(|path| path.rsplit('/').next().unwrap_or(""));
        return match name {
            // On an image-based host packages are layers.
            Some(_) if host.exists("/run/ostree-booted") && is_there("/usr/bin/rpm-ostree") => {
                "atomic_container"
            }
            // `dnf` is a link to the program that really runs.
            Some("dnf-3" | "dnf") => match host.link("/usr/bin/dnf").as_deref() {
                Some("dnf5" | "/usr/bin/dnf5") => "dnf5",
                _ => "dnf",
            },
            Some("dnf5") if host.link("/usr/bin/dnf").is_some_and(|target| target.ends_with("dnf-3")) => {
                "dnf"
            }
            Some(name) => name,
            None => "unknown",
        }
        .to_owned();
    }
    if family == "Debian" && is_there("/usr/bin/apt-get") {
        return "apt".into();
    }
    if family == "Altlinux" && is_there("/usr/bin/apt-get") {
        return "apt_rpm".into();
    }
    let found = MANAGERS.iter().rev().find(|(path, _)| is_there(path));
    found.map_or("unknown", |(_, name)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn who_installs() {
        for (family, files, expected) in [
            ("Debian", "/usr/bin/apt-get /usr/bin/dnf-3",   "apt"),
            ("RedHat", "/usr/bin/dnf-3 /usr/bin/yum",       "dnf"),
            ("RedHat", "/usr/bin/yum",                      "yum"),
            ("RedHat", "/usr/bin/dnf5",                     "dnf5"),
            ("RedHat", "/usr/bin/apt-get",                  "unknown"),
            ("Alpine", "/sbin/apk",                         "apk"),
            ("Suse",   "/usr/bin/zypper",                   "zypper"),
            ("Odd",    "",                                  "unknown"),
        ] {
            let tree = tempfile::tempdir().unwrap();
            for file in files.split_whitespace() {
                let path = tree.path().join(&file[1..]);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            assert_eq!(package_manager(&Host::at(tree.path()), family), expected, "{family}: {files}");
        }
    }
}
