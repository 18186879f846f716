//! Elliptic curves for ECDSA.

use super::super::Trouble;
use super::Secret;
use zeroize::Zeroizing;

/// A curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// The one that coins use.
    K256,
}

/// `(curve, name, identifier, bits)`.
const TABLE: &[(Curve, &str, &str, usize)] = &[
    (Curve::P256, "secp256r1", "1.2.840.10045.3.1.7", 256),
    (Curve::P384, "secp384r1", "1.3.132.0.34", 384),
    (Curve::P521, "secp521r1", "1.3.132.0.35", 521),
    (Curve::K256, "secp256k1", "1.3.132.0.10", 256),
];

/// The same code for each curve's crate.
macro_rules! on {
    ($curve:expr, $name:ident => $body:expr) => {
        match $curve {
            Curve::P256 => {
                use p256 as $name;
                $body
            }
            Curve::P384 => {
                use p384 as $name;
                $body
            }
            Curve::P521 => {
                use p521 as $name;
                $body
            }
            Curve::K256 => {
                use k256 as $name;
                $body
            }
        }
    };
}

fn bad_key() -> Trouble {
    Trouble::new("Invalid EC key")
}

impl Curve {
    fn row(self) -> &'static (Curve, &'static str, &'static str, usize) {
        TABLE.iter().find(|row| row.0 == self).expect("every curve has its row")
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Curve> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// By its identifier.
    pub fn by_oid(oid: &str) -> Option<Curve> {
        TABLE.iter().find(|row| row.2 == oid).map(|row| row.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Its identifier.
    pub fn oid(self) -> &'static str {
        self.row().2
    }

    /// How many bits a secret number has.
    pub fn bits(self) -> usize {
        self.row().3
    }

    /// How many bytes a coordinate has.
    pub fn size(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// A new secret number.
    pub fn generate(self) -> Result<Secret, Trouble> {
        loop {
            let mut bytes: Secret = Zeroizing::new(vec![0; self.size()]);
            getrandom::fill(&mut bytes).map_err(|error| Trouble(format!("no random numbers: {error}")))?;
            if self == Curve::P521 {
                bytes[0] &= 1;
            }
            // Almost every number is a key; the others are drawn again.
            if self.public(&bytes).is_ok() {
                return Ok(bytes);
            }
        }
    }

    /// The public point of a secret number, uncompressed.
    pub fn public(self, secret: &[u8]) -> Result<Vec<u8>, Trouble> {
        on!(self, curve => {
            let key = curve::ecdsa::SigningKey::from_slice(secret).map_err(|_| bad_key())?;
            Ok(key.verifying_key().to_sec1_point(false).as_bytes().to_vec())
        })
    }

    /// A point, compressed or not, as an uncompressed one; nothing when it is not on the curve.
    pub fn point(self, bytes: &[u8]) -> Option<Vec<u8>> {
        on!(self, curve => {
            let key = curve::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok()?;
            Some(key.to_sec1_point(false).as_bytes().to_vec())
        })
    }

    /// A digest long enough for the curve; zeros in front do not change its number.
    fn padded(self, digest: &[u8]) -> Vec<u8> {
        let least = self.size().div_ceil(2) + 1;
        let mut out = vec![0; least.saturating_sub(digest.len())];
        out.extend_from_slice(digest);
        out
    }

    /// Signs a digest. Gives DER.
    pub fn sign(self, secret: &[u8], digest: &[u8]) -> Result<Vec<u8>, Trouble> {
        use p256::ecdsa::signature::hazmat::PrehashSigner as _;
        on!(self, curve => {
            let key = curve::ecdsa::SigningKey::from_slice(secret).map_err(|_| bad_key())?;
            let signature: curve::ecdsa::Signature = key.sign_prehash(&self.padded(digest)).map_err(|_| bad_key())?;
            Ok(signature.to_der().as_bytes().to_vec())
        })
    }

    /// Whether the owner of this point signed this digest.
    pub fn verify(self, point: &[u8], digest: &[u8], signature: &[u8]) -> bool {
        use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
        on!(self, curve => {
            let Ok(key) = curve::ecdsa::VerifyingKey::from_sec1_bytes(point) else { return false };
            let Ok(signature) = curve::ecdsa::Signature::from_der(signature) else { return false };
            // Both signatures of a pair are good; one crate takes only the smaller.
            let signature = signature.normalize_s();
            key.verify_prehash(&self.padded(digest), &signature).is_ok()
        })
    }
}
