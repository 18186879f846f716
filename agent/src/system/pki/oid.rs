//! Object identifiers by name, and names by identifier, as OpenSSL has them.

/// `(identifier, short name, long name)`.
#[rustfmt::skip]
const NAMES: &[(&str, &str, &str)] = &[
    // Parts of names.
    ("2.5.4.3", "CN", "commonName"),
    ("2.5.4.4", "SN", "surname"),
    ("2.5.4.5", "serialNumber", "serialNumber"),
    ("2.5.4.6", "C", "countryName"),
    ("2.5.4.7", "L", "localityName"),
    ("2.5.4.8", "ST", "stateOrProvinceName"),
    ("2.5.4.9", "street", "streetAddress"),
    ("2.5.4.10", "O", "organizationName"),
    ("2.5.4.11", "OU", "organizationalUnitName"),
    ("2.5.4.12", "title", "title"),
    ("2.5.4.13", "description", "description"),
    ("2.5.4.15", "businessCategory", "businessCategory"),
    ("2.5.4.16", "postalAddress", "postalAddress"),
    ("2.5.4.17", "postalCode", "postalCode"),
    ("2.5.4.20", "telephoneNumber", "telephoneNumber"),
    ("2.5.4.41", "name", "name"),
    ("2.5.4.42", "GN", "givenName"),
    ("2.5.4.43", "initials", "initials"),
    ("2.5.4.44", "generationQualifier", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier", "dnQualifier"),
    ("2.5.4.65", "pseudonym", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID", "userId"),
    ("0.9.2342.19200300.100.1.25", "DC", "domainComponent"),
    ("1.2.840.113549.1.9.1", "emailAddress", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName", "unstructuredName"),
    ("1.2.840.113549.1.9.8", "unstructuredAddress", "unstructuredAddress"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL", "jurisdictionLocalityName"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST", "jurisdictionStateOrProvinceName"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC", "jurisdictionCountryName"),
    // Extended key usage.
    ("2.5.29.37.0", "anyExtendedKeyUsage", "Any Extended Key Usage"),
    ("1.3.6.1.5.5.7.3.1", "serverAuth", "TLS Web Server Authentication"),
    ("1.3.6.1.5.5.7.3.2", "clientAuth", "TLS Web Client Authentication"),
    ("1.3.6.1.5.5.7.3.3", "codeSigning", "Code Signing"),
    ("1.3.6.1.5.5.7.3.4", "emailProtection", "E-mail Protection"),
    ("1.3.6.1.5.5.7.3.5", "ipsecEndSystem", "IPSec End System"),
    ("1.3.6.1.5.5.7.3.6", "ipsecTunnel", "IPSec Tunnel"),
    ("1.3.6.1.5.5.7.3.7", "ipsecUser", "IPSec User"),
    ("1.3.6.1.5.5.7.3.8", "timeStamping", "Time Stamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSPSigning", "OCSP Signing"),
    ("1.3.6.1.5.5.7.3.10", "DVCS", "dvcs"),
    ("1.3.6.1.5.5.7.3.17", "ipsecIKE", "ipsec Internet Key Exchange"),
    ("1.3.6.1.5.5.7.3.21", "secureShellClient", "SSH Client"),
    ("1.3.6.1.5.5.7.3.22", "secureShellServer", "SSH Server"),
    ("1.3.6.1.5.2.3.4", "pkInitClientAuth", "PKINIT Client Auth"),
    ("1.3.6.1.5.2.3.5", "pkInitKDC", "Signing KDC Response"),
    ("1.3.6.1.5.5.7.1.2", "qcStatements", "qcStatements"),
    ("1.3.6.1.5.5.7.1.3", "qcStatements", "qcStatements"),
    ("1.3.6.1.4.1.311.2.1.21", "msCodeInd", "Microsoft Individual Code Signing"),
    ("1.3.6.1.4.1.311.2.1.22", "msCodeCom", "Microsoft Commercial Code Signing"),
    ("1.3.6.1.4.1.311.10.3.1", "msCTLSign", "Microsoft Trust List Signing"),
    ("1.3.6.1.4.1.311.10.3.3", "msSGC", "Microsoft Server Gated Crypto"),
    ("1.3.6.1.4.1.311.10.3.4", "msEFS", "Microsoft Encrypted File System"),
    ("1.3.6.1.4.1.311.20.2.2", "msSmartcardLogin", "Microsoft Smartcard Login"),
    ("1.3.6.1.4.1.311.20.2.3", "msUPN", "Microsoft User Principal Name"),
    ("2.16.840.1.113730.4.1", "nsSGC", "Netscape Server Gated Crypto"),
    // Extensions.
    ("2.5.29.9", "subjectDirectoryAttributes", "X509v3 Subject Directory Attributes"),
    ("2.5.29.14", "subjectKeyIdentifier", "X509v3 Subject Key Identifier"),
    ("2.5.29.15", "keyUsage", "X509v3 Key Usage"),
    ("2.5.29.17", "subjectAltName", "X509v3 Subject Alternative Name"),
    ("2.5.29.18", "issuerAltName", "X509v3 Issuer Alternative Name"),
    ("2.5.29.19", "basicConstraints", "X509v3 Basic Constraints"),
    ("2.5.29.30", "nameConstraints", "X509v3 Name Constraints"),
    ("2.5.29.31", "crlDistributionPoints", "X509v3 CRL Distribution Points"),
    ("2.5.29.32", "certificatePolicies", "X509v3 Certificate Policies"),
    ("2.5.29.33", "policyMappings", "X509v3 Policy Mappings"),
    ("2.5.29.35", "authorityKeyIdentifier", "X509v3 Authority Key Identifier"),
    ("2.5.29.36", "policyConstraints", "X509v3 Policy Constraints"),
    ("2.5.29.37", "extendedKeyUsage", "X509v3 Extended Key Usage"),
    ("2.5.29.46", "freshestCRL", "X509v3 Freshest CRL"),
    ("1.3.6.1.5.5.7.1.1", "authorityInfoAccess", "Authority Information Access"),
    ("1.3.6.1.5.5.7.1.24", "tlsfeature", "TLS Feature"),
    ("1.3.6.1.4.1.11129.2.4.2", "ct_precert_scts", "CT Precertificate SCTs"),
    ("2.16.840.1.113730.1.1", "nsCertType", "Netscape Cert Type"),
    ("2.16.840.1.113730.1.13", "nsComment", "Netscape Comment"),
    // Signature algorithms.
    ("1.2.840.113549.1.1.1", "rsaEncryption", "rsaEncryption"),
    ("1.2.840.113549.1.1.4", "RSA-MD5", "md5WithRSAEncryption"),
    ("1.2.840.113549.1.1.5", "RSA-SHA1", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS", "rsassaPss"),
    ("1.2.840.113549.1.1.11", "RSA-SHA256", "sha256WithRSAEncryption"),
    ("1.2.840.113549.1.1.12", "RSA-SHA384", "sha384WithRSAEncryption"),
    ("1.2.840.113549.1.1.13", "RSA-SHA512", "sha512WithRSAEncryption"),
    ("1.2.840.113549.1.1.14", "RSA-SHA224", "sha224WithRSAEncryption"),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1", "ecdsa-with-SHA1"),
    ("1.2.840.10045.4.3.1", "ecdsa-with-SHA224", "ecdsa-with-SHA224"),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256", "ecdsa-with-SHA256"),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384", "ecdsa-with-SHA384"),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512", "ecdsa-with-SHA512"),
    ("1.2.840.10040.4.3", "DSA-SHA1", "dsaWithSHA1"),
    ("2.16.840.1.101.3.4.3.2", "dsa_with_SHA256", "dsa_with_SHA256"),
    ("1.3.101.112", "ED25519", "ED25519"),
    ("1.3.101.113", "ED448", "ED448"),
];

/// Names that say the same as one of the table.
const MORE: &[(&str, &str)] = &[
    ("E", "1.2.840.113549.1.9.1"),
    ("email", "1.2.840.113549.1.9.1"),
    ("userID", "0.9.2342.19200300.100.1.1"),
    ("uid", "0.9.2342.19200300.100.1.1"),
    ("S", "2.5.4.8"),
    ("G", "2.5.4.42"),
    ("street address", "2.5.4.9"),
    ("DVCS", "1.3.6.1.5.5.7.3.10"),
    ("IPSec End System", "1.3.6.1.5.5.7.3.5"),
];

/// The identifier of this name, or this identifier.
pub fn named(name: &str) -> Option<String> {
    if super::der::try_oid(name).is_some() {
        return Some(name.to_owned());
    }
    let found = NAMES.iter().find(|(_, short, long)| *short == name || *long == name).map(|(oid, ..)| *oid);
    found.or_else(|| MORE.iter().find(|(other, _)| *other == name).map(|(_, oid)| *oid)).map(str::to_owned)
}

/// The long name, or the identifier itself.
pub fn long(oid: &str) -> &str {
    NAMES.iter().find(|(known, ..)| *known == oid).map_or(oid, |(_, _, long)| long)
}

/// The short name, or the identifier itself.
pub fn short(oid: &str) -> &str {
    NAMES.iter().find(|(known, ..)| *known == oid).map_or(oid, |(_, short, _)| short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_both_ways() {
        assert_eq!(named("serverAuth").as_deref(), Some("1.3.6.1.5.5.7.3.1"));
        assert_eq!(named("TLS Web Server Authentication"), named("serverAuth"));
        assert_eq!(named("1.2.3.4").as_deref(), Some("1.2.3.4"));
        assert_eq!(named("nope"), None);
        assert_eq!((short("2.5.4.3"), long("2.5.4.3"), long("1.2.3")), ("CN", "commonName", "1.2.3"));
    }
}
