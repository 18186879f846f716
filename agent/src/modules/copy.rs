//! `copy`: a file or tree with a given content at a given place. `template` ends here too.
//!
//! In: content by its SHA-256 (`_content`), text (`content`), a file of the host (`remote_src`), or a whole tree
//! (`_manifest`). Out: the results that Ansible's action and module give together.
//!
//! **Invariant:** content that stands at the destination already is never asked for, and never written.
//!
//! Not here: finding and reading files on the controller, rendering templates.

mod diff;
mod remote;
pub(crate) mod single;
mod tree;

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::protocol::{Hash, hash_from_hex};
use crate::spec::{Kind, Param, Spec};
use crate::system::files;
use quorate_value::{Value, to_json};
use single::{Place, Source, put};
use std::path::Path;

/// The `copy` module.
pub struct Copy;

static SPEC: Spec = Spec::new("copy", "Puts a file or a directory tree with a given content on the host.")
    .params(&[
        Param::path("dest").required().doc("Where to put it. A directory, or a path ending in `/`, takes the file under its own name."),
        Param::path("src").doc("The file or directory to copy, from the controller unless `remote_src`. A trailing `/` means a directory's content."),
        Param::str("content").no_log_false().doc("The content itself, instead of `src`."),
        Param::bool("remote_src").default_bool(false).doc("`src` is on the host already."),
        Param::bool("backup").default_bool(false).doc("Keeps a copy of what is replaced, with a time in its name."),
        Param::bool("force").default_bool(true).doc("Replaces what differs; otherwise only what is missing is made."),
        Param::str("validate").doc("Command that has to accept the new file (`%s`) before it takes its place."),
        Param::raw("directory_mode").doc("Permission bits for directories that are made."),
        Param::bool("follow").default_bool(false).doc("Writes to what a link at the destination leads to, instead of replacing the link."),
        Param::bool("local_follow").doc("Follows links inside the source tree instead of copying them as links."),
        Param::bool("decrypt").hidden().doc("Decrypts a vaulted file on the controller, which is the default."),
        Param::str("checksum").doc("SHA-1 that the content has to have."),
        Param::str("_original_basename").doc("Name of the source file; set by the controller."),
        Param::str("_content").hidden().doc("SHA-256 of the content; set by the controller."),
        Param::int("_size").hidden().doc("Size of the content; set by the controller."),
        Param::str("_checksum").hidden().doc("SHA-1 of the content; set by the controller."),
        Param::str("_source").hidden().doc("Where the content comes from, for people; set by the controller."),
        Param::list("_manifest", Kind::Dict).hidden().doc("A tree, entry by entry; set by the controller."),
    ])
    .files()
    .diff();

impl Module for Copy {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        if args.has("_manifest") {
            return tree::put_tree(args, ctx);
        }
        if args.bool("remote_src") {
            return from_host(args, ctx);
        }
        let dest = args.text("dest");
        if let Some(hash) = args.str("_content") {
            let hash = hash_from_hex(hash).ok_or_else(|| Failure::new("`_content` is no SHA-256"))?;
            let source = Source::Content { hash, size: args.int("_size").map(|size| size as u64) };
            let from_text = args.has("content") || args.nonempty("_original_basename").is_none();
            let sum = args.str("_checksum");
            return controlled(args, ctx, dest, &source, from_text)
                .map_err(|failure| failure.or_with("checksum", sum));
        }
        if let Some(content) = args.value("content") {
            let text = match content {
                Value::Str(text) => text.as_str().to_owned(),
                other => to_json(other),
            };
            let sum = files::Algorithm::Sha1.digest(text.as_bytes());
            return controlled(args, ctx, dest, &Source::Text(text), true)
                .map_err(|failure| failure.or_with("checksum", sum));
        }
        Err(Failure::new("src (or content) is required"))
    }
}

/// A source that the controller gives.
fn controlled(
    args: &Args,
    ctx: &Ctx,
    dest: &str,
    source: &Source,
    from_text: bool,
) -> Result<Outcome, Failure> {
    let into_directory = dest.ends_with('/') || Path::new(dest).is_dir();
    if into_directory && from_text {
        return Err(Failure::new("can not use content with a dir as dest"));
    }
    let name = args.text("_original_basename");
    let dest =
        if into_directory { format!("{}/{name}", dest.trim_end_matches('/')) } else { dest.to_owned() };
    let place = Place {
        make_parents: into_directory,
        shown_source: args.str("_source").map(str::to_owned),
        after_header: args.str("_source").filter(|_| !from_text).unwrap_or(&dest).to_owned(),
        dest,
        ..Place::of(args)
    };
    put(&place, source, ctx)
}

/// A source that is on the host.
fn from_host(args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
    let Some(src) = args.str("src") else { return Err(Failure::new("src (or content) is required")) };
    let Ok(metadata) = std::fs::metadata(src) else {
        return Err(Failure::new(format!("Source {src} not found")));
    };
    if metadata.is_dir() {
        return remote::put_directory(args, ctx, src);
    }
    if !metadata.is_file() {
        return Err(Failure::new(format!("Cannot copy invalid source '{src}': not a file")));
    }
    remote::put_file(args, ctx, src, &metadata)
}

/// SHA-256 of a file, where there is one that can be read.
fn hash_of(path: &str) -> Option<Hash> {
    Path::new(path).is_file().then(|| files::sha256_file(path).ok()).flatten()
}
