//! What `uri` and `get_url` share: the parameters of a request, and their reading.

use crate::args::Args;
use crate::module::{Ctx, Failure};
use crate::spec::{Kind, Lit, Param};
use crate::system::http::{Redirects, Request, Response, Tls, Trouble};
use quorate_value::str_of;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// The parameters that every module speaking HTTP has.
pub(super) const fn common(nth: usize) -> Param {
    const ALL: [Param; 14] = [
        Param::str("url").required().doc("What to ask for: `http://…`, `https://…`."),
        Param::bool("force").default_bool(false).doc("Ask caches on the way for a fresh answer."),
        Param::str("http_agent").default_str("ansible-httpget").doc("The `User-Agent`."),
        Param::bool("use_proxy").default_bool(true).doc("Go through the proxies that the environment names."),
        Param::bool("validate_certs").default_bool(true).doc("Check the server's certificate."),
        Param::bool("force_basic_auth")
            .default_bool(false)
            .doc("Send user and password before the server asks for them."),
        Param::path("client_cert").doc("Our certificate, PEM; may hold the key too."),
        Param::path("client_key").doc("Our key, PEM."),
        Param::bool("use_gssapi").default_bool(false).doc("Not supported: a task that asks for it fails."),
        Param::list("ciphers", Kind::Str).doc("Not supported: a task that asks for it fails."),
        Param::list("unredirected_headers", Kind::Str)
            .default(Lit::List(&[]))
            .doc("Headers that redirects do not get."),
        Param::bool("decompress").default_bool(true).doc("Unpack answers that come packed with gzip."),
        Param::bool("use_netrc").default_bool(true).doc("Look for user and password in `~/.netrc`."),
        Param { no_log: Some(true), ..Param::str("url_password") }.aliases(&["password"]).doc("Password."),
    ];
    ALL[nth]
}

/// The request that a task describes.
pub(super) fn request(args: &Args, ctx: &Ctx) -> Result<Request, Failure> {
    if args.bool("use_gssapi") {
        return Err(Failure::new("`use_gssapi` is not supported"));
    }
    if args.has("ciphers") {
        return Err(Failure::new(
            "`ciphers` is not supported: TLS 1.2 and 1.3 are offered with their safe ciphers",
        ));
    }
    let user = args.str("url_username").map(|user| (user.to_owned(), args.text("url_password").to_owned()));
    let mut headers: Vec<(String, String)> = args
        .dict("headers")
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.json_text().into_owned(), str_of(value)))
        .collect();
    if args.bool("force") {
        headers.push(("Cache-Control".into(), "no-cache".into()));
    }
    Ok(Request {
        headers,
        credentials: user,
        force_basic_auth: args.bool("force_basic_auth"),
        netrc: args.bool("use_netrc").then(|| netrc(ctx)).flatten(),
        unredirected: args.strings("unredirected_headers"),
        timeout: timeout(args),
        tls: Tls {
            insecure: !args.bool("validate_certs"),
            ca_path: None,
            client_cert: args.str("client_cert").map(str::to_owned),
            client_key: args.str("client_key").map(str::to_owned),
        },
        proxy_environment: args.bool("use_proxy").then(|| proxies(ctx)),
        decompress: args.bool("decompress"),
        agent: args.text("http_agent").to_owned(),
        cancel: ctx.cancel.clone(),
        redirects: Redirects::Urllib,
        ..Request::get(args.text("url"))
    })
}

/// A plain download for other modules' sake.
pub(super) fn plain_request(ctx: &Ctx, url: &str) -> Request {
    Request {
        timeout: Duration::from_secs(30),
        netrc: netrc(ctx),
        proxy_environment: Some(proxies(ctx)),
        cancel: ctx.cancel.clone(),
        ..Request::get(url)
    }
}

fn timeout(args: &Args) -> Duration {
    Duration::from_secs(args.int("timeout").unwrap_or(10).try_into().unwrap_or(10).max(1))
}

fn netrc(ctx: &Ctx) -> Option<String> {
    ctx.env("NETRC").or_else(|| Some(format!("{}/.netrc", ctx.env("HOME")?)))
}

fn proxies(ctx: &Ctx) -> HashMap<String, String> {
    ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]
        .into_iter()
        .flat_map(|name| [name.to_owned(), name.to_uppercase()])
        .filter_map(|name| Some((name.clone(), ctx.env(&name)?)))
        .collect()
}

/// `If-Modified-Since` for what stands on disk.
pub(super) fn modified_header(path: &str) -> Option<(String, String)> {
    let time = std::fs::metadata(path).ok()?.modified().ok()?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let at = jiff::Timestamp::from_second(since.as_secs().try_into().ok()?).ok()?;
    let text = at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    Some(("If-Modified-Since".into(), text))
}

/// The file name that a server suggests.
pub(super) fn suggested_name(response: &Response) -> Option<String> {
    let header = response.header("content-disposition")?;
    let name = header.split(';').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("filename").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    // Only its last part: a server has no say in directories.
    name.rsplit('/').next().filter(|name| !name.is_empty() && *name != "..").map(str::to_owned)
}

/// A failure for what went wrong with a request.
pub(super) fn failure(trouble: &Trouble) -> Failure {
    Failure::new(trouble.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::http::{Body, Url};

    #[test]
    fn names_from_servers() {
        for (header, expected) in [
            ("attachment; filename=\"real.txt\"", Some("real.txt")),
            ("attachment; filename=../../etc/passwd", Some("passwd")),
            ("inline", None),
            ("attachment; filename=\"..\"", None),
        ] {
            let response = Response {
                status: 200,
                reason: String::new(),
                headers: vec![("Content-Disposition".into(), header.into())],
                url: Url::parse("http://h/x").unwrap(),
                endless: false,
                body: Body::of(std::io::empty()),
            };
            assert_eq!(suggested_name(&response).as_deref(), expected, "{header}");
        }
    }
}
