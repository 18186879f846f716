//! What the modules that edit text files share: reading, checking the new text, putting it in place.
//!
//! **Invariant:** bytes that are no UTF-8 survive an edit elsewhere in the file.

use crate::module::{Ctx, Failure};
use crate::modules::copy::single::check_with;
use crate::system::files::{self, Replacement, Wanted};
use quorate_value::{Dict, Value, dict};
use std::io::Write as _;
use std::path::Path;

/// Text of a file. Files that are no UTF-8 are held byte by byte as characters, and arguments with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    bytewise: bool,
}

impl Text {
    pub(super) fn of(bytes: Vec<u8>) -> Text {
        match String::from_utf8(bytes) {
            Ok(text) => Text { text, bytewise: false },
            Err(error) => {
                let text = error.into_bytes().into_iter().map(char::from).collect();
                Text { text, bytewise: true }
            }
        }
    }

    /// An argument in the form that the file's text has.
    pub(super) fn adapt(&self, argument: &str) -> String {
        if self.bytewise { argument.bytes().map(char::from).collect() } else { argument.to_owned() }
    }

    /// Text in this form, as bytes.
    pub(super) fn bytes(&self, text: &str) -> Vec<u8> {
        if self.bytewise { text.chars().map(|c| c as u8).collect() } else { text.as_bytes().to_vec() }
    }

    /// Text in this form, to show.
    pub(super) fn shown(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text)).into_owned()
    }
}

/// Splits after each newline, keeping it.
pub(super) fn lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// Writes new content to the file that a path leads to, after `validate` accepted it.
pub(super) fn write(
    path: &str,
    content: &[u8],
    validate: Option<&str>,
    wanted: &Wanted,
    ctx: &Ctx,
) -> Result<(), Failure> {
    if let Some(template) = validate.filter(|template| !template.contains("%s")) {
        return Err(Failure::new(format!("validate must contain %s: {template}")));
    }
    let real = files::real_path(path);
    let mut replacement =
        Replacement::of(&real, &Wanted { unsafe_writes: wanted.unsafe_writes, ..Wanted::default() })?;
    replacement
        .file()
        .write_all(content)
        .map_err(|error| files::trouble("could not write", &real, &error))?;
    if let Some(template) = validate {
        let output = check_with(template, replacement.temporary(), ctx)?;
        if !output.ok() {
            let msg = format!("failed to validate: rc:{} error:{}", output.rc, output.stderr_text());
            return Err(Failure::new(msg));
        }
    }
    replacement.commit()
}

/// Makes the directories above a file that is about to be made.
pub(super) fn make_parent(path: &str) -> Result<(), Failure> {
    let Some(parent) = Path::new(path).parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(parent).map_err(|error| {
        let errno = crate::system::process::errno(&error);
        Failure::new(format!("Error creating {} ({errno})", parent.display()))
    })
}

/// Attributes of the file, and how the message changes with them.
pub(super) fn settle(
    path: &str,
    wanted: &Wanted,
    changed: bool,
    msg: &str,
    ctx: &Ctx,
) -> Result<(bool, String, Dict), Failure> {
    let (mut before, mut after) = (Dict::new(), Dict::new());
    let header = format!("{path} (file attributes)");
    let differs = wanted.apply(path, ctx, Some((&mut before, &mut after)))?;
    let mut diff = dict! {"before_header" => header.as_str(), "after_header" => header.as_str()};
    if differs {
        diff.insert("before", before);
        diff.insert("after", after);
    }
    let msg = match (differs, changed) {
        (true, true) => format!("{msg} and ownership, perms or SE linux context changed"),
        (true, false) => format!("{msg}ownership, perms or SE linux context changed"),
        (false, _) => msg.to_owned(),
    };
    Ok((changed || differs, msg, diff))
}

/// The difference of content.
pub(super) fn content_diff(path: &str, before: String, after: String) -> Dict {
    let header = format!("{path} (content)");
    dict! {
        "before" => before, "after" => after,
        "before_header" => header.as_str(), "after_header" => header.as_str(),
    }
}

/// Both differences, as a list.
pub(super) fn both(content: Dict, attributes: Dict) -> Value {
    Value::list([Value::from(content), Value::from(attributes)])
}

/// A directory where a file should be, with Ansible's code.
pub(super) fn no_directory(path: &str) -> Result<(), Failure> {
    if Path::new(path).is_dir() {
        return Err(Failure::new(format!("Path {path} is a directory !")).with("rc", 256i64));
    }
    Ok(())
}
