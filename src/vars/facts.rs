//! Facts that outlive a run: Ansible's `jsonfile` cache, a file a host.
//!
//! In: facts as modules return them. Out: the same, as long as they are young enough. Either tool reads the other's files.

use crate::settings::Settings;
use quorate_value::{Dict, Str, Value, dict, from_json_str, to_json};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Where facts are kept.
#[derive(Debug)]
pub(super) struct FactCache {
    dir: PathBuf,
    prefix: String,
    /// None: for ever.
    timeout: Option<Duration>,
}

impl FactCache {
    /// The cache that the settings ask for; none where facts live in memory.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let plugin = settings.text("CACHE_PLUGIN");
        let dir = settings.some("CACHE_PLUGIN_CONNECTION")?;
        if plugin.rsplit('.').next() != Some("jsonfile") {
            return None;
        }
        let dir = match dir.strip_prefix("~/") {
            Some(rest) => crate::home().join(rest),
            None => PathBuf::from(dir),
        };
        let seconds = settings.number("CACHE_PLUGIN_TIMEOUT").unwrap_or(86_400);
        Some(FactCache {
            dir,
            prefix: settings.text("CACHE_PLUGIN_PREFIX").to_owned(),
            timeout: u64::try_from(seconds).ok().filter(|n| *n > 0).map(Duration::from_secs),
        })
    }

    fn file(&self, host: &str) -> PathBuf {
        self.dir.join(format!("{}s1_{}", self.prefix, host.replace('/', "_")))
    }

    /// What is known of a host from before.
    pub(super) fn load(&self, host: &str) -> Option<Dict> {
        let path = self.file(host);
        let age = std::fs::metadata(&path).ok()?.modified().ok()?;
        if let Some(limit) = self.timeout
            && SystemTime::now().duration_since(age).unwrap_or_default() > limit
        {
            return None;
        }
        let outer = from_json_str(&std::fs::read_to_string(path).ok()?).ok()?;
        let inner = match outer.as_dict()?.get("__payload__") {
            Some(payload) => from_json_str(payload.as_str()?).ok()?,
            None => outer.clone(),
        };
        Some(inner.as_dict()?.iter().map(|(key, value)| (key.clone(), untagged(value))).collect())
    }

    /// Keeps what is known of a host.
    pub(super) fn store(&self, host: &str, facts: &Dict) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let tagged: Dict = facts.iter().map(|(key, value)| (key.clone(), tagged(value))).collect();
        let text = to_json(&Value::from(dict! {"__payload__" => to_json(&Value::dict(tagged))}));
        let path = self.file(host);
        // facts tell a lot about a host, and a name that can be guessed could be somebody's link by now
        let mut fresh = tempfile::Builder::new().prefix(".quorate-").tempfile_in(&self.dir)?;
        fresh.write_all(text.as_bytes())?;
        fresh.persist(path).map_err(|e| e.error)?;
        Ok(())
    }

    /// Forgets a host.
    pub(super) fn forget(&self, host: &str) {
        std::fs::remove_file(self.file(host)).ok();
    }
}

/// Text that people wrote stays theirs: Ansible's serialised tags.
fn tagged(value: &Value) -> Value {
    match value {
        Value::Str(text) if text.is_trusted() => Value::from(dict! {
            "value" => text.as_str(),
            "tags" => Value::list([Value::from(dict! {"__ansible_type" => "TrustedAsTemplate"})]),
            "__ansible_type" => "_AnsibleTaggedStr",
        }),
        Value::List(items) => items.iter().map(tagged).collect(),
        Value::Dict(entries) => Value::dict(entries.iter().map(|(k, v)| (k.clone(), tagged(v))).collect()),
        other => other.clone(),
    }
}

fn untagged(value: &Value) -> Value {
    match value {
        Value::Dict(entries) => {
            let kind = entries.get("__ansible_type").and_then(Value::as_str);
            let inner = entries.get("value");
            if let (Some(kind), Some(inner)) = (kind, inner)
                && kind.starts_with("_AnsibleTagged")
            {
                let tags = entries.get("tags").and_then(Value::as_list).unwrap_or_default();
                let trusted = tags.iter().any(|tag| {
                    tag.as_dict().and_then(|t| t.get("__ansible_type")).and_then(Value::as_str)
                        == Some("TrustedAsTemplate")
                });
                return match inner {
                    Value::Str(text) if trusted => Value::Str(Str::new(text).trusted()),
                    other => untagged(other),
                };
            }
            Value::dict(entries.iter().map(|(k, v)| (k.clone(), untagged(v))).collect())
        }
        Value::List(items) => items.iter().map(untagged).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_back() {
        let dir = std::env::temp_dir().join(format!("quorate-facts-{}", std::process::id()));
        let mut cache =
            FactCache { dir: dir.clone(), prefix: "p_".into(), timeout: Some(Duration::from_mins(1)) };
        let facts = dict! {
            "ansible_x" => Value::list([Value::Int(1), Value::from("{{ no }}")]),
            "mine" => Value::Str(Str::new("{{ yes }}").trusted()),
        };
        cache.store("web/1", &facts).expect("written");
        let again = cache.load("web/1").expect("there");
        assert_eq!(again, facts);
        assert!(again.get("mine").and_then(Value::as_text).is_some_and(Str::is_trusted));
        let first = again.get("ansible_x").and_then(Value::as_list).expect("a list");
        assert!(first[1].as_text().is_some_and(|text| !text.is_trusted()));
        cache.timeout = Some(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(20));
        assert!(cache.load("web/1").is_none());
        cache.forget("web/1");
        cache.timeout = None;
        assert!(cache.load("web/1").is_none());
        std::fs::remove_dir_all(dir).ok();
    }
}
