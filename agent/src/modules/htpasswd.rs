//! `htpasswd`: users and passwords of web servers.
//!
//! Not here: how passwords are hashed (`htpasswd/crypt.rs`).

mod crypt;

use super::edit;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use crate::system::files;
use std::path::Path;

/// The `htpasswd` module.
pub struct Htpasswd;

static SPEC: Spec = Spec::new("htpasswd", "Keeps a user of a web server's password file.")
    .collection("community.general")
    .params(&[
        Param::path("path").required().aliases(&["dest", "destfile"]).doc("The file."),
        Param::str("name").required().aliases(&["username"]).doc("The user."),
        Param::str("password").no_log().doc("The password."),
        Param::str("hash_scheme")
            .aliases(&["crypt_scheme"])
            .default_str("apr_md5_crypt")
            .doc("How it is hashed."),
        Param::str("state")
            .choices(&["present", "absent"])
            .default_str("present")
            .doc("Whether the user should be there."),
        Param::bool("create").default_bool(true).doc("Makes the file where it is missing."),
    ])
    .files();

impl Module for Htpasswd {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (path, name) = (args.text("path"), args.text("name"));
        let present = args.text("state") == "present";
        let exists = Path::new(path).exists();
        let text = if exists {
            std::fs::read_to_string(path).map_err(|error| files::trouble("could not read", path, &error))?
        } else {
            String::new()
        };
        // comments and blank lines go, as the servers' own tools do it
        let mut lines: Vec<String> = text
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
            .map(str::to_owned)
            .collect();
        let cleaned = lines.len() != text.lines().count();
        let at = lines.iter().position(|line| line.split(':').next() == Some(name));
        if !present && !exists {
            return Ok(Outcome::ok()
                .msg(format!("{name} not present"))
                .warn(format!("{path} does not exist")));
        }
        let mut changed = true;
        let msg = if present {
            let password = args.str("password").ok_or_else(|| {
                Failure::new("Unable to get password. Provide the password option when state is present.")
            })?;
            let scheme = args.text("hash_scheme");
            if !exists && !args.bool("create") {
                return Err(Failure::new(format!("Destination {path} does not exist")));
            }
            let hash =
                || crypt::hash(scheme, password).map(|hash| format!("{name}:{hash}")).map_err(Failure::new);
            match at {
                Some(at)
                    if lines[at].split_once(':').is_some_and(|(_, hash)| crypt::verify(password, hash)) =>
                {
                    changed = false;
                    format!("{name} already present")
                }
                Some(at) => {
                    lines[at] = hash()?;
                    format!("Add/update {name}")
                }
                None => {
                    lines.push(hash()?);
                    if exists {
                        format!("Add/update {name}")
                    } else if ctx.check {
                        format!("Create {path}")
                    } else {
                        format!("Created {path} and added {name}")
                    }
                }
            }
        } else if let Some(at) = at {
            lines.remove(at);
            format!("Remove {name}")
        } else {
            changed = false;
            format!("{name} not present")
        };
        let wanted = args.wanted();
        if (changed || cleaned) && !ctx.check {
            if !exists {
                edit::make_parent(path)?;
            }
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            edit::write(path, text.as_bytes(), None, &wanted, ctx)?;
        }
        if !Path::new(path).exists() {
            return Ok(Outcome::changed_if(changed).msg(msg));
        }
        let (changed, msg, _) = edit::settle(path, &wanted, changed, &msg, ctx)?;
        Ok(Outcome::changed_if(changed).msg(msg).plain())
    }
}
