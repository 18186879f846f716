//! LVM: volume groups, logical and physical volumes.

use crate::system::facts::Host;
use quorate_value::{Dict, Value, dict};

/// `lvm`; `N/A` without root or its programs.
pub(super) fn lvm(host: &Host) -> Value {
    if !host.is_live() || !rustix::process::geteuid().is_root() || host.program("vgs").is_none() {
        return Value::from("N/A");
    }
    let ask = |program: &str| {
        let options = ["--noheadings", "--nosuffix", "--units", "g", "--separator", ","];
        host.ask(program, &options).unwrap_or_default()
    };
    let (mut vgs, mut lvs, mut pvs) = (Dict::new(), Dict::new(), Dict::new());
    for fields in rows(&ask("vgs")) {
        if let [name, _, lv_count, .., size, free] = fields.as_slice() {
            let (pv_count, lv_count) = (fields[1], lv_count);
            vgs.insert(
                *name,
                dict! {"size_g" => *size, "free_g" => *free, "num_lvs" => *lv_count, "num_pvs" => pv_count},
            );
        }
    }
    for fields in rows(&ask("lvs")) {
        if let [name, group, _, size, ..] = fields.as_slice() {
            lvs.insert(*name, dict! {"size_g" => *size, "vg" => *group});
        }
    }
    for fields in rows(&ask("pvs")) {
        if let [name, group, _, _, size, free] = fields.as_slice() {
            pvs.insert(*name, dict! {"size_g" => *size, "free_g" => *free, "vg" => *group});
        }
    }
    Value::dict(dict! {"lvs" => lvs, "vgs" => vgs, "pvs" => pvs})
}

fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.trim().split(',').collect()).collect()
}
