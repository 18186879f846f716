//! `service_mgr`: who starts and stops services here.

use super::Host;

/// The service manager's name as Ansible has it.
pub fn service_manager(host: &Host) -> String {
    // The first process, unless it is a shell (a container, a chroot) or a name that says nothing.
    let first = host.line("/proc/1/comm").or_else(|| {
        let path = host.link("/proc/1/exe")?;
        Some(path.rsplit('/').next()?.to_owned())
    });
    if let Some(first) = first.filter(|name| name != "init" && !name.ends_with("sh")) {
        let known = match first.as_str() {
            "procd" => "openwrt_init",
            "runit-init" => "runit",
            "svscan" => "svc",
            "openrc-init" => "openrc",
            name => name,
        };
        return known.to_owned();
    }
    let running = ["/run/systemd/system", "/dev/.run/systemd", "/dev/.systemd"];
    let systemctl = host.program("systemctl").is_some();
    let boots_systemd =
        || host.link("/sbin/init").is_some_and(|target| target.rsplit('/').next() == Some("systemd"));
    let name = if host.exists("/etc/openwrt_release") {
        "openwrt_init"
    } else if systemctl && running.iter().any(|path| host.exists(path)) {
        "systemd"
    } else if host.program("initctl").is_some() && host.exists("/etc/init") {
        "upstart"
    } else if host.exists("/sbin/openrc") {
        "openrc"
    } else if systemctl && boots_systemd() {
        "systemd"
    } else if host.exists("/etc/init.d") {
        "sysvinit"
    } else if host.exists("/etc/dinit.d") && host.program("dinitctl").is_some() {
        "dinit"
    } else {
        "service"
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn who_it_is() {
        for (files, expected) in [
            ("/proc/1/comm=systemd",                                       "systemd"),
            ("/proc/1/comm=runit-init",                                    "runit"),
            ("/proc/1/comm=tini",                                          "tini"),
            ("/proc/1/comm=init /sbin/openrc=",                            "openrc"),
            ("/proc/1/comm=bash /usr/bin/systemctl= /run/systemd/system/x=", "systemd"),
            ("/proc/1/comm=bash /usr/bin/systemctl= /etc/init.d/x=",       "sysvinit"),
            ("/proc/1/comm=init /etc/init.d/cron=",                        "sysvinit"),
            ("/proc/1/comm=sh",                                            "service"),
            ("/proc/1/comm=init /etc/openwrt_release=x /etc/init.d/x=",    "openwrt_init"),
        ] {
            let tree = tempfile::tempdir().unwrap();
            for file in files.split_whitespace() {
                let (path, text) = file.split_once('=').unwrap();
                let path = tree.path().join(&path[1..]);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            assert_eq!(service_manager(&Host::at(tree.path())), expected, "{files}");
        }
    }
}
