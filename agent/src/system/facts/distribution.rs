//! Which distribution this is, and its family.
//!
//! In: `/etc/os-release` and the older files beside it. Out: Ansible's `distribution*` and `os_family`.

use super::Host;
use quorate_value::{Dict, Value, dict};
use std::collections::HashMap;

/// `os-release` by key.
pub type Release = HashMap<String, String>;

/// What `/etc/os-release` says.
pub fn os_release(host: &Host) -> Release {
    let text = host.read("/etc/os-release").or_else(|| host.read("/usr/lib/os-release")).unwrap_or_default();
    assignments(&text)
}

/// `KEY=value` lines, quotes taken off.
pub fn assignments(text: &str) -> Release {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.trim().split_once('=')?;
            let words = crate::system::shlex::split(value).ok()?;
            Some((key.to_owned(), words.join(" ")))
        })
        .collect()
}

/// What is found out step by step.
#[derive(Debug, Clone, Default)]
struct Found {
    name: String,
    version: String,
    major: Option<String>,
    minor: Option<String>,
    release: String,
    file: Option<(&'static str, &'static str)>,
    parsed: bool,
    search: Option<&'static str>,
}

/// `distribution`, its versions, the file that told, `os_family`.
pub fn distribution(host: &Host) -> Dict {
    let release = os_release(host);
    let found = identify(host, &release);
    let or_na = |text: &str| if text.is_empty() { "NA".to_owned() } else { text.to_owned() };
    let version = or_na(&found.version);
    let major = found.major.clone().unwrap_or_else(|| version.split('.').next().unwrap_or("NA").to_owned());
    let mut facts = dict! {
        "distribution" => found.name.as_str(),
        "distribution_version" => version,
        "distribution_major_version" => major,
        "distribution_release" => found.release.as_str(),
    };
    if let Some(minor) = &found.minor {
        facts.insert("distribution_minor_version", minor.as_str());
    }
    if let Some((path, variety)) = found.file {
        facts.insert("distribution_file_path", path);
        facts.insert("distribution_file_variety", variety);
    }
    if found.parsed {
        facts.insert("distribution_file_parsed", true);
    }
    if let Some(search) = found.search {
        facts.insert("distribution_file_search_string", search);
    }
    facts.insert("os_family", family(&found.name));
    facts
}

/// The family of a distribution; its own name where it stands alone.
pub fn family(name: &str) -> &str {
    match name {
        "RedHat"
        | "RHEL"
        | "Fedora"
        | "CentOS"
        | "Scientific"
        | "SLC"
        | "Ascendos"
        | "CloudLinux"
        | "PSBM"
        | "OracleLinux"
        | "OVS"
        | "OEL"
        | "Amazon"
        | "Amzn"
        | "Virtuozzo"
        | "XenServer"
        | "Alibaba"
        | "EulerOS"
        | "openEuler"
        | "AlmaLinux"
        | "Rocky"
        | "TencentOS"
        | "EuroLinux"
        | "Kylin Linux Advanced Server"
        | "MIRACLE" => "RedHat",
        "Debian"
        | "Ubuntu"
        | "Raspbian"
        | "Neon"
        | "KDE neon"
        | "Linux Mint"
        | "SteamOS"
        | "Devuan"
        | "Kali"
        | "Cumulus Linux"
        | "Pop!_OS"
        | "Parrot"
        | "Pardus GNU/Linux"
        | "Uos"
        | "Deepin"
        | "OSMC"
        | "Linux Mint Debian Edition" => "Debian",
        "SuSE"
        | "SLES"
        | "SLED"
        | "openSUSE"
        | "openSUSE Leap"
        | "openSUSE Tumbleweed"
        | "openSUSE MicroOS"
        | "SLES_SAP"
        | "SUSE_LINUX"
        | "SL-Micro"
        | "ALP-Dolomite" => "Suse",
        "Archlinux" | "Antergos" | "Manjaro" | "Manjaro ARM" => "Archlinux",
        "Mandrake" | "Mandriva" => "Mandrake",
        "Gentoo" | "Funtoo" => "Gentoo",
        "SMGL" => "SMGL",
        "Slackware" => "Slackware",
        "Alpine" => "Alpine",
        "ALT Linux" | "Altlinux" => "Altlinux",
        "ClearLinux" | "Clear Linux Mix" | "Clear Linux OS" => "ClearLinux",
        other => other,
    }
}

fn codename(release: &Release) -> String {
    if let Some(name) = release.get("VERSION_CODENAME").or(release.get("UBUNTU_CODENAME")) {
        return name.clone();
    }
    let version = release.get("VERSION").map_or("", String::as_str);
    // `9.3 (Blue Onyx)` or `14.04, Trusty Tahr`.
    let inside = version.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(name, _)| name);
    inside.or(version.split_once(", ").map(|(_, name)| name)).unwrap_or("NA").trim().to_owned()
}

/// `Name release VERSION (Codename)`, as Red Hat's family writes it.
fn red_hat_line(text: &str) -> (String, String) {
    let version = text.split_once(" release ").map_or("", |(_, rest)| rest);
    let version = version.split_whitespace().next().unwrap_or("").to_owned();
    let name = text.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(name, _)| name);
    (version, name.to_owned())
}

fn identify(host: &Host, release: &Release) -> Found {
    let get = |key: &str| release.get(key).cloned().unwrap_or_default();
    let (id, name) = (get("ID"), get("NAME"));
    let mut found = Found {
        name: name.clone(),
        version: get("VERSION_ID"),
        release: codename(release),
        file: (!release.is_empty()).then_some(("/etc/os-release", "NA")),
        parsed: !release.is_empty(),
        ..Found::default()
    };
    let generic = |found: &mut Found, path: &'static str, variety: &'static str, name: &str| {
        found.name = name.to_owned();
        found.file = Some((path, variety));
        found.parsed = true;
    };
    let line = |path: &str| host.line(path).unwrap_or_default();
    match id.as_str() {
        "debian" | "raspbian" => {
            generic(&mut found, "/etc/os-release", "Debian", "Debian");
            debian(host, &mut found);
        }
        "ubuntu" | "pop" | "neon" | "kali" | "parrot" | "devuan" | "deepin" | "uos" | "pardus"
        | "linuxmint" | "steamos" | "cumulus-linux" | "osmc" => {
            let known = match id.as_str() {
                "ubuntu" => "Ubuntu",
                "kali" => "Kali",
                "parrot" => "Parrot",
                "devuan" => "Devuan",
                "deepin" => "Deepin",
                "uos" => "Uos",
                "linuxmint" => "Linux Mint",
                "steamos" => "SteamOS",
                "cumulus-linux" => "Cumulus Linux",
                _ => name.as_str(),
            };
            generic(&mut found, "/etc/os-release", "Debian", known);
        }
        "rhel" | "rocky" | "almalinux" | "fedora" | "eurolinux" | "miraclelinux" => {
            let known = match id.as_str() {
                "rhel" => "RedHat",
                "rocky" => "Rocky",
                "almalinux" => "AlmaLinux",
                "fedora" => "Fedora",
                "eurolinux" => "EuroLinux",
                _ => "MIRACLE",
            };
            generic(&mut found, "/etc/redhat-release", "RedHat", known);
            found.search = (id == "rhel").then_some("Red Hat");
            // The file says `9.4` where os-release of a clone may only say `9`.
            let (version, _) = red_hat_line(&line("/etc/redhat-release"));
            if found.version.is_empty() {
                found.version = version;
            }
        }
        "centos" => {
            let text = line("/etc/centos-release");
            if text.contains("Stream") {
                generic(&mut found, "/etc/centos-release", "CentOS", "CentOS");
                found.release = "Stream".into();
            } else {
                generic(&mut found, "/etc/redhat-release", "RedHat", "CentOS");
                // os-release has the major version only.
                let (version, _) = red_hat_line(&text);
                if !version.is_empty() {
                    found.version = version.split('.').take(2).collect::<Vec<_>>().join(".");
                }
            }
        }
        "ol" => {
            generic(&mut found, "/etc/oracle-release", "OracleLinux", "OracleLinux");
            found.search = Some("Oracle Linux");
        }
        "amzn" => {
            generic(&mut found, "/etc/os-release", "Amazon", "Amazon");
            let mut parts = found.version.split('.');
            found.major = parts.next().map(str::to_owned);
            found.minor = Some(parts.next().unwrap_or("NA").to_owned());
        }
        "alpine" => {
            generic(&mut found, "/etc/alpine-release", "Alpine", "Alpine");
            found.version = line("/etc/alpine-release");
        }
        "opensuse-leap"
        | "opensuse-tumbleweed"
        | "opensuse-microos"
        | "sles"
        | "sled"
        | "sles_sap"
        | "opensuse"
        | "sl-micro" => {
            let known = match id.as_str() {
                "sles_sap" => "SLES_SAP".to_owned(),
                "sles" => "SLES".to_owned(),
                "sled" => "SLED".to_owned(),
                "sl-micro" => "SL-Micro".to_owned(),
                _ => name.clone(),
            };
            generic(&mut found, "/etc/os-release", "SUSE", &known);
            if let Some((_, minor)) = found.version.split_once('.') {
                found.release = minor.to_owned();
            }
        }
        "arch" | "archarm" => {
            found.name = "Archlinux".into();
            found.file = Some(("/etc/arch-release", "Archlinux"));
            found.parsed = false;
        }
        "flatcar" => generic(&mut found, "/etc/os-release", "Flatcar", "Flatcar"),
        "gentoo" => generic(&mut found, "/etc/gentoo-release", "Gentoo", "Gentoo"),
        "openeuler" => generic(&mut found, "/etc/os-release", "NA", "openEuler"),
        "" => {
            found.name = "OtherLinux".into();
            found.release = "NA".into();
        }
        _ => {}
    }
    found
}

fn debian(host: &Host, found: &mut Found) {
    let Some(text) = host.line("/etc/debian_version") else { return };
    match text.split_once('.') {
        Some((major, minor)) => {
            found.minor = Some(minor.to_owned());
            // Raspbian keeps the plain number.
            if os_release(host).get("ID").is_some_and(|id| id == "debian") {
                found.version = format!("{major}.{minor}");
            }
        }
        None if found.version.is_empty() => {
            found.version.clone_from(&text);
            found.major = Some(text);
        }
        None => {}
    }
}

/// `lsb`: as `lsb_release -a` would say it, where that is installed or left its file.
pub fn lsb(host: &Host) -> Dict {
    let file = host.read("/etc/lsb-release").map(|text| assignments(&text)).unwrap_or_default();
    let mut facts = Dict::new();
    let has_program = host.program("lsb_release").is_some();
    let release = os_release(host);
    let id = release.get("ID").map_or("", String::as_str);
    if file.contains_key("DISTRIB_ID") {
        for (key, name) in [
            ("DISTRIB_ID", "id"),
            ("DISTRIB_RELEASE", "release"),
            ("DISTRIB_DESCRIPTION", "description"),
            ("DISTRIB_CODENAME", "codename"),
        ] {
            if let Some(value) = file.get(key) {
                facts.insert(name, value.as_str());
            }
        }
    } else if has_program && matches!(id, "debian" | "raspbian") {
        let name = if id == "debian" { "Debian" } else { "Raspbian" };
        let get = |key: &str| release.get(key).map_or("n/a", String::as_str);
        facts = dict! {
            "id" => name,
            "release" => get("VERSION_ID"),
            "description" => get("PRETTY_NAME"),
            "codename" => get("VERSION_CODENAME"),
        };
    } else if has_program && let Some(printed) = host.ask("lsb_release", &["-a"]) {
        for line in printed.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let name = match key {
                "LSB Version" => "release",
                "Distributor ID" => "id",
                "Description" => "description",
                "Release" => "release",
                "Codename" => "codename",
                _ => continue,
            };
            facts.insert(name, value.trim());
        }
    }
    let major = facts
        .get("release")
        .and_then(Value::as_str)
        .map(|release| release.split('.').next().unwrap_or_default().to_owned());
    if let Some(major) = major {
        facts.insert("major_release", major);
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What it is, the files in `/etc`, the facts.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

    /// Recorded with ansible-core on the same files, without `lsb_release`.
    #[rustfmt::skip] // read in columns
    const CASES: &[Case] = &[
        ("ubuntu", &[("os-release", "NAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\nVERSION=\"22.04.3 LTS (Jammy Jellyfish)\"\nVERSION_CODENAME=jammy\nID=ubuntu\nID_LIKE=debian\n"), ("debian_version", "bookworm/sid")],
         "Ubuntu 22.04 22 - jammy /etc/os-release Debian - Debian"),
        ("rocky", &[("os-release", "NAME=\"Rocky Linux\"\nVERSION=\"9.3 (Blue Onyx)\"\nID=\"rocky\"\nVERSION_ID=\"9.3\"\n"), ("redhat-release", "Rocky Linux release 9.3 (Blue Onyx)")],
         "Rocky 9.3 9 - Blue Onyx /etc/redhat-release RedHat - RedHat"),
        ("rhel", &[("os-release", "NAME=\"Red Hat Enterprise Linux\"\nVERSION=\"9.4 (Plow)\"\nID=\"rhel\"\nVERSION_ID=\"9.4\"\n"), ("redhat-release", "Red Hat Enterprise Linux release 9.4 (Plow)")],
         "RedHat 9.4 9 - Plow /etc/redhat-release RedHat Red Hat RedHat"),
        ("centos stream", &[("os-release", "NAME=\"CentOS Stream\"\nVERSION=\"9\"\nID=\"centos\"\nVERSION_ID=\"9\"\n"), ("centos-release", "CentOS Stream release 9")],
         "CentOS 9 9 - Stream /etc/centos-release CentOS - RedHat"),
        ("centos 7", &[("os-release", "NAME=\"CentOS Linux\"\nVERSION=\"7 (Core)\"\nID=\"centos\"\nVERSION_ID=\"7\"\n"), ("centos-release", "CentOS Linux release 7.9.2009 (Core)")],
         "CentOS 7.9 7 - Core /etc/redhat-release RedHat - RedHat"),
        ("alma", &[("os-release", "NAME=\"AlmaLinux\"\nVERSION=\"9.3 (Shamrock Pampas Cat)\"\nID=\"almalinux\"\nVERSION_ID=\"9.3\"\n")],
         "AlmaLinux 9.3 9 - Shamrock Pampas Cat /etc/redhat-release RedHat - RedHat"),
        ("oracle", &[("os-release", "NAME=\"Oracle Linux Server\"\nVERSION=\"8.9\"\nID=\"ol\"\nVERSION_ID=\"8.9\"\n")],
         "OracleLinux 8.9 8 - NA /etc/oracle-release OracleLinux Oracle Linux RedHat"),
        ("fedora", &[("os-release", "NAME=\"Fedora Linux\"\nVERSION=\"39 (Server Edition)\"\nID=fedora\nVERSION_ID=39\n")],
         "Fedora 39 39 - Server Edition /etc/redhat-release RedHat - RedHat"),
        ("amazon", &[("os-release", "NAME=\"Amazon Linux\"\nVERSION=\"2023\"\nID=\"amzn\"\nVERSION_ID=\"2023\"\n")],
         "Amazon 2023 2023 NA NA /etc/os-release Amazon - RedHat"),
        ("alpine", &[("os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.18.4\n"), ("alpine-release", "3.18.4")],
         "Alpine 3.18.4 3 - NA /etc/alpine-release Alpine - Alpine"),
        ("leap", &[("os-release", "NAME=\"openSUSE Leap\"\nVERSION=\"15.5\"\nID=\"opensuse-leap\"\nVERSION_ID=\"15.5\"\n")],
         "openSUSE Leap 15.5 15 - 5 /etc/os-release SUSE - Suse"),
        ("sles", &[("os-release", "NAME=\"SLES\"\nVERSION=\"15-SP5\"\nVERSION_ID=\"15.5\"\nID=\"sles\"\n")],
         "SLES 15.5 15 - 5 /etc/os-release SUSE - Suse"),
        ("raspbian", &[("os-release", "NAME=\"Raspbian GNU/Linux\"\nVERSION_ID=\"11\"\nVERSION=\"11 (bullseye)\"\nVERSION_CODENAME=bullseye\nID=raspbian\n"), ("debian_version", "11.8")],
         "Debian 11 11 8 bullseye /etc/os-release Debian - Debian"),
        ("debian testing", &[("os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=trixie\nID=debian\n"), ("debian_version", "trixie/sid")],
         "Debian trixie/sid trixie/sid - trixie /etc/os-release Debian - Debian"),
        ("debian 13", &[("os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nVERSION=\"13 (trixie)\"\nVERSION_CODENAME=trixie\nID=debian\n"), ("debian_version", "13.1")],
         "Debian 13.1 13 1 trixie /etc/os-release Debian - Debian"),
        ("mint", &[("os-release", "NAME=\"Linux Mint\"\nVERSION=\"21.2 (Victoria)\"\nID=linuxmint\nVERSION_ID=\"21.2\"\nVERSION_CODENAME=victoria\n")],
         "Linux Mint 21.2 21 - victoria /etc/os-release Debian - Debian"),
        ("kali", &[("os-release", "NAME=\"Kali GNU/Linux\"\nID=kali\nVERSION=\"2023.3\"\nVERSION_ID=\"2023.3\"\nVERSION_CODENAME=\"kali-rolling\"\n")],
         "Kali 2023.3 2023 - kali-rolling /etc/os-release Debian - Debian"),
        ("flatcar", &[("os-release", "NAME=\"Flatcar Container Linux by Kinvolk\"\nID=flatcar\nVERSION=3510.2.1\nVERSION_ID=3510.2.1\n")],
         "Flatcar 3510.2.1 3510 - NA /etc/os-release Flatcar - Flatcar"),
        ("unknown", &[("os-release", "NAME=\"Foo Linux\"\nID=foo\nVERSION_ID=\"1.2\"\n")],
         "Foo Linux 1.2 1 - NA /etc/os-release NA - Foo Linux"),
        ("nothing", &[], "OtherLinux NA NA - NA - - - OtherLinux"),
    ];

    #[test]
    fn distributions() {
        for (what, files, expected) in CASES {
            let tree = tempfile::tempdir().unwrap();
            std::fs::create_dir(tree.path().join("etc")).unwrap();
            for (name, text) in *files {
                std::fs::write(tree.path().join("etc").join(name), text).unwrap();
            }
            let facts = distribution(&Host::at(tree.path()));
            let line: Vec<&str> = [
                "distribution",
                "distribution_version",
                "distribution_major_version",
                "distribution_minor_version",
                "distribution_release",
                "distribution_file_path",
                "distribution_file_variety",
                "distribution_file_search_string",
                "os_family",
            ]
            .iter()
            .map(|key| facts.get(key).and_then(Value::as_str).unwrap_or("-"))
            .collect();
            assert_eq!(line.join(" "), *expected, "{what}");
        }
    }
}
