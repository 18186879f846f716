//! The process's surroundings: time, user, environment, resolver, kernel command line, load.

use super::Host;
use crate::system::users;
use jiff::{Zoned, tz::TimeZone};
use quorate_value::{Dict, Value, dict};

/// `date_time`: now, in the host's time zone and as ISO 8601.
pub fn date_time(now: &Zoned) -> Dict {
    let local = |pattern: &str| now.strftime(pattern).to_string();
    let utc = now.with_time_zone(TimeZone::UTC);
    let micros = format!("{:06}", now.subsec_nanosecond() / 1000);
    let epoch = now.timestamp().as_second().to_string();
    dict! {
        "date_time" => dict! {
            "year" => local("%Y"),
            "month" => local("%m"),
            "weekday" => local("%A"),
            "weekday_number" => local("%w"),
            "weeknumber" => local("%W"),
            "day" => local("%d"),
            "hour" => local("%H"),
            "minute" => local("%M"),
            "second" => local("%S"),
            "epoch" => epoch.as_str(),
            "epoch_int" => epoch.as_str(),
            "date" => local("%Y-%m-%d"),
            "time" => local("%H:%M:%S"),
            "iso8601_micro" => format!("{}.{micros}Z", utc.strftime("%Y-%m-%dT%H:%M:%S")),
            "iso8601" => utc.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "iso8601_basic" => format!("{}{micros}", local("%Y%m%dT%H%M%S")),
            "iso8601_basic_short" => local("%Y%m%dT%H%M%S"),
            "tz" => local("%Z"),
            "tz_dst" => summer_name(now),
            "tz_offset" => local("%z"),
        },
    }
}

/// What the zone is called in summer; its only name where there is no summer time.
fn summer_name(now: &Zoned) -> String {
    let zone = now.time_zone();
    let mut names = [1, 7].into_iter().filter_map(|month| {
        let day = jiff::civil::date(now.year(), month, 1).at(12, 0, 0, 0).to_zoned(zone.clone()).ok()?;
        let info = zone.to_offset_info(day.timestamp());
        Some((info.dst().is_dst(), info.abbreviation().to_owned()))
    });
    names.find(|(summer, _)| *summer).map_or_else(|| now.strftime("%Z").to_string(), |(_, name)| name)
}

/// `user_id` and the rest of the account we run as.
pub fn user() -> Dict {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let mut facts = dict! {
        "real_user_id" => uid,
        "effective_user_id" => rustix::process::geteuid().as_raw(),
        "real_group_id" => gid,
        "effective_group_id" => rustix::process::getegid().as_raw(),
    };
    if let Some(user) = users::own() {
        facts.update(&dict! {
            "user_id" => user.name,
            "user_uid" => user.uid,
            "user_gid" => user.gid,
            "user_gecos" => user.gecos,
            "user_dir" => user.home,
            "user_shell" => user.shell,
        });
    }
    facts
}

/// `env`: the environment that programs of a task get.
pub fn environment(host: &Host) -> Dict {
    let mut all: Dict = std::env::vars_os()
        .map(|(key, value)| (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    all.extend(host.environment().iter().map(|(key, value)| (key.as_str(), value.as_str())));
    dict! {"env" => all}
}

/// `dns`: what `/etc/resolv.conf` says.
pub fn dns(host: &Host) -> Dict {
    let mut facts = Dict::new();
    for line in host.read("/etc/resolv.conf").unwrap_or_default().lines() {
        if line.starts_with(['#', ';']) {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((key, rest)) = words.split_first() else { continue };
        match *key {
            "nameserver" => {
                let mut list = facts.get("nameservers").and_then(Value::as_list).unwrap_or_default().to_vec();
                list.extend(rest.iter().map(|server| Value::from(*server)));
                facts.insert("nameservers", list);
            }
            "domain" => {
                if let Some(domain) = rest.first() {
                    facts.insert("domain", *domain);
                }
            }
            "search" | "sortlist" => {
                facts.insert(*key, rest.iter().copied().collect::<Value>());
            }
            "options" => {
                let options: Dict = rest
                    .iter()
                    .map(|option| match option.split_once(':') {
                        Some((name, value)) => (name, Value::from(value)),
                        None => (*option, Value::from(true)),
                    })
                    .collect();
                facts.insert("options", options);
            }
            _ => {}
        }
    }
    dict! {"dns" => facts}
}

/// `cmdline` and `proc_cmdline`: how the kernel was started.
pub fn command_line(host: &Host) -> Dict {
    let Some(text) = host.read("/proc/cmdline") else { return Dict::new() };
    let words = crate::system::shlex::split(&text).unwrap_or_default();
    let (mut last, mut all) = (Dict::new(), Dict::new());
    for word in &words {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Value::from(value)),
            None => (word.as_str(), Value::from(true)),
        };
        last.insert(key, value.clone());
        let value = match (all.get(key), word.contains('=')) {
            (Some(Value::List(list)), true) => {
                let mut list = list.as_ref().clone();
                list.push(value);
                Value::list(list)
            }
            (Some(before), true) => Value::list(vec![before.clone(), value]),
            _ => value,
        };
        all.insert(key, value);
    }
    dict! {"cmdline" => last, "proc_cmdline" => all}
}

/// `loadavg`, as precise as the kernel has it.
pub fn load(host: &Host) -> Dict {
    if !host.is_live() {
        return Dict::new();
    }
    let loads = rustix::system::sysinfo().loads;
    let load = |at: usize| loads[at] as f64 / 65536.0;
    dict! {"loadavg" => dict! {"1m" => load(0), "5m" => load(1), "15m" => load(2)}}
}

/// `iscsi_iqn`, `hostnqn`, `fibre_channel_wwn`: names under which storage knows the host.
pub fn iscsi(host: &Host) -> Dict {
    let name = host.read("/etc/iscsi/initiatorname.iscsi").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("InitiatorName="))?;
        Some(line.trim().to_owned())
    });
    dict! {"iscsi_iqn" => name.unwrap_or_default()}
}

/// The host's name for NVMe over fabrics.
pub fn nvme(host: &Host) -> Dict {
    let name = host.read("/etc/nvme/hostnqn").and_then(|text| {
        text.lines().map(str::trim).find(|line| line.starts_with("nqn.")).map(str::to_owned)
    });
    dict! {"hostnqn" => name.unwrap_or_default()}
}

/// The world wide names of the host's fibre channel ports.
pub fn fibre_channel(host: &Host) -> Dict {
    let ports = host.list("/sys/class/fc_host").into_iter();
    let names: Vec<String> = ports
        .filter_map(|port| host.line(&format!("/sys/class/fc_host/{port}/port_name")))
        .map(|name| name.trim_start_matches("0x").to_owned())
        .collect();
    dict! {"fibre_channel_wwn" => names.into_iter().collect::<Value>()}
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_value::to_json;

    fn with(file: &str, text: &str) -> (tempfile::TempDir, Host) {
        let tree = tempfile::tempdir().unwrap();
        let path = tree.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        let host = Host::at(tree.path());
        (tree, host)
    }

    #[test]
    fn times() {
        let now: Zoned = "2026-07-21T10:23:46.874533+02:00[Europe/Berlin]".parse().unwrap();
        let facts = date_time(&now);
        let facts = facts.get("date_time").unwrap();
        for (key, expected) in [
            ("iso8601", "2026-07-21T08:23:46Z"),
            ("iso8601_micro", "2026-07-21T08:23:46.874533Z"),
            ("iso8601_basic", "20260721T102346874533"),
            ("weekday", "Tuesday"),
            ("tz", "CEST"),
            ("tz_dst", "CEST"),
            ("tz_offset", "+0200"),
            ("epoch", "1784622226"),
        ] {
            assert_eq!(facts.get(key).and_then(Value::as_str), Some(expected), "{key}");
        }
        let winter: Zoned = "2026-01-21T10:00:00+01:00[Europe/Berlin]".parse().unwrap();
        let name = date_time(&winter).get("date_time").unwrap().get("tz_dst").unwrap().clone();
        assert_eq!(name.as_str(), Some("CEST"));
    }

    #[test]
    fn resolver() {
        let (_tree, host) = with(
            "etc/resolv.conf",
            "# c\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a.b c\noptions ndots:2 rotate\n",
        );
        assert_eq!(
            to_json(&Value::dict(dns(&host))),
            r#"{"dns": {"nameservers": ["10.0.0.1", "10.0.0.2"], "search": ["a.b", "c"], "options": {"ndots": "2", "rotate": true}}}"#
        );
    }

    #[test]
    fn kernel_command_line() {
        let (_tree, host) = with("proc/cmdline", "console=tty0 quiet console=ttyS0 x=\"a b\"\n");
        let facts = command_line(&host);
        assert_eq!(
            to_json(facts.get("cmdline").unwrap()),
            r#"{"console": "ttyS0", "quiet": true, "x": "a b"}"#
        );
        assert_eq!(
            to_json(facts.get("proc_cmdline").unwrap()),
            r#"{"console": ["tty0", "ttyS0"], "quiet": true, "x": "a b"}"#
        );
    }
}
