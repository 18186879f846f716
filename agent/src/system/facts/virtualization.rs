//! Whether this is a machine, a guest of one, or a container.

use super::Host;
use quorate_value::{Dict, Value, dict};

/// What was found, in order; the first answer names the type.
#[derive(Debug, Default)]
struct Found {
    first: Option<(String, &'static str)>,
    guest: Vec<String>,
    host: Vec<String>,
}

impl Found {
    fn guest(&mut self, name: &str) {
        self.add(name, "guest");
    }

    fn host(&mut self, name: &str) {
        self.add(name, "host");
    }

    fn add(&mut self, name: &str, role: &'static str) {
        self.first.get_or_insert_with(|| (name.to_owned(), role));
        let list = if role == "guest" { &mut self.guest } else { &mut self.host };
        if !list.iter().any(|known| known == name) {
            list.push(name.to_owned());
        }
    }
}

/// `virtualization_type`, `_role`, `_tech_guest`, `_tech_host`.
pub fn virtualization(host: &Host) -> Dict {
    let mut found = Found::default();
    containers(host, &mut found);
    if host.exists("/proc/xen") {
        match host.read("/proc/xen/capabilities") {
            Some(text) if text.contains("control_d") => found.host("xen"),
            _ => found.guest("xen"),
        }
    }
    board(host, &mut found);
    processor(host, &mut found);
    hosting(host, &mut found);
    let (kind, role) = found.first.unwrap_or_else(|| ("NA".into(), "NA"));
    // Whoever names a kind of container also is in a container.
    let kinds = ["docker", "lxc", "podman", "openvz", "containerd"];
    if found.guest.iter().any(|name| kinds.contains(&name.as_str()))
        && !found.guest.iter().any(|name| name == "container")
    {
        found.guest.insert(0, "container".into());
    }
    dict! {
        "virtualization_type" => kind,
        "virtualization_role" => role,
        "virtualization_tech_guest" => found.guest.into_iter().collect::<Value>(),
        "virtualization_tech_host" => found.host.into_iter().collect::<Value>(),
    }
}

fn containers(host: &Host, found: &mut Found) {
    for line in host.read("/proc/1/cgroup").unwrap_or_default().lines() {
        let path = line.rsplit(':').next().unwrap_or("");
        if path.contains("/docker/") || path.contains("/docker-") {
            found.guest("docker");
        }
        if path.contains("/lxc/") || path.contains("/lxc.") {
            found.guest("lxc");
        }
        if path.contains("/system.slice/containerd.service") {
            found.guest("containerd");
        }
    }
    let environment = host.read("/proc/1/environ").unwrap_or_default();
    for variable in environment.split(['\0', '\n']) {
        match variable.strip_prefix("container=") {
            Some("") | None => {}
            Some(kind @ ("lxc" | "podman")) => found.guest(kind),
            Some(_) => found.guest("container"),
        }
    }
    if host.exists("/.dockerenv") || host.exists("/.dockerinit") {
        found.guest("docker");
    }
    if host.exists("/proc/vz") && !host.exists("/proc/lve") {
        if host.exists("/proc/bc") { found.host("openvz") } else { found.guest("openvz") }
    }
    if let Some(kind) = host.line("/run/systemd/container") {
        found.guest(&kind);
    }
}

/// What the virtual board calls itself.
fn board(host: &Host, found: &mut Found) {
    let dmi = |file: &str| host.line(&format!("/sys/devices/virtual/dmi/id/{file}")).unwrap_or_default();
    let (product, vendor, bios) = (dmi("product_name"), dmi("sys_vendor"), dmi("bios_vendor"));
    let family = dmi("product_family");
    if matches!(product.as_str(), "KVM" | "KVM Server" | "Bochs" | "AHV") {
        found.guest("kvm");
    }
    if vendor == "oVirt" {
        found.guest("oVirt");
    }
    if vendor == "Red Hat" {
        match family.as_str() {
            "RHV" => found.guest("RHV"),
            _ if product == "RHEV Hypervisor" => found.guest("RHEV"),
            _ => {}
        }
    }
    if matches!(product.as_str(), "VMware Virtual Platform" | "VMware7,1" | "VMware20,1" | "VMware21,1") {
        found.guest("VMware");
    }
    if matches!(product.as_str(), "OpenStack Compute" | "OpenStack Nova") {
        found.guest("openstack");
    }
    match bios.as_str() {
        "Xen" => found.guest("xen"),
        "innotek GmbH" => found.guest("virtualbox"),
        "Amazon EC2" | "DigitalOcean" | "Hetzner" => found.guest("kvm"),
        _ => {}
    }
    match vendor.as_str() {
        "QEMU" | "Amazon EC2" | "DigitalOcean" | "Google" | "Scaleway" | "Nutanix" => found.guest("kvm"),
        "KubeVirt" => found.guest("KubeVirt"),
        "Microsoft Corporation" if product == "Virtual Machine" => found.guest("VirtualPC"),
        "Parallels Software International Inc." | "Parallels International GmbH." => found.guest("parallels"),
        "OpenStack Foundation" => found.guest("openstack"),
        _ => {}
    }
}

fn processor(host: &Host, found: &mut Found) {
    if host.read("/proc/self/status").is_some_and(|text| {
        text.lines().filter_map(|line| line.strip_prefix("VxID:")).any(|id| !id.trim().is_empty())
    }) {
        let in_guest = host.read("/proc/self/status").is_some_and(|text| {
            text.lines().any(|line| line.strip_prefix("VxID:").is_some_and(|id| id.trim() != "0"))
        });
        if in_guest { found.guest("linux_vserver") } else { found.host("linux_vserver") }
    }
    for line in host.read("/proc/cpuinfo").unwrap_or_default().lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match (key, value) {
            ("model name", value) if value.contains("QEMU Virtual CPU") => found.guest("kvm"),
            ("vendor_id" | "model name", "User Mode Linux" | "UML") => found.guest("uml"),
            ("machine", value) if value.contains("emulated by qemu") => found.guest("kvm"),
            ("vendor_id", "PowerVM Lx86") => found.guest("powervm_lx86"),
            ("vendor_id", "IBM/S390") => {
                let text = host.read("/proc/sysinfo").unwrap_or_default();
                found.guest(if text.contains("z/VM") { "z/VM" } else { "PR/SM" });
            }
            _ => {}
        }
    }
}

/// Whether others run on this one.
fn hosting(host: &Host, found: &mut Found) {
    let modules: Vec<String> = host
        .read("/proc/modules")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    let loaded = |name: &str| modules.iter().any(|module| module == name);
    if loaded("kvm") || host.exists("/dev/kvm") {
        found.host("kvm");
    }
    if loaded("vboxdrv") {
        found.host("virtualbox");
    }
    if loaded("virtio") {
        found.guest("kvm");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip] // read in columns
    #[test]
    fn machines_and_guests() {
        const DMI: &str = "/sys/devices/virtual/dmi/id";
        for (files, expected) in [
            ("",                                                      "NA NA [] []"),
            ("/.dockerenv=",                                          r#"docker guest ["container", "docker"] []"#),
            ("/.dockerenv= /dev/kvm=",                                r#"docker guest ["container", "docker"] ["kvm"]"#),
            ("/proc/1/environ=container=podman",                      r#"podman guest ["container", "podman"] []"#),
            ("/proc/1/environ=container=systemd-nspawn /run/systemd/container=systemd-nspawn /.dockerenv=",
             r#"container guest ["container", "docker", "systemd-nspawn"] []"#),
            ("/proc/1/cgroup=0::/lxc/x",                              r#"lxc guest ["container", "lxc"] []"#),
            ("DMI/sys_vendor=QEMU",                                   r#"kvm guest ["kvm"] []"#),
            ("DMI/product_name=VMware7,1",                            r#"VMware guest ["VMware"] []"#),
            ("DMI/bios_vendor=Xen",                                   r#"xen guest ["xen"] []"#),
            ("DMI/sys_vendor=QEMU /dev/kvm=",                         r#"kvm guest ["kvm"] ["kvm"]"#),
            ("/dev/kvm=",                                             r#"kvm host [] ["kvm"]"#),
        ] {
            let tree = tempfile::tempdir().unwrap();
            for file in files.split_whitespace() {
                let (path, text) = file.split_once('=').unwrap();
                let path = tree.path().join(&path.replace("DMI", DMI)[1..]);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let facts = virtualization(&Host::at(tree.path()));
            let text = |key: &str| quorate_value::to_json(facts.get(key).unwrap()).trim_matches('"').to_owned();
            let line = format!(
                "{} {} {} {}",
                text("virtualization_type"), text("virtualization_role"),
                text("virtualization_tech_guest"), text("virtualization_tech_host"),
            );
            assert_eq!(line, expected, "{files}");
        }
    }
}
