//! `get_url`: a file from the web, once.
//!
//! **Invariant:** what stands at `dest` is replaced only by a complete download whose checksum is right, in one step.
//! Check mode downloads only to compare with what is there, and keeps nothing.
//!
//! Not here: the client (`system::http`), other requests (`uri`).

mod checksum;

use super::web;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::files::{self, Algorithm, Wanted};
use crate::system::http::{self, Request, Response, Url};
use checksum::Checksum;
use quorate_value::Value;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The `get_url` module.
pub struct GetUrl;

static SPEC: Spec = Spec::new("get_url", "Downloads a file.").files().params(&[
    web::common(0),
    Param::path("dest").required().doc("File, or directory to put it into under its own name."),
    Param::bool("backup").default_bool(false).doc("Keep a copy of what was there."),
    Param::path("tmp_dest").doc("Directory for the file while it comes; beside `dest` if absent."),
    Param::str("checksum").default_str("").doc(
        "`ALGORITHM:SUM`, or `ALGORITHM:URL` of a file of sums. A file that has it already is not loaded.",
    ),
    Param::int("timeout").default_int(10).doc("Seconds during which nothing may happen."),
    Param::new("headers", Kind::Dict).doc("More headers."),
    Param::str("url_username").aliases(&["username"]).doc("User."),
    web::common(13),
    Param::bool("force").default_bool(false).doc("Load it even if there is a file that seems new enough."),
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
]);

impl Module for GetUrl {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        Task { args, ctx, start: Instant::now() }.run()
    }
}

struct Task<'a> {
    args: &'a Args,
    ctx: &'a Ctx,
    start: Instant,
}

impl Task<'_> {
    fn elapsed(&self) -> i64 {
        self.start.elapsed().as_secs() as i64
    }

    /// A failure that says what and where.
    fn failure(&self, msg: impl Into<String>, dest: &str) -> Failure {
        Failure::new(msg)
            .with("url", self.args.text("url"))
            .with("dest", dest)
            .with("elapsed", self.elapsed())
    }

    fn run(&self) -> Result<Outcome, Failure> {
        let args = self.args;
        let dest = args.text("dest");
        let mut request = web::request(args, self.ctx)?;
        let checksum = self.checksum(&request)?;
        let directory = Path::new(dest).is_dir();
        let standing = !directory && Path::new(dest).exists();
        if standing && !args.bool("force") {
            match &checksum {
                Some(checksum) if checksum.fits(dest)? => {
                    return self.as_it_is(dest, "file already exists", None);
                }
                Some(_) => {}
                None => request.headers.extend(web::modified_header(dest)),
            }
        }
        if let Some(parent) = Path::new(dest)
            .parent()
            .filter(|parent| !directory && !parent.as_os_str().is_empty() && !parent.is_dir())
        {
            return Err(self.failure(format!("Destination {} does not exist", parent.display()), dest));
        }
        if self.ctx.check && !standing && !directory {
            request.method = "HEAD".into();
        }
        let response = self.fetch(&request, dest)?;
        if response.status == 304 {
            let message = response.message();
            return self.as_it_is(dest, &message, Some(304));
        }
        let dest = if directory {
            let name = web::suggested_name(&response).unwrap_or_else(|| response.url.file_name());
            Path::new(dest).join(name).to_string_lossy().into_owned()
        } else {
            dest.to_owned()
        };
        self.place(&request, response, &dest, checksum.as_ref())
    }

    fn checksum(&self, request: &Request) -> Result<Option<Checksum>, Failure> {
        let args = self.args;
        let Some(text) = args.nonempty("checksum") else { return Ok(None) };
        let bad = |msg: String| {
            self.failure(msg, args.text("dest"))
                .with("checksum_src", Value::Null)
                .with("checksum_dest", Value::Null)
        };
        let (algorithm, sum) = Checksum::split(text).map_err(bad)?;
        let sum = if sum.contains("://") {
            let request = Request { url: sum.to_owned(), ..request.clone() };
            let mut response = self.fetch(&request, args.text("dest"))?;
            let mut list = String::new();
            (&mut response.body)
                .take(16 * 1024 * 1024)
                .read_to_string(&mut list)
                .map_err(|error| bad(error.to_string()))?;
            let name = Url::parse(args.text("url")).map(|url| url.file_name()).unwrap_or_default();
            checksum::find(&list, &name).ok_or_else(|| {
                Failure::new(format!("Unable to find a checksum for file '{name}' in '{sum}'"))
            })?
        } else {
            sum.to_owned()
        };
        Checksum::new(algorithm, &sum).map(Some).map_err(bad)
    }

    fn fetch(&self, request: &Request, dest: &str) -> Result<Response, Failure> {
        if let Some(url) = Url::parse(&request.url).filter(|url| url.scheme == "file") {
            return local_file(&url).map_err(|error| {
                let error = crate::system::process::errno(&error);
                self.failure(format!("Request failed: <urlopen error {error}: '{}'>", url.file_path()), dest)
            });
        }
        let response = http::fetch(request).map_err(|trouble| self.failure(trouble.to_string(), dest))?;
        if !response.is_good() && response.status != 304 {
            return Err(self
                .failure("Request failed", dest)
                .with("status_code", i64::from(response.status))
                .with("response", response.message()));
        }
        Ok(response)
    }

    /// Nothing to load; owner and mode may still differ.
    fn as_it_is(&self, dest: &str, msg: &str, status: Option<i64>) -> Result<Outcome, Failure> {
        let changed = self.args.wanted().apply(dest, self.ctx, None)?;
        let outcome = Outcome::changed_if(changed)
            .with("url", self.args.text("url"))
            .with("dest", dest)
            .with("elapsed", self.elapsed())
            .msg(msg);
        Ok(match status {
            Some(status) => outcome.with("status_code", status),
            None => outcome.with("checksum_src", Value::Null).with("checksum_dest", Value::Null),
        })
    }

    /// Loads the body, compares, and puts it in its place.
    fn place(
        &self,
        request: &Request,
        mut response: Response,
        dest: &str,
        checksum: Option<&Checksum>,
    ) -> Result<Outcome, Failure> {
        let args = self.args;
        let before = digest(Algorithm::named("sha1"), dest);
        let message = response.message();
        let mut outcome = Outcome::changed()
            .with("url", args.text("url"))
            .with("dest", dest)
            .with("checksum_dest", before.clone());
        if request.method == "HEAD" {
            return Ok(outcome
                .with("checksum_src", Value::Null)
                .with("elapsed", self.elapsed())
                .msg(message));
        }
        let loaded = self.load(&mut response, dest)?;
        let path = loaded.path().to_string_lossy().into_owned();
        let after = digest(Algorithm::named("sha1"), &path);
        if let Some(checksum) = checksum {
            let found = checksum.of(&path)?;
            if found != checksum.sum {
                return Err(self
                    .failure(
                        format!("The checksum for {path} did not match {}; it was {found}.", checksum.sum),
                        dest,
                    )
                    .with("src", path)
                    .with("checksum_src", after)
                    .with("checksum_dest", before));
            }
        }
        let mut changed = before != after;
        outcome.set("src", path.as_str());
        outcome.set("checksum_src", after);
        outcome.set("md5sum", digest(Algorithm::named("md5"), &path));
        if changed && !self.ctx.check {
            if args.bool("backup")
                && let Some(copy) = files::backup(dest)?
            {
                outcome.set("backup_file", copy);
            }
            loaded.put(dest, &args.wanted())?;
        }
        if Path::new(dest).exists() {
            changed |= args.wanted().apply(dest, self.ctx, None)?;
        }
        outcome.set_changed(changed);
        let status = (response.url.scheme != "file").then(|| i64::from(response.status));
        Ok(outcome.with("status_code", status).with("elapsed", self.elapsed()).msg(message))
    }

    fn load(&self, response: &mut Response, dest: &str) -> Result<Temporary, Failure> {
        let directory = match self.args.nonempty("tmp_dest") {
            Some(directory) if !Path::new(directory).is_dir() => {
                let what = if Path::new(directory).exists() { "not a directory" } else { "does not exist" };
                return Err(self.failure(format!("{directory} {what}"), dest));
            }
            Some(directory) => PathBuf::from(directory),
            None => self.ctx.temporary_directory()?,
        };
        let mut file = Temporary::new(&directory)?;
        file.fill(self.ctx, &mut response.body).map_err(|error| self.failure(error, dest))?;
        Ok(file)
    }
}

fn local_file(url: &Url) -> io::Result<Response> {
    let file = File::open(url.file_path())?;
    let length = file.metadata()?.len();
    Ok(Response {
        status: 200,
        reason: "OK".into(),
        headers: vec![("Content-Length".into(), length.to_string())],
        url: url.clone(),
        endless: false,
        body: http::Body::of(file),
    })
}

fn digest(algorithm: Option<Algorithm>, path: &str) -> Value {
    algorithm.and_then(|algorithm| algorithm.digest_file(path).ok()).map_or(Value::Null, Value::from)
}

/// A download on its way; removed when dropped.
pub(super) struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn new(directory: &Path) -> Result<Temporary, Failure> {
        use std::os::unix::fs::OpenOptionsExt as _;
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".quorate-download-{}-{number}", std::process::id()));
        let opened = File::options().write(true).read(true).create_new(true).mode(0o600).open(&path);
        let file =
            opened.map_err(|error| files::trouble("could not create", &path.to_string_lossy(), &error))?;
        Ok(Temporary { path, file })
    }

    fn fill(&mut self, ctx: &Ctx, from: &mut impl io::Read) -> Result<(), String> {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if ctx.cancel.is_cancelled() {
                return Err("cancelled".into());
            }
            match from.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => self.file.write_all(&chunk[..count]).map_err(|error| error.to_string())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Err("Connection failure: timed out".into());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Copies it to where it belongs, in one step there.
    fn put(&self, dest: &str, wanted: &Wanted) -> Result<(), Failure> {
        let mut replacement = files::Replacement::of(dest, wanted)?;
        let copy = File::open(&self.path).and_then(|mut from| io::copy(&mut from, replacement.file()));
        copy.map_err(|error| files::trouble("could not write", dest, &error))?;
        replacement.commit()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok(); // it lies in a private directory
    }
}

/// A file for another module's use, gone when that module is done.
pub(super) fn fetch_to_temporary(ctx: &Ctx, url: &str) -> Result<Temporary, Failure> {
    let failed = |why: String| Failure::new(format!("Failure downloading {url}, {why}"));
    let mut response =
        http::fetch(&web::plain_request(ctx, url)).map_err(|trouble| failed(trouble.to_string()))?;
    if !response.is_good() {
        return Err(failed(response.message()));
    }
    let mut file = Temporary::new(&ctx.temporary_directory()?)?;
    file.fill(ctx, &mut response.body).map_err(failed)?;
    Ok(file)
}
