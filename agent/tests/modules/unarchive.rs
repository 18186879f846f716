//! `unarchive`.

use super::{check, flag, run, text};
use quorate_value::{Dict, Value, dict};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

fn archive(path: &Path, names: &[(&str, &str)]) {
    let file =
        flate2::write::GzEncoder::new(std::fs::File::create(path).unwrap(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(file);
    for (name, content) in names {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o750);
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        if let Some(target) = content.strip_prefix("-> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, name, target).unwrap();
        } else {
            header.set_size(content.len() as u64);
            // The builder refuses the very names that have to be refused.
            let bytes = name.as_bytes();
            header.as_old_mut().name[..bytes.len()].copy_from_slice(bytes);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
    }
    builder.into_inner().unwrap().finish().unwrap();
}

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(names: &[(&str, &str)]) -> Place {
        let directory = tempfile::tempdir().unwrap();
        archive(&directory.path().join("x.tgz"), names);
        std::fs::create_dir(directory.path().join("out")).unwrap();
        Place { directory }
    }

    fn args(&self, more: Dict) -> Dict {
        let at = |name: &str| self.directory.path().join(name).to_string_lossy().into_owned();
        let mut args = dict! {"src" => at("x.tgz"), "dest" => at("out"), "remote_src" => true};
        args.update(&more);
        args
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join("out").join(name)
    }
}

#[test]
fn unpacks_once() {
    let place = Place::new(&[("etcd-v3/etcd", "binary"), ("etcd-v3/README.md", "text")]);
    let options = Value::list([Value::from("--strip-components=1"), Value::from("--no-same-owner")]);
    let args = place.args(dict! {"extra_opts" => options, "exclude" => Value::list([Value::from("*.md")])});
    assert!(flag(&check("unarchive", args.clone()), "changed") && !place.file("etcd").exists());
    let result = run("unarchive", args.clone());
    assert!(flag(&result, "changed"), "{result:?}");
    assert_eq!(text(&result, "handler"), "TgzArchive");
    assert_eq!(std::fs::read_to_string(place.file("etcd")).unwrap(), "binary");
    assert_eq!(std::fs::metadata(place.file("etcd")).unwrap().mtime(), 1_000_000_000);
    assert!(!place.file("README.md").exists());
    assert!(!flag(&run("unarchive", args.clone()), "changed"));
    std::fs::write(place.file("etcd"), "broken").unwrap();
    assert!(flag(&run("unarchive", args), "changed"));
    assert_eq!(std::fs::read_to_string(place.file("etcd")).unwrap(), "binary");
}

#[test]
fn nothing_leaves_the_destination() {
    let up = Place::new(&[("../evil", "x")]);
    assert!(flag(&run("unarchive", up.args(dict! {})), "failed"));
    assert!(!up.directory.path().join("evil").exists());
    let outside = tempfile::tempdir().unwrap();
    let target = format!("-> {}", outside.path().display());
    let link = Place::new(&[("l", &target), ("l/evil", "x")]);
    assert!(flag(&run("unarchive", link.args(dict! {})), "failed"));
    assert!(!outside.path().join("evil").exists());
    let absolute = Place::new(&[("/abs/file", "x")]);
    let options = Value::list([Value::from("--no-same-owner")]);
    assert!(flag(&run("unarchive", absolute.args(dict! {"extra_opts" => options})), "changed"));
    assert!(absolute.file("abs/file").exists());
}

#[test]
fn what_is_missing_is_named() {
    let place = Place::new(&[("a", "x")]);
    let nowhere = run("unarchive", place.args(dict! {"dest" => "/no/such/place"}));
    assert_eq!(text(&nowhere, "msg"), "Destination '/no/such/place' is not a directory");
    let nothing = run("unarchive", place.args(dict! {"src" => "/no/such/file"}));
    assert_eq!(text(&nothing, "msg"), "Source '/no/such/file' does not exist");
    let done = run("unarchive", place.args(dict! {"creates" => "/etc"}));
    assert!(flag(&done, "skipped"));
}
