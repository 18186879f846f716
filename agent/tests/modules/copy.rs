//! `copy` as the controller uses it: content by hash, trees by manifest.

use super::{flag, text};
use quorate_agent::module::{Body, ContentProvider, run_local};
use quorate_agent::protocol::{Hash, Job, hex};
use quorate_agent::system::files::{Algorithm, sha256};
use quorate_agent::system::process::Cancel;
use quorate_value::{Dict, Value, dict};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts how often it was asked.
#[derive(Default)]
struct Offer {
    content: Vec<Vec<u8>>,
    asked: AtomicUsize,
}

impl ContentProvider for Offer {
    fn fetch(&self, hash: &Hash, _: &Cancel) -> Result<Body, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let found = self.content.iter().find(|content| sha256(content) == *hash);
        found.map(|content| Body::Memory(Arc::from(content.as_slice()))).ok_or_else(|| "unknown".into())
    }
}

fn copy(args: Dict, offer: &Arc<Offer>, check: bool) -> Dict {
    let job = Job { module: "copy".into(), args, check, diff: true, ..Job::default() };
    run_local(&job, Arc::clone(offer) as Arc<dyn ContentProvider>, &Cancel::default()).unwrap()
}

fn offer(content: &[&str]) -> Arc<Offer> {
    let content = content.iter().map(|text| text.as_bytes().to_vec()).collect();
    Arc::new(Offer { content, ..Offer::default() })
}

fn hash(text: &str) -> String {
    hex(&sha256(text.as_bytes()))
}

#[test]
fn content_is_asked_for_only_where_it_differs() {
    let directory = tempfile::tempdir().unwrap();
    let dest = directory.path().join("etcd.conf").to_string_lossy().into_owned();
    let offer = offer(&["name: a\n"]);
    let args =
        dict! {"dest" => dest.as_str(), "_content" => hash("name: a\n"), "_size" => 8i64, "mode" => "0640"};
    let foreseen = copy(args.clone(), &offer, true);
    assert!(flag(&foreseen, "changed") && !std::path::Path::new(&dest).exists());
    let result = copy(args.clone(), &offer, false);
    assert_eq!((text(&result, "mode"), text(&result, "dest")), ("0640", dest.as_str()));
    assert_eq!(text(&result, "checksum"), Algorithm::Sha1.digest(b"name: a\n"));
    let asked = offer.asked.load(Ordering::Relaxed);
    let again = copy(args, &offer, false);
    assert!(!flag(&again, "changed"));
    assert_eq!(offer.asked.load(Ordering::Relaxed), asked, "content was asked for again");
}

#[test]
fn a_tree_travels_as_a_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("t").to_string_lossy().into_owned();
    let offer = offer(&["one", "two"]);
    let manifest = Value::list([
        Value::from(dict! {"path" => "sub", "kind" => "directory"}),
        Value::from(dict! {"path" => "a", "kind" => "file", "hash" => hash("one"), "size" => 3i64}),
        Value::from(dict! {"path" => "sub/b", "kind" => "file", "hash" => hash("two"), "mode" => "0600"}),
        Value::from(dict! {"path" => "l", "kind" => "link", "target" => "a"}),
    ]);
    let args = dict! {"dest" => root.as_str(), "_manifest" => manifest, "directory_mode" => "0711", "_source" => "files/t/"};
    assert!(flag(&copy(args.clone(), &offer, true), "changed"));
    assert!(!std::path::Path::new(&root).exists());
    let result = copy(args.clone(), &offer, false);
    assert_eq!((text(&result, "dest"), text(&result, "src")), (format!("{root}/").as_str(), "files/t/"));
    assert_eq!(std::fs::read_to_string(format!("{root}/sub/b")).unwrap(), "two");
    assert_eq!(std::fs::read_link(format!("{root}/l")).unwrap().to_str(), Some("a"));
    let again = copy(args.clone(), &offer, false);
    assert!(!flag(&again, "changed"), "{again:?}");
    let outside = Value::list([Value::from(dict! {"path" => "../x", "kind" => "directory"})]);
    let bad = copy(dict! {"dest" => root, "_manifest" => outside}, &offer, false);
    assert!(flag(&bad, "failed"));
}

#[test]
fn damaged_content_never_appears() {
    let directory = tempfile::tempdir().unwrap();
    let dest = directory.path().join("x").to_string_lossy().into_owned();
    struct Liar;
    impl ContentProvider for Liar {
        fn fetch(&self, _: &Hash, _: &Cancel) -> Result<Body, String> {
            Ok(Body::Memory(Arc::from(b"other".as_slice())))
        }
    }
    let args = dict! {"dest" => dest.as_str(), "_content" => hash("wanted")};
    let job = Job { module: "copy".into(), args, ..Job::default() };
    let result = run_local(&job, Arc::new(Liar), &Cancel::default()).unwrap();
    assert!(flag(&result, "failed") && !std::path::Path::new(&dest).exists());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}
