//! `uri`: one request to a web service.
//!
//! **Invariant:** writes only `dest`, and that in one step.
//!
//! Not here: the client (`system::http`), downloads that are compared and checked (`get_url`).

mod form;

use super::web;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::protocol::hash_from_hex;
use crate::spec::{Check, Kind, Lit, Param, Spec};
use crate::system::files;
use crate::system::glob;
use crate::system::http::{self, Redirects, Request, Response, Trouble};
use quorate_value::{Dict, Value, from_json_str, to_json};
use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

/// The `uri` module.
pub struct Uri;

static SPEC: Spec = Spec::new("uri", "Talks to a web service.")
    .check(Check::None)
    .world()
    .files()
    .params(&[
        web::common(0),
        Param::path("dest").doc("File or directory to keep the answer's body in."),
        Param::str("url_username").aliases(&["user"]).doc("User."),
        web::common(13),
        Param::raw("body").doc("What to send; a structure is written as `body_format` says."),
        Param::str("body_format")
            .choices(&["form-urlencoded", "json", "raw", "form-multipart"])
            .default_str("raw")
            .doc("How `body` is written, and its `Content-Type`."),
        Param::path("src").doc("File to send; on the host with `remote_src`, else on the controller."),
        Param::str("_content").hidden().doc("SHA-256 of `src`'s content; set by the controller."),
        Param::str("method").default_str("GET").doc("The method: `GET`, `POST`, `PUT`, …"),
        Param::bool("return_content").default_bool(false).doc("Return the body as `content`."),
        Param::str("follow_redirects")
            .choices(&["all", "no", "none", "safe", "urllib2", "yes"])
            .default_str("safe")
            .doc("`safe` follows redirects of GET and HEAD only."),
        Param::path("creates").doc("Do nothing if this exists."),
        Param::path("removes").doc("Do nothing unless this exists."),
        Param::list("status_code", Kind::Int)
            .default(Lit::List(&["200"]))
            .doc("The status codes that mean success."),
        Param::int("timeout").default_int(30).doc("Seconds during which nothing may happen."),
        Param::new("headers", Kind::Dict).default(Lit::EmptyDict).doc("More headers."),
        Param::path("unix_socket").doc("Connect to this socket instead of the URL's host."),
        Param::bool("remote_src").default_bool(false).doc("Whether `src` is on the host."),
        Param::path("ca_path").doc("File of certificates to trust instead of the system's."),
        web::common(1),
        web::common(2),
        web::common(3),
        web::common(4),
        web::common(5),
        web::common(6),
        web::common(7),
        web::common(8),
        web::common(9),
        web::common(10),
        web::common(11),
        web::common(12),
    ])
    .mutually_exclusive(&[&["body", "src"]]);

impl Module for Uri {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        if let Some(path) = args.nonempty("creates").filter(|path| glob::matches_any(path, None)) {
            return Ok(Outcome::ok().with("stdout", format!("skipped, since '{path}' exists")));
        }
        if let Some(path) = args.nonempty("removes").filter(|path| !glob::matches_any(path, None)) {
            return Ok(Outcome::ok().with("stdout", format!("skipped, since '{path}' does not exist")));
        }
        let request = prepare(args, ctx)?;
        let start = Instant::now();
        let answer = http::fetch(&request);
        let elapsed = start.elapsed().as_secs() as i64;
        match answer {
            Ok(response) => conclude(args, ctx, &request, response, elapsed),
            Err(Trouble::Cancelled) => Err(Failure::new("cancelled")),
            Err(trouble @ Trouble::Url(_)) => {
                Err(web::failure(&trouble).with("status", -1i64).with("url", args.text("url")))
            }
            Err(trouble) => Err(Failure::new(format!(
                "Status code was -1 and not {}: {trouble}",
                listed(&args.strings("status_code"))
            ))
            .with("status", -1i64)
            .with("url", args.text("url"))
            .with("redirected", false)
            .with("elapsed", elapsed)),
        }
    }
}

fn listed(codes: &[String]) -> String {
    format!("[{}]", codes.join(", "))
}

fn prepare(args: &Args, ctx: &Ctx) -> Result<Request, Failure> {
    let mut request = web::request(args, ctx)?;
    request.method = args.text("method").to_uppercase();
    request.tls.ca_path = args.str("ca_path").map(str::to_owned);
    request.unix_socket = args.str("unix_socket").map(str::to_owned);
    request.redirects = match args.text("follow_redirects") {
        "all" | "yes" => Redirects::All,
        "none" | "no" => Redirects::None,
        "safe" => Redirects::Safe,
        _ => Redirects::Urllib,
    };
    let mut content_type = None;
    if let Some(hash) = args.str("_content").and_then(hash_from_hex) {
        let read =
            |error: std::io::Error| Failure::new(format!("could not read the content to send: {error}"));
        request.body = Some(ctx.content(&hash)?.bytes().map_err(read)?);
    } else if let Some(src) = args.str("src") {
        if !args.bool("remote_src") {
            return Err(Failure::new("`src` is a file of the controller, whose content did not come along"));
        }
        request.body = Some(std::fs::read(src).map_err(|error| {
            Failure::new(format!(
                "Unable to open source file {src}: {}",
                crate::system::process::errno(&error)
            ))
        })?);
    } else if let Some(body) = args.value("body") {
        let (bytes, kind) = form::encode(args.text("body_format"), body).map_err(Failure::new)?;
        request.body = Some(bytes);
        content_type = kind;
    }
    if let Some(kind) = content_type
        && !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        request.headers.push(("Content-Type".into(), kind));
    }
    if let Some(dest) = args.str("dest").filter(|dest| Path::new(dest).is_file()) {
        request.headers.extend(web::modified_header(dest));
    }
    Ok(request)
}

/// `Content-Type` of the header as a key of a result.
fn header_key(name: &str) -> String {
    name.replace('-', "_").to_lowercase()
}

fn conclude(
    args: &Args,
    ctx: &Ctx,
    request: &Request,
    mut response: Response,
    elapsed: i64,
) -> Result<Outcome, Failure> {
    let url = response.url.text();
    let mut entries = Dict::new();
    for (name, value) in &response.headers {
        let key = header_key(name);
        let joined = match entries.get(&key).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.clone(),
        };
        entries.insert(key, joined);
    }
    if let Some(location) = entries.get("location").and_then(Value::as_str) {
        let absolute = response.url.join(location).map(|url| url.text());
        if let Some(absolute) = absolute {
            entries.insert("location", absolute);
        }
    }
    entries.insert("redirected", url != request.url);
    entries.insert("url", url.as_str());
    entries.insert("status", i64::from(response.status));
    entries.insert("elapsed", elapsed);
    if response.is_good() {
        let (cookies, line) = cookies(&response);
        entries.insert("cookies", cookies);
        entries.insert("cookies_string", line);
    }
    let message = response.message();
    let unchanged = response.status == 304 && args.has("dest");
    let accepted =
        unchanged || args.strings("status_code").iter().any(|code| *code == response.status.to_string());
    let mut bytes = Vec::new();
    response
        .body
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(format!("HTTP Error while fetching {}: {error}", args.text("url"))))?;
    let kind = response.header("content-type").unwrap_or("").to_lowercase();
    let text = decode(&bytes, &kind);
    if is_json(&kind)
        && let Ok(value) = from_json_str(&text)
    {
        entries.insert("json", value);
    }
    if !accepted {
        let failure = entries.into_iter().fold(
            Failure::new(format!(
                "Status code was {} and not {}: {message}",
                response.status,
                listed(&args.strings("status_code"))
            )),
            |failure, (key, value)| failure.with(key, value),
        );
        return Err(if args.bool("return_content") { failure.with("content", text) } else { failure });
    }
    let mut outcome = Outcome::ok().with_all(entries).msg(message);
    if args.bool("return_content") {
        outcome.set("content", text);
    } else if !response.is_good() {
        outcome.set("body", text);
    }
    if let Some(dest) = args.str("dest") {
        let path = if Path::new(dest).is_dir() {
            let name = web::suggested_name(&response).unwrap_or_else(|| response.url.file_name());
            Path::new(dest).join(name).to_string_lossy().into_owned()
        } else {
            dest.to_owned()
        };
        if !unchanged {
            files::write(&path, &bytes, &args.wanted())?;
        }
        let adjusted = args.wanted().apply(&path, ctx, None)?;
        outcome.set_changed(!unchanged || adjusted);
        outcome.set("path", path);
    }
    Ok(outcome)
}

/// Whether a media type is JSON in some way.
fn is_json(kind: &str) -> bool {
    let subtype = kind.split(';').next().unwrap_or("").split_once('/').map_or("", |(_, subtype)| subtype);
    subtype.contains("json") || subtype.contains("javascript")
}

/// Text in the character set that its type names.
fn decode(bytes: &[u8], kind: &str) -> String {
    let charset = kind.split(';').find_map(|part| part.trim().strip_prefix("charset=")).unwrap_or("utf-8");
    match charset.trim_matches('"') {
        "iso-8859-1" | "latin-1" | "latin1" => bytes.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn cookies(response: &Response) -> (Dict, String) {
    let mut found = Dict::new();
    for (_, value) in response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
        if let Some((name, value)) = value.split(';').next().and_then(|pair| pair.split_once('=')) {
            found.insert(name.trim(), value.trim());
        }
    }
    let line = found
        .iter()
        .map(|(name, value)| format!("{}={}", name.json_text(), value.as_str().unwrap_or_default()));
    let line = line.collect::<Vec<_>>().join("; ");
    (found, line)
}

/// A structure as the text of a raw body.
fn raw_text(value: &Value) -> String {
    match value {
        Value::List(_) | Value::Dict(_) => to_json(value),
        other => quorate_value::str_of(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_json() {
        for (kind, expected) in [
            ("application/json; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("text/javascript", true),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json(kind), expected, "{kind}");
        }
    }

    #[test]
    fn character_sets() {
        assert_eq!(decode(b"caf\xe9", "text/plain; charset=iso-8859-1"), "café");
        assert_eq!(decode("café".as_bytes(), "text/plain"), "café");
    }
}
