//! `yum_repository`: one section of a `.repo` file.
//!
//! **Invariant:** other sections keep their entries.

use crate::args::Args;
use crate::module::{Ctx, Diff, Failure, Module, Outcome};
use crate::spec::{Kind, Param, RequiredIf, Spec};
use crate::system::files::{self, Wanted};
use quorate_value::{Value, str_of};
use std::path::Path;

/// The `yum_repository` module.
pub struct YumRepository;

static SPEC: Spec = Spec::new("yum_repository", "Keeps a repository of yum and dnf.")
    .params(&[
        Param::str("bandwidth").doc("Bandwidth for downloads, bytes a second."),
        Param::list("baseurl", Kind::Str).doc("Where the packages are."),
        Param::str("cost").doc("What using it costs, compared with other repositories."),
        Param::bool("countme").doc("Tells the repository, anonymously, how old this system is."),
        Param::str("deltarpm_metadata_percentage")
            .doc("How big delta metadata may be, compared with the whole."),
        Param::str("deltarpm_percentage").doc("How big a delta package may be, compared with the whole."),
        Param::str("description").doc("Its name as people read it."),
        Param::bool("enabled").doc("Whether it is used."),
        Param::bool("enablegroups").doc("Whether its groups count."),
        Param::list("exclude", Kind::Str).aliases(&["excludepkgs"]).doc("Packages that are left alone."),
        Param::str("failovermethod").choices(&["roundrobin", "priority"]).doc("How mirrors are chosen."),
        Param::str("file").doc("The file, without `.repo`; the name if absent."),
        Param::str("gpgcakey").no_log_false().doc("The URL of the CA key."),
        Param::bool("gpgcheck").doc("Whether signatures of packages are checked."),
        Param::list("gpgkey", Kind::Str).no_log_false().doc("URLs of the keys."),
        Param::bool("module_hotfixes").doc("Whether modular filtering is off."),
        Param::str("http_caching")
            .choices(&["all", "packages", "none"])
            .doc("What caches on the way may keep."),
        Param::str("include").doc("Another file to read."),
        Param::list("includepkgs", Kind::Str).doc("Packages that alone are used."),
        Param::str("ip_resolve")
            .choices(&["4", "6", "IPv4", "IPv6", "whatever"])
            .doc("Which addresses names become."),
        Param::bool("keepalive").doc("Keeps connections open."),
        Param::str("keepcache").choices(&["0", "1"]).doc("Keeps packages after installing."),
        Param::str("metadata_expire").doc("How long metadata is good."),
        Param::str("metadata_expire_filter")
            .choices(&["never", "read-only:past", "read-only:present", "read-only:future"])
            .doc("Which commands may use old metadata."),
        Param::str("metalink").doc("A list of mirrors with checksums."),
        Param::str("mirrorlist").doc("A list of mirrors."),
        Param::str("mirrorlist_expire").doc("How long that list is good."),
        Param::str("name").required().doc("Its identifier."),
        Param::str("password").no_log().doc("Password for the repository."),
        Param::str("priority").doc("Its priority; small numbers win."),
        Param::bool("protect").doc("Its packages are not replaced by others."),
        Param::str("proxy").doc("The proxy to go through."),
        Param::str("proxy_password").no_log().doc("Password for the proxy."),
        Param::str("proxy_username").doc("User for the proxy."),
        Param::bool("repo_gpgcheck").doc("Whether the metadata's signature is checked."),
        Param::path("reposdir").default_str("/etc/yum.repos.d").doc("The directory of such files."),
        Param::str("retries").doc("How often a download is tried."),
        Param::bool("s3_enabled").doc("Downloads from S3."),
        Param::bool("skip_if_unavailable").doc("Goes on without it when it cannot be reached."),
        Param::str("sslcacert").aliases(&["ca_cert"]).doc("Certificates of CAs to trust."),
        Param::bool("ssl_check_cert_permissions").doc("Whether the client certificate has to be readable."),
        Param::str("sslclientcert").aliases(&["client_cert"]).doc("The client's certificate."),
        Param::str("sslclientkey").aliases(&["client_key"]).no_log_false().doc("The client's key."),
        Param::bool("sslverify").aliases(&["validate_certs"]).doc("Whether certificates are checked."),
        Param::str("state")
            .choices(&["present", "absent"])
            .default_str("present")
            .doc("Whether it should be there."),
        Param::str("throttle").doc("Bandwidth for downloads, absolute or a percentage."),
        Param::str("timeout").doc("Seconds until a connection counts as dead."),
        Param::str("ui_repoid_vars").doc("Variables to show in its identifier."),
        Param::str("username").doc("User for the repository."),
        Param::bool("async").doc("Downloads in the background."),
    ])
    .required_if(&[
        RequiredIf::str("state", "present", &["baseurl", "mirrorlist", "metalink"]).any(),
        RequiredIf::str("state", "present", &["description"]),
    ])
    .files()
    .diff();

impl Module for YumRepository {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let (name, directory) = (args.text("name"), args.text("reposdir"));
        if !Path::new(directory).is_dir() {
            return Err(Failure::new(format!("Repo directory '{directory}' does not exist.")));
        }
        if args.value("name").is_some_and(|it| str_of(it).contains(['\n', '[', ']'])) {
            return Err(Failure::new("Repo ID must not contain brackets or newlines."));
        }
        let path = format!("{directory}/{}.repo", args.str("file").unwrap_or(name));
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(files::trouble("Problem reading file", &path, &error)),
        };
        let present = args.text("state") == "present";
        let mut sections = parse(&before);
        let shown_before = shown(&sections);
        sections.retain(|(section, _)| section != name);
        if present {
            sections.push((name.to_owned(), entries(args)));
        }
        let shown_after = shown(&sections);
        let mut changed = shown_before != shown_after;
        let wanted = args.wanted();
        if changed && !ctx.check {
            if sections.is_empty() {
                std::fs::remove_file(&path)
                    .map_err(|error| files::trouble("Cannot remove empty repo file", &path, &error))?;
            } else {
                let text = written(&sections, "\n\t");
                files::write(
                    &path,
                    text.as_bytes(),
                    &Wanted { unsafe_writes: wanted.unsafe_writes, ..Wanted::default() },
                )?;
            }
        }
        if Path::new(&path).exists() {
            changed |= wanted.apply(&path, ctx, None)?;
        }
        Ok(Outcome::changed_if(changed)
            .with("repo", name)
            .with("state", args.text("state"))
            .diff(Diff::texts(shown_before, shown_after).headers(path.clone(), path)))
    }
}

/// Options, each with the lines of its value.
type Entries = Vec<(String, Vec<String>)>;
type Sections = Vec<(String, Entries)>;

/// What the section should say, as the task has it.
fn entries(args: &Args) -> Entries {
    let mut found = Entries::new();
    for param in SPEC.params {
        let Some(value) = args.value(param.name) else { continue };
        let key = match param.name {
            "state" | "file" | "reposdir" | "name" => continue,
            "description" => "name",
            other => other,
        };
        let lines = match value {
            Value::Bool(flag) => vec![if *flag { "1".to_owned() } else { "0".to_owned() }],
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(str_of).collect();
                // packages are a line of words, addresses a line each
                if matches!(key, "exclude" | "includepkgs") { vec![items.join(" ")] } else { items }
            }
            other => str_of(other).split('\n').map(str::to_owned).collect(),
        };
        found.push((key.to_owned(), lines));
    }
    found.sort();
    found
}

/// An INI file as Python's parser reads it.
fn parse(text: &str) -> Sections {
    let mut sections = Sections::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t'])
            && let Some((_, values)) = sections.last_mut().and_then(|(_, entries)| entries.last_mut())
        {
            values.push(trimmed.to_owned());
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            sections.push((name.to_owned(), Vec::new()));
        } else if let (Some((_, entries)), Some(at)) = (sections.last_mut(), trimmed.find(['=', ':'])) {
            let name = trimmed[..at].trim().to_lowercase();
            entries.push((name, vec![trimmed[at + 1..].trim().to_owned()]));
        }
    }
    sections
}

/// Everything in order of names, to compare and to show.
fn shown(sections: &Sections) -> String {
    let mut sorted = sections.clone();
    sorted.sort();
    sorted.iter_mut().for_each(|(_, entries)| entries.sort());
    written(&sorted, "\n")
}

fn written(sections: &Sections, between: &str) -> String {
    let mut text = String::new();
    for (name, entries) in sections {
        text += &format!("[{name}]\n");
        for (key, values) in entries {
            text += &format!("{key} = {}\n", values.join(between));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_they_are_written() {
        let text = "[a]\nbaseurl = http://x\n\thttp://y\nname = A\n\n[b]\nenabled = 1\n\n";
        assert_eq!(written(&parse(text), "\n\t"), text);
        assert_eq!(written(&parse("# c\n[b]\nX: 1\n[a]\n"), "\n"), "[b]\nx = 1\n\n[a]\n\n");
        assert_eq!(shown(&parse("[b]\nx=1\nc=2\n[a]\n")), "[a]\n\n[b]\nc = 2\nx = 1\n\n");
    }
}
