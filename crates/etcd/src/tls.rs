//! Who we are to a member, and which CA we believe it by.
//!
//! In: PEM bytes. Out: two rustls configurations, for gRPC (ALPN `h2`) and for the peer port (HTTP/1.1).
//!
//! **Invariant:** the private key is parsed once, wiped, and reachable by no getter, `Debug` or `Display`.
//!
//! What etcd wants of the certificate: `clientAuth` among the extended key usages (or none at all). On the peer
//! port the acceptor compares the dialler's source address with the certificate's SANs; a certificate without
//! SANs passes. `CN=root` also logs in as `root` where `client-cert-auth` is on, without a token, and so still
//! works after quorum is lost.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::endpoint::Address;

/// Why PEM bytes make no identity. Never quotes them.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No certificate to trust.
    #[error("the CA file holds no certificate")]
    NoCa,
    /// Not PEM, or not what the label says.
    #[error("the {what} cannot be read: {why}")]
    Unreadable {
        /// Which of the three.
        what: &'static str,
        /// The parser's reason.
        why: String,
    },
    /// The certificate names another public key than the private key has.
    #[error("the client certificate does not belong to the client key")]
    Mismatch,
    /// Anything else rustls refuses.
    #[error("the client certificate and key cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// CA, certificate and key, ready for handshakes. Cheap to clone.
#[derive(Clone)]
pub struct ClientIdentity {
    grpc: Arc<ClientConfig>,
    http: Arc<ClientConfig>,
    certified: bool,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").field("client_certificate", &self.certified).finish_non_exhaustive()
    }
}

/// The common name of a certificate's subject: to etcd with authentication on, its user.
pub fn common_name(cert_pem: &[u8]) -> Option<String> {
    let der = CertificateDer::from_pem_slice(cert_pem).ok()?;
    // a common name is OID 2.5.4.3 and a string; the issuer's comes first, so the last one is the subject's
    let oid = [0x06, 0x03, 0x55, 0x04, 0x03];
    let at = der.windows(oid.len()).rposition(|window| window == oid)? + oid.len();
    let length = usize::from(*der.get(at + 1)?);
    let name = der.get(at + 2..at + 2 + length)?;
    String::from_utf8(name.to_vec()).ok()
}

impl ClientIdentity {
    /// Trust `ca_pem` (one or more certificates) and present `cert_pem` with `key_pem`
    /// (PKCS#8, SEC1 or PKCS#1).
    pub fn new(ca_pem: &[u8], cert_pem: &[u8], key_pem: Zeroizing<Vec<u8>>) -> Result<Self, IdentityError> {
        let chain = certificates("client certificate", cert_pem)?;
        if chain.is_empty() {
            let why = "it holds no certificate".to_owned();
            return Err(IdentityError::Unreadable { what: "client certificate", why });
        }
        let key = PrivateKeyDer::from_pem_slice(&key_pem)
            // The parser's own words may quote the text; only its kind is said.
            .map_err(|_| IdentityError::Unreadable {
                what: "client key",
                why: "it is no PEM private key".into(),
            })?;
        let builder = Self::builder(ca_pem)?;
        let config = builder.with_client_auth_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::Mismatch,
            other => IdentityError::Unusable(other),
        })?;
        Ok(Self::from_config(config, true))
    }

    /// Trust `ca_pem` and present nothing: for clusters with TLS but without client authentication.
    pub fn trust_only(ca_pem: &[u8]) -> Result<Self, IdentityError> {
        Ok(Self::from_config(Self::builder(ca_pem)?.with_no_client_auth(), false))
    }

    fn builder(
        ca_pem: &[u8],
    ) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, IdentityError> {
        let mut roots = RootCertStore::empty();
        let (added, _ignored) = roots.add_parsable_certificates(certificates("CA file", ca_pem)?);
        if added == 0 {
            return Err(IdentityError::NoCa);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| IdentityError::Unreadable { what: "CA file", why: error.to_string() })?;
        Ok(ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for TLS 1.2 and 1.3")
            .with_webpki_verifier(verifier))
    }

    fn from_config(config: ClientConfig, certified: bool) -> Self {
        let mut grpc = config.clone();
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        let mut http = config;
        // The peer port breaks answers off over HTTP/2.
        http.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { grpc: Arc::new(grpc), http: Arc::new(http), certified }
    }

    pub(crate) fn for_grpc(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.grpc)
    }

    pub(crate) fn for_http(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.http)
    }
}

/// The name a server certificate has to carry for this address.
pub(crate) fn server_name(address: &Address) -> Result<ServerName<'static>, String> {
    ServerName::try_from(address.host.clone())
        .map_err(|_| format!("`{}` is neither an IP address nor a DNS name", address.host))
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| IdentityError::Unreadable { what, why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(cn: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, cn);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn key(pem: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(pem.as_bytes().to_vec())
    }

    #[test]
    fn a_pair_that_belongs_together() {
        let (cert, private) = pair("a");
        let identity = ClientIdentity::new(cert.as_bytes(), cert.as_bytes(), key(&private)).unwrap();
        let shown = format!("{identity:?}");
        assert!(!shown.contains("PRIVATE") && !shown.contains(&private[40..60]), "{shown}");
    }

    #[test]
    fn what_is_refused_and_how() {
        let (cert, private) = pair("a");
        let (_, other) = pair("b");
        let said = |ca: &str, cert: &str, private: &str| {
            ClientIdentity::new(ca.as_bytes(), cert.as_bytes(), key(private)).unwrap_err().to_string()
        };
        assert_eq!(said(&cert, &cert, &other), "the client certificate does not belong to the client key");
        assert_eq!(said("", &cert, &private), "the CA file holds no certificate");
        assert!(said(&cert, "", &private).contains("client certificate cannot be read"));
        assert!(said(&cert, &cert, "SECRETSECRET").contains("client key cannot be read"));
        assert!(!said(&cert, &cert, "SECRETSECRET").contains("SECRET"));
    }
}
