//! `get_certificate`: the certificate that a server shows.
//!
//! In: a host and a port. Out: the certificate and what it says; with a CA, only if it leads there and is the server's.

use super::crypto::{BACKEND, COLLECTION};
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Check, Kind, Param, Spec};
use crate::system::pki::cert::Certificate;
use crate::system::pki::handshake::{self, Shown};
use crate::system::pki::{Trouble, chain, oid, show, times};
use crate::system::process::errno;
use crate::system::resolve;
use base64::Engine as _;
use quorate_value::{Dict, Value, dict};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::time::Duration;

/// The `get_certificate` module.
pub struct GetCertificate;

static SPEC: Spec = Spec::new("get_certificate", "Gets the certificate that a server shows.")
    .collection(COLLECTION)
    .params(&[
        Param::str("host").required().doc("The server: a name or an address."),
        Param::int("port").required().doc("Its port."),
        Param::path("ca_cert").doc("CAs in PEM. The server's certificate has to lead to one of them, and the server has to hold its key. The certificate's names are not compared with `host`."),
        Param::str("proxy_host").doc("An HTTP proxy on the way."),
        Param::int("proxy_port").default_int(8080).doc("The proxy's port."),
        Param::str("server_name").doc("The name to ask the server for, if it is not `host`."),
        Param::int("timeout").default_int(10).doc("How many seconds to wait."),
        Param::str("starttls").choices(&["mysql"]).doc("The protocol that is spoken before TLS begins."),
        Param::list("ciphers", Kind::Str).doc("Refused: the ciphers offered are fixed."),
        Param::bool("asn1_base64").default_bool(true).doc("Extensions in Base64. Otherwise their bytes, as far as they are text."),
        Param::list("tls_ctx_options", Kind::Raw).doc("Refused: there is no OpenSSL here."),
        Param::bool("get_certificate_chain").default_bool(false).doc("Returns the chain as shown, and as it leads to a CA."),
        BACKEND,
    ])
    .check(Check::None);

fn connect(args: &Args) -> Result<TcpStream, String> {
    let seconds = args.int("timeout").unwrap_or(10).max(1) as u64;
    let timeout = Duration::from_secs(seconds);
    let port = |name: &str| {
        let number = args.int(name).unwrap_or_default();
        u16::try_from(number).map_err(|_| format!("the port {number} does not exist"))
    };
    let (host, number) = match args.str("proxy_host") {
        Some(proxy) => (proxy, port("proxy_port")?),
        None => (args.text("host"), port("port")?),
    };
    let mut stream = resolve::connect(host, number, timeout).map_err(|error| errno(&error))?;
    let io = |error: std::io::Error| errno(&error);
    stream.set_read_timeout(Some(timeout)).map_err(io)?;
    stream.set_write_timeout(Some(timeout)).map_err(io)?;
    if args.has("proxy_host") {
        let request = format!("CONNECT {}:{} HTTP/1.0\r\n\r\n", args.text("host"), port("port")?);
        stream.write_all(request.as_bytes()).map_err(io)?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the empty line belongs to the server.
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < 1 << 16 {
            let mut byte = [0];
            stream.read_exact(&mut byte).map_err(io)?;
            answer.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        if line.split(' ').nth(1) != Some("200") {
            return Err(format!("the proxy answered: {line}"));
        }
    }
    if args.str("starttls") == Some("mysql") {
        let mut header = [0; 4];
        stream.read_exact(&mut header).map_err(io)?;
        let length = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
        let mut greeting = vec![0; length.min(1 << 16)];
        stream.read_exact(&mut greeting).map_err(io)?;
        let mut request = vec![32, 0, 0, 1, 0x85, 0xae, 0x7f, 0, 0, 0, 0, 1, 0x21];
        request.resize(36, 0);
        stream.write_all(&request).map_err(io)?;
    }
    Ok(stream)
}

fn name(certificate: &Certificate, subject: bool) -> Dict {
    let name = if subject { &certificate.subject } else { &certificate.issuer };
    name.attributes()
        .map(|attribute| (oid::short(&attribute.oid).to_owned(), attribute.value.as_str()))
        .collect()
}

fn facts(certificate: &Certificate, base64: bool) -> Result<Dict, Trouble> {
    let extensions: Vec<Value> = certificate
        .extensions
        .iter()
        .map(|extension| {
            let data = if base64 {
                base64::engine::general_purpose::STANDARD.encode(&extension.value)
            } else {
                String::from_utf8_lossy(&extension.value).into_owned()
            };
            Value::from(dict! {
                "critical" => extension.critical,
                "asn1_data" => data,
                "name" => oid::short(&extension.oid),
            })
        })
        .collect();
    Ok(dict! {
        "cert" => certificate.to_pem(),
        "subject" => name(certificate, true),
        "issuer" => name(certificate, false),
        "serial_number" => show::signed_number(&certificate.serial),
        "signature_algorithm" => oid::long(&certificate.signed.algorithm_oid()?),
        // As the encoding counts: version 3 is 2.
        "version" => certificate.version as i64 - 1,
        "not_before" => times::show(certificate.not_before),
        "not_after" => times::show(certificate.not_after),
        "expired" => certificate.not_after < times::now(),
        "extensions" => extensions,
    })
}

fn pems(certificates: &[Certificate]) -> Value {
    certificates.iter().map(|certificate| Value::from(certificate.to_pem())).collect()
}

impl Module for GetCertificate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, _: &Ctx) -> Result<Outcome, Failure> {
        for option in ["ciphers", "tls_ctx_options"] {
            if !args.list(option).is_empty() {
                return Err(Failure::new(format!("{option} is not supported")));
            }
        }
        let roots = match args.str("ca_cert") {
            Some(path) if !std::path::Path::new(path).is_file() => {
                return Err(Failure::new("ca_cert file does not exist"));
            }
            Some(path) => {
                let content = std::fs::read(path)
                    .map_err(|error| Failure::new(super::crypto::python_error(path, &error)))?;
                Some(chain::load_all(&content)?)
            }
            None => None,
        };
        let (host, port) = (args.text("host"), args.int("port").unwrap_or_default());
        let failed =
            |why: String| Failure::new(format!("Failed to get cert from {host}:{port}, error: {why}"));
        let is_address = host.parse::<IpAddr>().is_ok();
        let server_name = args.nonempty("server_name").or(Some(host).filter(|_| !is_address));
        let mut stream = connect(args).map_err(failed)?;
        let Shown { certificates, holds_key } =
            handshake::look(&mut stream, server_name).map_err(|trouble| failed(trouble.0))?;
        let mut way = certificates.clone();
        if let Some(roots) = roots {
            let refuse = |why: &str| {
                failed(format!("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {why}"))
            };
            way = chain::verify(&certificates, &roots, times::now()).map_err(|trouble| refuse(&trouble.0))?;
            if !holds_key {
                return Err(refuse("the server did not prove that it holds the key"));
            }
        }
        let mut outcome = Outcome::ok().with_all(facts(&certificates[0], args.bool("asn1_base64"))?);
        if args.bool("get_certificate_chain") {
            outcome.set("unverified_chain", pems(&certificates));
            outcome.set("verified_chain", pems(&way));
        }
        Ok(outcome)
    }
}
