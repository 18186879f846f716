//! TLS: whom to trust, who we are, and errors in OpenSSL's words.

use super::stream::Socket;
use super::{Request, Tls, Trouble, Url};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme, StreamOwned,
};
use std::io;
use std::sync::Arc;

pub(super) type TlsStream = StreamOwned<ClientConnection, Socket>;

/// Where systems keep the certificates they trust.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Greets the server and checks who it is.
pub(super) fn handshake(mut socket: Socket, request: &Request, url: &Url) -> Result<TlsStream, Trouble> {
    let config = config(&request.tls).map_err(Trouble::Connect)?;
    let name = ServerName::try_from(url.host.clone())
        .map_err(|_| Trouble::Connect(format!("{} is no name for a certificate", url.host)))?;
    let mut connection =
        ClientConnection::new(Arc::new(config), name).map_err(|error| Trouble::Connect(error.to_string()))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| {
            if request.cancel.is_cancelled() {
                Trouble::Cancelled
            } else {
                Trouble::Connect(words(&error, &url.host))
            }
        })?;
    }
    Ok(StreamOwned::new(connection, socket))
}

/// What OpenSSL would say.
fn words(error: &io::Error, host: &str) -> String {
    let failed = |why: &str| format!("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {why}");
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer => failed("unable to get local issuer certificate"),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                failed("certificate has expired")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                failed("certificate is not yet valid")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                failed(&format!("Hostname mismatch, certificate is not valid for '{host}'."))
            }
            other => failed(&other.to_string()),
        },
        Some(Error::AlertReceived(alert)) => format!("[SSL] the server refused: {alert:?}"),
        Some(other) => format!("[SSL] {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol".into()
        }
        None if error.kind() == io::ErrorKind::TimedOut => "timed out".into(),
        None => crate::system::process::errno(error),
    }
}

fn config(tls: &Tls) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if tls.insecure {
        Arc::new(Anybody(provider.signature_verification_algorithms))
    } else {
        trust(tls, &provider)?
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(file) = &tls.client_cert else { return Ok(builder.with_no_client_auth()) };
    let keys = builder.crypto_provider().key_provider;
    let key_file = tls.client_key.as_ref().unwrap_or(file);
    let chain = certificates(file)?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| format!("{key_file} has no private key that can be used: {error}"))?;
    let key = keys.load_private_key(key).map_err(|error| format!("{key_file}: {error}"))?;
    // Old certificates (X.509 version 1) have to do as well: whether ours is good is the server's question.
    let own = rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(chain, key));
    Ok(builder.with_client_cert_resolver(Arc::new(own)))
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let bad = |error: &dyn std::fmt::Display| format!("could not read certificates from {file}: {error}");
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))?.collect();
    match found {
        Ok(found) if found.is_empty() => Err(bad(&"there are none")),
        Ok(found) => Ok(found),
        Err(error) => Err(bad(&error)),
    }
}

fn trust(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let trusted = match &tls.ca_path {
        Some(path) if std::path::Path::new(path).is_dir() => directory(path)?,
        Some(path) => certificates(path)?,
        None => {
            let own = std::env::var("SSL_CERT_FILE").ok().filter(|path| std::path::Path::new(path).exists());
            let system = SYSTEM_ROOTS.iter().find(|path| std::path::Path::new(path).exists());
            match own.as_deref().or(system.copied()) {
                Some(path) => certificates(path)?,
                None => {
                    return Err(
                        "this host has no certificates of authorities (package `ca-certificates`)".into()
                    );
                }
            }
        }
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let algorithms = provider.signature_verification_algorithms;
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(Trusted { inner, trusted, algorithms }))
}

/// All certificates in a directory's files.
fn directory(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let entries = std::fs::read_dir(path).map_err(|error| format!("could not read {path}: {error}"))?;
    let found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| certificates(&entry.path().to_string_lossy()).ok())
        .flatten()
        .collect();
    if found.is_empty() { Err(format!("there are no certificates in {path}")) } else { Ok(found) }
}

/// The usual rules, and OpenSSL's extra one: a certificate that is trusted itself needs no issuer.
#[derive(Debug)]
struct Trusted {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let usual = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        let itself = || self.trusted.iter().any(|known| known.as_ref() == end_entity.as_ref());
        match usual {
            Err(Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::UnknownIssuer))
                if itself() =>
            {
                let parsed = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            usual => usual,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// `validate_certs: false`.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
