//! Block devices and the names that lead to them.

use crate::system::facts::Host;
use quorate_value::{Dict, Value, dict};
use std::collections::BTreeMap;

type Links = BTreeMap<String, Vec<String>>;

/// `devices` and `device_links`.
pub(super) fn devices(host: &Host) -> Dict {
    let ids = links(host, "/dev/disk/by-id");
    let uuids = links(host, "/dev/disk/by-uuid");
    let labels = links(host, "/dev/disk/by-label");
    let masters = masters(host);
    let of = |name: &str| {
        let list = |links: &Links| -> Value {
            links.get(name).map(Vec::as_slice).unwrap_or_default().iter().map(String::as_str).collect()
        };
        dict! {"ids" => list(&ids), "uuids" => list(&uuids), "labels" => list(&labels), "masters" => list(&masters)}
    };
    let pci = host.ask("lspci", &["-D"]).unwrap_or_default();
    let mut names = host.list("/sys/block");
    names.sort();
    let mut devices = Dict::new();
    for name in names {
        let link = host.link(&format!("/sys/block/{name}")).unwrap_or_default();
        let mut facts = device(host, &name);
        facts.insert("host", pci_name(&pci, &link));
        facts.insert("links", of(&name));
        let mut partitions = Dict::new();
        let mut parts: Vec<String> = host
            .list(&format!("/sys/block/{name}"))
            .into_iter()
            .filter(|part| part.starts_with(&name) && host.exists(&format!("/sys/block/{name}/{part}/start")))
            .collect();
        parts.sort();
        for part in parts {
            let mut facts = partition(host, &name, &part);
            let own = of(&part);
            let uuid = own.get("uuids").and_then(Value::as_list).and_then(<[Value]>::first).cloned();
            facts.insert("uuid", uuid.unwrap_or_default());
            facts.insert("links", own);
            partitions.insert(part, facts);
        }
        facts.insert("partitions", partitions);
        devices.insert(name, facts);
    }
    let all = |links: &Links| -> Dict {
        links
            .iter()
            .map(|(name, list)| (name.as_str(), list.iter().map(String::as_str).collect::<Value>()))
            .collect()
    };
    dict! {
        "devices" => devices,
        "device_links" => dict! {
            "ids" => all(&ids), "uuids" => all(&uuids), "labels" => all(&labels), "masters" => all(&masters),
        },
    }
}

fn device(host: &Host, name: &str) -> Dict {
    let base = format!("/sys/block/{name}");
    let file = |file: &str| host.line(&format!("{base}/{file}"));
    let mut facts = dict! {"virtual" => 1i64};
    for key in ["vendor", "model", "sas_address", "sas_device_handle"] {
        facts.insert(key, file(&format!("device/{key}")));
    }
    if let Some(serial) = file("device/serial") {
        facts.insert("serial", serial);
    }
    if let Some(wwn) = file("device/wwid").or_else(|| file("wwid")).filter(|wwid| wwid.starts_with("naa.")) {
        facts.insert("wwn", format!("0x{}", &wwn[4..]));
    }
    for (key, path) in [("removable", "removable"), ("support_discard", "queue/discard_granularity")] {
        if let Some(value) = file(path) {
            facts.insert(key, value);
        }
    }
    if let Some(rotational) = file("queue/rotational") {
        facts.insert("rotational", rotational);
    }
    let scheduler = file("queue/scheduler").unwrap_or_default();
    let chosen =
        scheduler.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(name, _)| name);
    facts.insert("scheduler_mode", chosen);
    let sector = file("queue/logical_block_size").filter(|text| text != "0").unwrap_or_else(|| "512".into());
    size(&mut facts, file("size"), &sector);
    facts.insert("holders", holders(host, &base));
    facts
}

fn partition(host: &Host, name: &str, part: &str) -> Dict {
    let base = format!("/sys/block/{name}/{part}");
    let file = |file: &str| host.line(&format!("{base}/{file}"));
    let sector = host
        .line(&format!("/sys/block/{name}/queue/logical_block_size"))
        .filter(|text| text != "0")
        .unwrap_or_else(|| "512".into());
    let mut facts = dict! {"start" => file("start").unwrap_or_else(|| "0".into())};
    // Partitions count in units of 512 bytes whatever the device does.
    let sectors: i64 = file("size").and_then(|text| text.parse().ok()).unwrap_or(0);
    facts.insert("sectors", sectors.to_string());
    facts.insert("sectorsize", sector.parse::<i64>().unwrap_or(512));
    facts.insert("size", human(sectors as f64 * 512.0));
    facts.insert("holders", holders(host, &base));
    facts
}

fn size(facts: &mut Dict, blocks: Option<String>, sector: &str) {
    let blocks: i64 = blocks.and_then(|text| text.parse().ok()).unwrap_or(0);
    let bytes: i64 = sector.parse().unwrap_or(512).max(1);
    let sectors = blocks * 512 / bytes;
    facts.insert("sectors", sectors);
    facts.insert("sectorsize", sector);
    facts.insert("size", human(sectors as f64 * bytes as f64));
}

/// `256.00 GB`, as Ansible writes sizes.
fn human(bytes: f64) -> String {
    const UNITS: &[(&str, u32)] =
        &[("YB", 80), ("ZB", 70), ("EB", 60), ("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)];
    for (unit, power) in UNITS {
        let limit = 2f64.powi(*power as i32);
        if bytes >= limit {
            return format!("{:.2} {unit}", bytes / limit);
        }
    }
    format!("{bytes:.2} Bytes")
}

fn holders(host: &Host, base: &str) -> Value {
    let names = host.list(&format!("{base}/holders")).into_iter().map(|name| {
        if name.starts_with("dm-") {
            host.line(&format!("/sys/block/{name}/dm/name")).unwrap_or(name)
        } else {
            name
        }
    });
    names.collect()
}

/// Names in a directory of links, by the device they lead to.
fn links(host: &Host, directory: &str) -> Links {
    let mut found = Links::new();
    for name in host.list(directory) {
        if let Some(target) = host.link(&format!("{directory}/{name}")) {
            let device = target.rsplit('/').next().unwrap_or_default().to_owned();
            found.entry(device).or_default().push(name);
        }
    }
    for names in found.values_mut() {
        names.sort();
    }
    found
}

fn masters(host: &Host) -> Links {
    let mut found = Links::new();
    for name in host.list("/sys/block") {
        for slave in host.list(&format!("/sys/block/{name}/slaves")) {
            found.entry(slave).or_default().push(name.clone());
        }
    }
    for names in found.values_mut() {
        names.sort();
    }
    found
}

/// What `lspci` calls the controller of a device.
fn pci_name(lspci: &str, link: &str) -> String {
    let address = link.split('/').rev().find(|part| {
        let bytes = part.as_bytes();
        part.len() == 12 && bytes[4] == b':' && bytes[7] == b':' && bytes[10] == b'.'
    });
    let line = address.and_then(|address| lspci.lines().find_map(|line| line.strip_prefix(address)));
    line.map_or(String::new(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, expected) in
            [(0.0, "0.00 Bytes"), (2048.0, "2.00 KB"), (274877906944.0, "256.00 GB"), (1.5e12, "1.36 TB")]
        {
            assert_eq!(human(bytes), expected);
        }
    }

    #[test]
    fn controllers() {
        let lspci = "0000:00:05.0 SCSI storage controller: Red Hat, Inc. Virtio block device\n";
        let link = "../devices/pci0000:00/0000:00:05.0/virtio2/block/vda";
        assert_eq!(pci_name(lspci, link), "SCSI storage controller: Red Hat, Inc. Virtio block device");
        assert_eq!(pci_name(lspci, "../devices/virtual/block/loop0"), "");
    }
}
