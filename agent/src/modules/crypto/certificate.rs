//! Certificates as tasks ask for them: signed by a CA of one's own, or by their own key.

use super::material;
use crate::args::Args;
use crate::module::Failure;
use crate::system::pki::cert::{Certificate, Draft, Request};
use crate::system::pki::ext::{self, Authority, Extension};
use crate::system::pki::general::Encoding;
use crate::system::pki::key::{Digest, PrivateKey, PublicKey};
use crate::system::pki::name::Name;
use crate::system::pki::show::{self, Prints};
use crate::system::pki::{Trouble, times};
use quorate_value::{Dict, Value, dict};

/// Parameters of everything that makes certificates, followed by a module's own.
macro_rules! certificate_params {
    ($($own:expr),* $(,)?) => {
        &[
            Param::bool("force").default_bool(false).doc("Makes a new certificate in any case."),
            Param::path("csr_path").doc("The signing request that says what the certificate will say."),
            Param::str("csr_content").doc("The signing request itself, in place of `csr_path`."),
            Param::bool("ignore_timestamps").default_bool(true).doc("A certificate with other times than asked for will do. Relative times are never the same twice."),
            Param::path("privatekey_path").doc("The certificate's private key."),
            Param::str("privatekey_content").no_log().doc("The private key itself, in place of `privatekey_path`."),
            Param::str("privatekey_passphrase").no_log().doc("Opens the private key."),
            Param::path("ownca_path").doc("`ownca`: the CA's certificate."),
            Param::str("ownca_content").doc("`ownca`: the CA's certificate itself, in place of `ownca_path`."),
            Param::path("ownca_privatekey_path").doc("`ownca`: the CA's private key."),
            Param::str("ownca_privatekey_content").no_log().doc("`ownca`: the CA's private key itself."),
            Param::str("ownca_privatekey_passphrase").no_log().doc("`ownca`: opens the CA's private key."),
            Param::str("ownca_digest").default_str("sha256").doc("`ownca`: digest of the signature."),
            Param::int("ownca_version").choices(&["3"]).default_int(3).doc("`ownca`: there is only one."),
            Param::str("ownca_not_before").default_str("+0s").doc("`ownca`: from when it is valid: relative, such as `-5m`, or `YYYYMMDDHHMMSSZ`."),
            Param::str("ownca_not_after").default_str("+3650d").doc("`ownca`: until when it is valid: relative, such as `+730d`, or `YYYYMMDDHHMMSSZ`."),
            Param::str("ownca_create_subject_key_identifier")
                .choices(&["create_if_not_provided", "always_create", "never_create"])
                .default_str("create_if_not_provided")
                .doc("`ownca`: whether the subject key identifier is computed from the key."),
            Param::bool("ownca_create_authority_key_identifier").default_bool(true).doc("`ownca`: names the CA's key in the certificate."),
            Param::str("selfsigned_digest").default_str("sha256").doc("`selfsigned`: digest of the signature."),
            Param::int("selfsigned_version").choices(&["3"]).default_int(3).doc("`selfsigned`: there is only one."),
            Param::str("selfsigned_not_before").aliases(&["selfsigned_notBefore"]).default_str("+0s").doc("`selfsigned`: from when it is valid: relative, such as `-5m`, or `YYYYMMDDHHMMSSZ`."),
            Param::str("selfsigned_not_after").aliases(&["selfsigned_notAfter"]).default_str("+3650d").doc("`selfsigned`: until when it is valid: relative, such as `+730d`, or `YYYYMMDDHHMMSSZ`."),
            Param::str("selfsigned_create_subject_key_identifier")
                .choices(&["create_if_not_provided", "always_create", "never_create"])
                .default_str("create_if_not_provided")
                .doc("`selfsigned`: whether the subject key identifier is computed from the key."),
            crate::modules::crypto::BACKEND,
            $($own),*
        ]
    };
}
pub(crate) use certificate_params;

/// Who signs.
enum Signer {
    /// The certificate's own key.
    Own,
    /// A CA, and whether its key is to be named.
    Ca { certificate: Box<Certificate>, name_key: bool },
}

/// A task's wishes.
pub struct Wanted<'a> {
    args: &'a Args,
    request: Option<Request>,
    signer: Signer,
    key: PrivateKey,
    digest: Digest,
    not_before: i64,
    not_after: i64,
    identifier: &'a str,
}

fn missing(what: &'static str) -> impl Fn(&str) -> Option<String> {
    move |path| Some(format!("The {what} file {path} does not exist"))
}

impl<'a> Wanted<'a> {
    /// From a task's arguments.
    pub fn of(args: &'a Args) -> Result<Self, Failure> {
        let own = match args.text("provider") {
            "selfsigned" => true,
            "ownca" => false,
            other => {
                return Err(Failure::new(format!(
                    "The provider {other} is not supported; use ownca or selfsigned"
                )));
            }
        };
        let need = |names: [&str; 2]| {
            if args.has(names[0]) || args.has(names[1]) {
                return Ok(());
            }
            let provider = args.text("provider");
            let [path, content] = names;
            Err(Failure::new(format!(
                "One of {path} and {content} must be specified for the {provider} provider."
            )))
        };
        if own {
            need(["privatekey_path", "privatekey_content"])?;
        } else {
            if !args.has("csr_path") && !args.has("csr_content") {
                return Err(Failure::new("csr_path or csr_content is required for ownca provider"));
            }
            need(["ownca_path", "ownca_content"])?;
            need(["ownca_privatekey_path", "ownca_privatekey_content"])?;
        }
        let prefix = if own { "selfsigned" } else { "ownca" };
        let at = |name: &str| -> Result<i64, Trouble> {
            let name = format!("{prefix}_{name}");
            times::parse(args.text(&name), &name, times::now())
        };
        let (not_before, not_after) = (at("not_before")?, at("not_after")?);
        let digest = Digest::named(args.text(&format!("{prefix}_digest"))).map_err(|_| {
            let name = args.text(&format!("{prefix}_digest"));
            Failure::new(format!("The digest {name} is not supported with the cryptography backend"))
        })?;
        let request = match material(args, "csr_path", "csr_content", "certificate signing request")? {
            Some(content) => Some(Request::load(&content)?),
            None => None,
        };
        if request.as_ref().is_some_and(|request| !request.is_valid()) {
            return Err(Failure::new(
                "The CSR signature is invalid; the request was changed, or its key is not understood",
            ));
        }
        let (signer, names, what) = if own {
            let names = ["privatekey_path", "privatekey_content", "privatekey_passphrase"];
            (Signer::Own, names, "private key")
        } else {
            let content =
                material(args, "ownca_path", "ownca_content", "CA certificate")?.unwrap_or_default();
            let certificate = Box::new(Certificate::load(&content)?);
            let names = ["ownca_privatekey_path", "ownca_privatekey_content", "ownca_privatekey_passphrase"];
            let name_key = args.bool("ownca_create_authority_key_identifier");
            (Signer::Ca { certificate, name_key }, names, "CA private key")
        };
        let key = super::private_key(args, names, missing(what))?
            .ok_or_else(|| Failure::new("a private key is required"))?;
        if let Signer::Ca { certificate, .. } = &signer
            && certificate.public != key.public()?
        {
            return Err(Failure::new("The CA private key does not belong to the CA certificate"));
        }
        let identifier = args.text(if own {
            "selfsigned_create_subject_key_identifier"
        } else {
            "ownca_create_subject_key_identifier"
        });
        Ok(Wanted { args, request, signer, key, digest, not_before, not_after, identifier })
    }

    fn public(&self) -> Result<PublicKey, Trouble> {
        match (&self.signer, &self.request) {
            (Signer::Ca { .. }, Some(request)) => Ok(request.public.clone()),
            _ => self.key.public(),
        }
    }

    fn requested(&self) -> &[Extension] {
        self.request.as_ref().map_or(&[], |request| &request.extensions)
    }

    fn subject(&self) -> Name {
        self.request.as_ref().map(|request| request.subject.clone()).unwrap_or_default()
    }

    /// The subject key identifier it will have.
    fn subject_key(&self) -> Result<Option<Extension>, Trouble> {
        let provided = ext::find(self.requested(), ext::SUBJECT_KEY);
        if self.identifier == "never_create" || (self.identifier != "always_create" && provided.is_some()) {
            return Ok(provided.cloned());
        }
        Ok(Some(ext::subject_key(&self.public()?.identifier()?)))
    }

    /// The authority key identifier it will have.
    fn authority(&self) -> Result<Option<Extension>, Trouble> {
        match &self.signer {
            Signer::Ca { certificate, name_key: true } => {
                let key = match ext::find(&certificate.extensions, ext::SUBJECT_KEY) {
                    Some(extension) => ext::read_subject_key(&extension.value)?,
                    None => certificate.public.identifier()?,
                };
                Ok(Some(ext::authority_key(&Authority { key: Some(key), ..Authority::default() })))
            }
            _ => Ok(ext::find(self.requested(), ext::AUTHORITY_KEY).cloned()),
        }
    }

    fn extensions(&self) -> Result<Vec<Extension>, Trouble> {
        let names_ca = matches!(self.signer, Signer::Ca { name_key: true, .. });
        let mut all = Vec::new();
        let mut subject_key = self.subject_key()?;
        for extension in self.requested() {
            match extension.oid.as_str() {
                ext::AUTHORITY_KEY if names_ca => {}
                ext::SUBJECT_KEY if self.identifier == "always_create" => {}
                ext::SUBJECT_KEY => {
                    subject_key = None;
                    all.push(extension.clone());
                }
                _ => all.push(extension.clone()),
            }
        }
        all.extend(subject_key);
        if names_ca {
            all.extend(self.authority()?);
        }
        Ok(all)
    }

    fn issuer(&self) -> Name {
        match &self.signer {
            Signer::Own => self.subject(),
            Signer::Ca { certificate, .. } => certificate.subject.clone(),
        }
    }

    /// Whether a certificate that is there will do.
    pub fn fits(&self, there: &Certificate) -> Result<bool, Failure> {
        // The certificate's own key, if the task names it.
        if matches!(self.signer, Signer::Ca { .. }) {
            let names = ["privatekey_path", "privatekey_content", "privatekey_passphrase"];
            if let Some(key) = super::private_key(self.args, names, missing("private key"))?
                && key.public()? != there.public
            {
                return Ok(false);
            }
        }
        let signing = self.key.public()?;
        let times = self.args.bool("ignore_timestamps")
            || (there.not_before == self.not_before && there.not_after == self.not_after);
        Ok(times
            && there.public == self.public()?
            && there.subject == self.subject()
            && there.issuer == self.issuer()
            && there.signed.is_signed_by(&signing).unwrap_or(false)
            && self.same_extensions(there)?)
    }

    fn same_extensions(&self, there: &Certificate) -> Result<bool, Trouble> {
        let others = |all: &[Extension]| -> Vec<Extension> {
            let keep = |e: &&Extension| !matches!(e.oid.as_str(), ext::SUBJECT_KEY | ext::AUTHORITY_KEY);
            all.iter().filter(keep).cloned().collect()
        };
        let same = |oid: &str, wanted: Option<Extension>| match (wanted, ext::find(&there.extensions, oid)) {
            (Some(wanted), Some(found)) => wanted.value == found.value,
            (wanted, found) => wanted.is_none() && found.is_none(),
        };
        let found = others(&there.extensions);
        if self.request.is_some() {
            let wanted = others(self.requested());
            let all_there = wanted.iter().all(|wanted| found.iter().any(|found| ext::same(wanted, found)));
            if wanted.len() != found.len() || !all_there {
                return Ok(false);
            }
        }
        Ok(same(ext::SUBJECT_KEY, self.subject_key()?) && same(ext::AUTHORITY_KEY, self.authority()?))
    }

    /// Makes the certificate.
    pub fn make(&self) -> Result<Certificate, Failure> {
        if self.not_after < self.not_before {
            return Err(Failure::new("The not valid after date must be after the not valid before date."));
        }
        let draft = Draft {
            issuer: &self.issuer(),
            subject: &self.subject(),
            not_before: self.not_before,
            not_after: self.not_after,
            public: &self.public()?,
            extensions: &self.extensions()?,
        };
        Ok(Certificate::make(&draft, &self.key, self.digest)?)
    }

    /// The entries that results have in common.
    pub fn facts(&self, now: &Certificate) -> Dict {
        let mut facts = dict! {
            "notBefore" => times::show(now.not_before),
            "notAfter" => times::show(now.not_after),
            "serial_number" => show::signed_number(&now.serial),
        };
        facts.extend(origins(self.args));
        if matches!(self.signer, Signer::Ca { .. }) {
            facts.insert("ca_cert", given(self.args, "ownca_path"));
            facts.insert("ca_privatekey", given(self.args, "ownca_privatekey_path"));
        }
        facts
    }
}

fn given(args: &Args, name: &str) -> Value {
    args.value(name).cloned().unwrap_or_default()
}

/// Where key and request came from.
pub fn origins(args: &Args) -> Dict {
    dict! {"privatekey" => given(args, "privatekey_path"), "csr" => given(args, "csr_path")}
}

/// What a difference shows of a certificate.
pub fn side(content: Option<&[u8]>) -> Dict {
    let Some(content) = content else { return Dict::new() };
    let shown =
        Certificate::load(content).and_then(|found| show::certificate(&found, Encoding::AsIs, Prints::One));
    match shown {
        Ok(facts) => {
            let mut side = dict! {"can_parse_certificate" => true};
            side.extend(facts);
            side
        }
        Err(_) => dict! {"can_parse_certificate" => false},
    }
}
