//! What is mounted where, how full it is, and from which device.

use crate::system::facts::Host;
use quorate_value::{Dict, Value, dict};
use std::collections::HashMap;
use std::sync::mpsc;

/// A line of `fstab` or of the mount table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountEntry {
    /// What is mounted.
    pub device: String,
    /// Where.
    pub mount: String,
    /// Which kind of file system.
    pub fstype: String,
    /// With which options.
    pub options: String,
    /// Whether `dump` backs it up.
    pub dump: i64,
    /// When `fsck` looks at it.
    pub passno: i64,
}

/// The entries of a mount table, octal escapes undone.
pub fn mount_entries(text: &str) -> Vec<MountEntry> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [device, mount, fstype, options, rest @ ..] = words.as_slice() else { return None };
            let number = |at: usize| rest.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
            Some(MountEntry {
                device: unescape(device),
                mount: unescape(mount),
                fstype: (*fstype).to_owned(),
                options: (*options).to_owned(),
                dump: number(0),
                passno: number(1),
            })
        })
        .collect()
}

/// `\040` and its like, as `/proc/mounts` has them.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match digits {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Mount points that show a part of a file system only.
fn bind_mounts(mountinfo: &str) -> Vec<String> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let (root, point) = (words.get(3)?, words.get(4)?);
            (*root != "/").then(|| unescape(point))
        })
        .collect()
}

/// `mounts`: those with a device or a server behind them.
pub(super) fn mounts(host: &Host) -> Value {
    let table = host.read("/etc/mtab").or_else(|| host.read("/proc/mounts")).unwrap_or_default();
    let binds = bind_mounts(&host.read("/proc/self/mountinfo").unwrap_or_default());
    let uuids = uuids(host);
    let mut entries: Vec<MountEntry> = Vec::new();
    for entry in mount_entries(&table) {
        if !(entry.device.starts_with('/') || entry.device.contains(":/")) || entry.fstype == "none" {
            continue;
        }
        // What was mounted over it hides what was there before.
        match entries.iter_mut().find(|known| known.mount == entry.mount) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
    let sizes = sizes(host, &entries);
    entries
        .into_iter()
        .zip(sizes)
        .map(|(entry, size)| {
            let mut options = entry.options.clone();
            if binds.contains(&entry.mount) && !options.split(',').any(|option| option == "bind") {
                options += ",bind";
            }
            let mut facts = dict! {
                "mount" => entry.mount.as_str(),
                "device" => entry.device.as_str(),
                "fstype" => entry.fstype.as_str(),
                "options" => options,
                "dump" => entry.dump,
                "passno" => entry.passno,
            };
            facts.update(&size);
            let uuid = uuids.get(&real_device(host, &entry.device)).map_or("N/A", String::as_str);
            facts.insert("uuid", uuid);
            Value::dict(facts)
        })
        .collect()
}

fn real_device(host: &Host, device: &str) -> String {
    let path = std::fs::canonicalize(host.path(device));
    path.map_or_else(|_| device.to_owned(), |path| path.to_string_lossy().into_owned())
}

/// UUIDs by device.
fn uuids(host: &Host) -> HashMap<String, String> {
    let directory = "/dev/disk/by-uuid";
    let names = host.list(directory);
    names.into_iter().map(|uuid| (real_device(host, &format!("{directory}/{uuid}")), uuid)).collect()
}

/// How full each is. A server that does not answer holds up nobody longer than the host's patience.
fn sizes(host: &Host, entries: &[MountEntry]) -> Vec<Dict> {
    if !host.is_live() {
        return vec![Dict::new(); entries.len()];
    }
    let (sender, answers) = mpsc::channel();
    let mut sizes = vec![None; entries.len()];
    for (nth, entry) in entries.iter().enumerate() {
        if entry.device.starts_with('/') && !entry.fstype.starts_with("fuse") {
            sizes[nth] = Some(size(&entry.mount));
        } else {
            let (sender, mount) = (sender.clone(), entry.mount.clone());
            std::thread::spawn(move || sender.send((nth, size(&mount))));
        }
    }
    drop(sender);
    let end = std::time::Instant::now() + host.timeout();
    while let Ok((nth, size)) = answers.recv_timeout(end.saturating_duration_since(std::time::Instant::now()))
    {
        sizes[nth] = Some(size);
    }
    let late = || dict! {"note" => "Could not get extra information due to timeout"};
    sizes.into_iter().map(|size| size.unwrap_or_else(late)).collect()
}

fn size(mount: &str) -> Dict {
    let Ok(fs) = rustix::fs::statvfs(mount) else { return Dict::new() };
    dict! {
        "size_total" => fs.f_frsize * fs.f_blocks,
        "size_available" => fs.f_frsize * fs.f_bavail,
        "block_size" => fs.f_bsize,
        "block_total" => fs.f_blocks,
        "block_available" => fs.f_bavail,
        "block_used" => fs.f_blocks - fs.f_bavail,
        "inode_total" => fs.f_files,
        "inode_available" => fs.f_favail,
        "inode_used" => fs.f_files - fs.f_favail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        let entries =
            mount_entries("/dev/vda1 /mnt/a\\040b ext4 rw,noatime 0 1\n# x y z w\nproc /proc proc rw\nbad\n");
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[0].mount.as_str(), entries[0].passno), ("/mnt/a b", 1));
        assert_eq!((entries[1].device.as_str(), entries[1].dump), ("proc", 0));
    }

    #[test]
    fn parts_of_file_systems() {
        let info = "22 1 254:0 / / rw - ext4 /dev/vda rw\n23 22 254:0 /work /mnt rw - ext4 /dev/vda rw\n";
        assert_eq!(bind_mounts(info), ["/mnt"]);
    }
}
