//! Whether certificates lead to a CA that is trusted.

use super::cert::Certificate;
use super::{Trouble, ext, pem};

/// Certificates of a file.
pub fn load_all(content: &[u8]) -> Result<Vec<Certificate>, Trouble> {
    let blocks = pem::parse(content)?;
    let labels = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
    let chosen = blocks.iter().filter(|block| labels.contains(&block.label.as_str()));
    chosen.map(|block| Ok(Certificate::read(&block.data)?)).collect()
}

fn is_ca(certificate: &Certificate) -> bool {
    match ext::find(&certificate.extensions, ext::BASIC) {
        Some(extension) => ext::read_basic(&extension.value).is_ok_and(|(ca, _)| ca),
        None => certificate.version < 3,
    }
}

fn signs(issuer: &Certificate, certificate: &Certificate) -> bool {
    issuer.subject == certificate.issuer && certificate.signed.is_signed_by(&issuer.public).unwrap_or(false)
}

/// The way from the first of `shown` to one of `roots`, both included. All of it has to be valid at `now`.
pub fn verify(shown: &[Certificate], roots: &[Certificate], now: i64) -> Result<Vec<Certificate>, Trouble> {
    let first = shown.first().ok_or_else(|| Trouble::new("there is no certificate"))?;
    let mut way = vec![first.clone()];
    loop {
        let last = way.last().expect("the way has a beginning");
        if last.not_after < now {
            return Err(Trouble::new("certificate has expired"));
        }
        if last.not_before > now {
            return Err(Trouble::new("certificate is not yet valid"));
        }
        if roots.iter().any(|root| root.signed.der == last.signed.der) {
            return Ok(way);
        }
        let own = last.subject == last.issuer;
        let anchor = roots.iter().find(|root| signs(root, last) && is_ca(root));
        let between =
            || shown[1..].iter().find(|other| signs(other, last) && is_ca(other) && !way.contains(other));
        match anchor.or_else(between) {
            Some(next) if way.len() < 10 => way.push(next.clone()),
            Some(_) => return Err(Trouble::new("certificate chain too long")),
            None if own && way.len() == 1 => return Err(Trouble::new("self-signed certificate")),
            None if own => return Err(Trouble::new("self-signed certificate in certificate chain")),
            None => return Err(Trouble::new("unable to get local issuer certificate")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_way_to_a_trusted_ca_counts() {
        macro_rules! made {
            ($name:literal) => {
                Certificate::load(include_bytes!(concat!("../../../tests/modules/crypto/made/", $name)))
                    .unwrap()
            };
        }
        let (ca, leaf, other) = (made!("p256.ca.crt"), made!("p256.leaf.crt"), made!("rsa2048.ca.crt"));
        let (then, late, early) = (1_800_000_000, 4_000_000_000, 1_000_000_000);
        let verdict = |shown: &[Certificate], roots: &[Certificate], now| {
            verify(shown, roots, now).map(|way| way.len()).map_err(|trouble| trouble.0)
        };
        let both = [leaf.clone(), ca.clone()];
        assert_eq!(verdict(&both, std::slice::from_ref(&ca), then), Ok(2));
        assert_eq!(verdict(&both[..1], std::slice::from_ref(&ca), then), Ok(2));
        assert_eq!(
            verdict(&both, std::slice::from_ref(&leaf), then),
            Ok(1),
            "the certificate itself is trusted"
        );
        let roots = [other];
        for (shown, roots, now, why) in [
            (&both[..], &roots[..], then, "self-signed certificate in certificate chain"),
            (&both[..1], &roots[..], then, "unable to get local issuer certificate"),
            (&both[1..], &roots[..], then, "self-signed certificate"),
            (&both[..], &both[1..], late, "certificate has expired"),
            (&both[..], &both[1..], early, "certificate is not yet valid"),
        ] {
            assert_eq!(verdict(shown, roots, now), Err(why.to_owned()));
        }
    }
}
