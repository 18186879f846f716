//! Hardware facts: processors, memory, the board, disks, mounts, how long it has been up.

mod devices;
mod lvm;
mod mounts;

pub use mounts::mount_entries;

use super::Host;
use quorate_value::{Dict, Value, dict};
use std::collections::HashMap;

/// All hardware facts.
pub fn hardware(host: &Host) -> Dict {
    let mut facts = processors(&host.read("/proc/cpuinfo").unwrap_or_default());
    if host.is_live() {
        let usable = rustix::thread::sched_getaffinity(None).map(|set| set.count());
        if let Ok(usable) = usable {
            facts.insert("processor_nproc", i64::from(usable));
        }
    }
    facts.update(&memory(&host.read("/proc/meminfo").unwrap_or_default()));
    facts.update(&board(host));
    facts.update(&devices::devices(host));
    facts.insert("mounts", mounts::mounts(host));
    facts.insert("lvm", lvm::lvm(host));
    if let Some(seconds) =
        host.read("/proc/uptime").and_then(|text| text.split('.').next()?.parse::<i64>().ok())
    {
        facts.insert("uptime_seconds", seconds);
    }
    facts
}

/// What `/proc/cpuinfo` says.
fn processors(text: &str) -> Dict {
    let mut listed: Vec<Value> = Vec::new();
    let mut flags: Option<Value> = None;
    let (mut vendors, mut models, mut numbers) = (0i64, 0i64, 0i64);
    // Cores by socket and threads by core, each in the order they appear.
    let mut sockets: Vec<(String, i64)> = Vec::new();
    let mut cores: Vec<(String, i64)> = Vec::new();
    let (mut socket, mut core) = (String::new(), String::new());
    let put = |map: &mut Vec<(String, i64)>, key: &str, value: Option<i64>| match (
        map.iter_mut().find(|(known, _)| known == key),
        value,
    ) {
        (Some(entry), Some(value)) => entry.1 = value,
        (Some(_), None) => {}
        (None, value) => map.push((key.to_owned(), value.unwrap_or(1))),
    };
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "flags" | "Features" if flags.is_none() => flags = Some(value.split_whitespace().collect()),
            "model name" | "Processor" | "vendor_id" | "cpu" | "Vendor" | "processor" => {
                listed.push(Value::from(value));
                match key {
                    "vendor_id" => vendors += 1,
                    "model name" => models += 1,
                    "processor" => numbers += 1,
                    _ => {}
                }
            }
            "physical id" => {
                value.clone_into(&mut socket);
                put(&mut sockets, value, None);
            }
            "core id" => {
                value.clone_into(&mut core);
                put(&mut cores, value, None);
            }
            "cpu cores" => put(&mut sockets, &socket, value.parse().ok()),
            "siblings" => put(&mut cores, &core, value.parse().ok()),
            _ => {}
        }
    }
    let mut count = listed.len() as i64;
    if vendors > 0 && vendors == models {
        count = vendors;
    }
    if std::env::consts::ARCH == "aarch64" || std::env::consts::ARCH == "arm" {
        count = numbers;
    }
    let processors = if sockets.is_empty() { count } else { sockets.len() as i64 };
    let per_socket = sockets.first().map_or(1, |(_, cores)| *cores).max(1);
    let threads = (cores.first().map_or(1, |(_, threads)| *threads) / per_socket).max(1);
    let mut facts = dict! {
        "processor" => listed,
        "processor_count" => processors,
        "processor_cores" => per_socket,
        "processor_threads_per_core" => threads,
        "processor_vcpus" => threads * processors * per_socket,
        "processor_nproc" => numbers,
    };
    if let Some(flags) = flags {
        facts.insert("flags", flags);
    }
    facts
}

/// What `/proc/meminfo` says, in MiB.
fn memory(text: &str) -> Dict {
    let entries: HashMap<&str, i64> = text
        .lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            Some((key, value.split_whitespace().next()?.parse::<i64>().ok()? / 1024))
        })
        .collect();
    let get = |key: &str| entries.get(key).copied();
    let (Some(total), Some(free)) = (get("MemTotal"), get("MemFree")) else { return Dict::new() };
    let (swap_total, swap_free) = (get("SwapTotal").unwrap_or(0), get("SwapFree").unwrap_or(0));
    let mut nocache = Dict::new();
    if let (Some(cached), Some(buffers)) = (get("Cached"), get("Buffers")) {
        let unused = free + cached + buffers;
        nocache = dict! {"free" => unused, "used" => total - unused};
    }
    dict! {
        "memtotal_mb" => total,
        "memfree_mb" => free,
        "swaptotal_mb" => swap_total,
        "swapfree_mb" => swap_free,
        "memory_mb" => dict! {
            "real" => dict! {"total" => total, "used" => total - free, "free" => free},
            "nocache" => nocache,
            "swap" => dict! {
                "total" => swap_total,
                "free" => swap_free,
                "used" => swap_total - swap_free,
                "cached" => get("SwapCached").unwrap_or(0),
            },
        },
    }
}

/// The board's own description (DMI).
fn board(host: &Host) -> Dict {
    const KEYS: &[(&str, &str)] = &[
        ("bios_date", "bios_date"),
        ("bios_vendor", "bios_vendor"),
        ("bios_version", "bios_version"),
        ("board_asset_tag", "board_asset_tag"),
        ("board_name", "board_name"),
        ("board_serial", "board_serial"),
        ("board_vendor", "board_vendor"),
        ("board_version", "board_version"),
        ("chassis_asset_tag", "chassis_asset_tag"),
        ("chassis_serial", "chassis_serial"),
        ("chassis_vendor", "chassis_vendor"),
        ("chassis_version", "chassis_version"),
        ("product_name", "product_name"),
        ("product_serial", "product_serial"),
        ("product_uuid", "product_uuid"),
        ("product_version", "product_version"),
        ("system_vendor", "sys_vendor"),
    ];
    let mut facts = Dict::new();
    for (fact, file) in KEYS {
        let value = host.line(&format!("/sys/devices/virtual/dmi/id/{file}"));
        facts.insert(*fact, value.unwrap_or_else(|| "NA".into()));
    }
    let kind =
        host.line("/sys/devices/virtual/dmi/id/chassis_type").and_then(|text| text.parse::<usize>().ok());
    facts.insert("form_factor", kind.and_then(|kind| FORM_FACTORS.get(kind)).copied().unwrap_or("NA"));
    facts
}

/// The names of `chassis_type`, by number.
const FORM_FACTORS: &[&str] = &[
    "Unknown",
    "Other",
    "Unknown",
    "Desktop",
    "Low Profile Desktop",
    "Pizza Box",
    "Mini Tower",
    "Tower",
    "Portable",
    "Laptop",
    "Notebook",
    "Hand Held",
    "Docking Station",
    "All In One",
    "Sub Notebook",
    "Space-saving",
    "Lunch Box",
    "Main Server Chassis",
    "Expansion Chassis",
    "Sub Chassis",
    "Bus Expansion Chassis",
    "Peripheral Chassis",
    "RAID Chassis",
    "Rack Mount Chassis",
    "Sealed-case PC",
    "Multi-system",
    "CompactPCI",
    "AdvancedTCA",
    "Blade",
    "Blade Enclosure",
    "Tablet",
    "Convertible",
    "Detachable",
    "IoT Gateway",
    "Embedded PC",
    "Mini PC",
    "Stick PC",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(facts: &Dict) -> [i64; 4] {
        ["processor_count", "processor_cores", "processor_threads_per_core", "processor_vcpus"]
            .map(|key| facts.get(key).and_then(Value::as_int).unwrap_or(-1))
    }

    #[test]
    fn one_socket_two_cores() {
        let one = |n: u32| {
            format!(
                "processor\t: {n}\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nphysical id\t: 0\nsiblings\t: 2\n\
                 core id\t\t: {n}\ncpu cores\t: 2\nflags\t\t: fpu vme\n\n"
            )
        };
        let facts = processors(&(one(0) + &one(1)));
        assert_eq!(numbers(&facts), [1, 2, 1, 2]);
        let listed = quorate_value::to_json(facts.get("processor").unwrap());
        assert_eq!(listed, r#"["0", "AuthenticAMD", "AMD EPYC", "1", "AuthenticAMD", "AMD EPYC"]"#);
        assert_eq!(facts.get("flags").unwrap().as_list().unwrap().len(), 2);
    }

    #[test]
    fn two_sockets_with_threads() {
        let mut text = String::new();
        for n in 0..8 {
            text += &format!(
                "processor: {n}\nvendor_id: GenuineIntel\nmodel name: Xeon\nphysical id: {}\nsiblings: 4\ncore id: {}\ncpu cores: 2\n\n",
                n / 4,
                n % 2
            );
        }
        assert_eq!(numbers(&processors(&text)), [2, 2, 2, 8]);
    }

    #[test]
    fn memory_in_mebibytes() {
        let facts = memory(
            "MemTotal: 4096000 kB\nMemFree: 1024000 kB\nBuffers: 102400 kB\nCached: 204800 kB\nSwapCached: 0 kB\n\
             SwapTotal: 2048 kB\nSwapFree: 1024 kB\n",
        );
        assert_eq!(facts.get("memtotal_mb").and_then(Value::as_int), Some(4000));
        let used = facts.get("memory_mb").unwrap().get("nocache").unwrap().get("used").unwrap().as_int();
        assert_eq!(used, Some(4000 - 1000 - 100 - 200));
        assert!(memory("").is_empty());
    }
}
