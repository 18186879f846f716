//! Keys: generate, sign, verify; their public halves.
//!
//! Not here: how private keys stand in files (`keyfile`).

mod curve;
mod digest;

pub use curve::Curve;
pub use digest::{Digest, FINGERPRINTS, fingerprint, fingerprints};

use super::der::{self, Malformed, Reader};
use super::{Trouble, pem, random};
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use rsa::{BoxedUint, Pkcs1v15Sign, Pss, RsaPrivateKey, RsaPublicKey};
use zeroize::Zeroizing;

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";
const X25519: &str = "1.3.101.110";
const PSS: &str = "1.2.840.113549.1.1.10";

/// Secret bytes, wiped when dropped.
pub type Secret = Zeroizing<Vec<u8>>;

/// The operating system's random numbers, as key generation takes them.
fn rng() -> getrandom::rand_core::UnwrapErr<getrandom::SysRng> {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

/// A private key.
#[derive(Clone)]
pub enum PrivateKey {
    /// RSA.
    Rsa(Box<RsaPrivateKey>),
    /// On an elliptic curve; the secret number, as long as the curve's field.
    Ec(Curve, Secret),
    /// Ed25519; the seed.
    Ed25519(Secret),
    /// X25519; the secret number. It cannot sign.
    X25519(Secret),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({})", self.kind())
    }
}

/// The numbers of an RSA key, big-endian.
pub struct RsaNumbers {
    /// Modulus, public and private exponent, both primes, their exponents, the coefficient.
    pub all: [Secret; 8],
}

/// What kind of key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// RSA with this many bits.
    Rsa(usize),
    /// On this curve.
    Ec(Curve),
    /// Ed25519.
    Ed25519,
    /// X25519.
    X25519,
}

impl PrivateKey {
    /// A new key.
    pub fn generate(wish: Wish) -> Result<PrivateKey, Trouble> {
        Ok(match wish {
            Wish::Rsa(bits) => {
                if bits < 1024 {
                    return Err(Trouble::new("key_size must be at least 1024-bits."));
                }
                let key = RsaPrivateKey::new(&mut rng(), bits);
                PrivateKey::Rsa(Box::new(key.map_err(|error| Trouble(format!("no RSA key: {error}")))?))
            }
            Wish::Ec(curve) => PrivateKey::Ec(curve, curve.generate()?),
            Wish::Ed25519 => PrivateKey::Ed25519(Zeroizing::new(random::<32>()?.to_vec())),
            Wish::X25519 => PrivateKey::X25519(Zeroizing::new(random::<32>()?.to_vec())),
        })
    }

    /// From an RSA key's numbers; they have to fit together.
    pub fn from_rsa(n: &[u8], e: &[u8], d: &[u8], primes: [&[u8]; 2]) -> Result<PrivateKey, Trouble> {
        let number = |bytes: &[u8]| whole(bytes);
        let primes = primes.iter().map(|prime| number(prime)).collect();
        let key = RsaPrivateKey::from_components(number(n), number(e), number(d), primes);
        key.map(|key| PrivateKey::Rsa(Box::new(key))).map_err(|_| Trouble::new("Invalid private key"))
    }

    /// Ansible's word for the kind.
    pub fn kind(&self) -> &'static str {
        match self {
            PrivateKey::Rsa(_) => "RSA",
            PrivateKey::Ec(..) => "ECC",
            PrivateKey::Ed25519(_) => "Ed25519",
            PrivateKey::X25519(_) => "X25519",
        }
    }

    /// Whether it is the kind of key asked for.
    pub fn fits(&self, wish: Wish) -> bool {
        match (self, wish) {
            (PrivateKey::Rsa(key), Wish::Rsa(bits)) => key.n().bits_vartime() as usize == bits,
            (PrivateKey::Ec(curve, _), Wish::Ec(wanted)) => *curve == wanted,
            (PrivateKey::Ed25519(_), Wish::Ed25519) | (PrivateKey::X25519(_), Wish::X25519) => true,
            _ => false,
        }
    }

    /// An RSA key's numbers.
    pub fn rsa_numbers(key: &RsaPrivateKey) -> Result<RsaNumbers, Trouble> {
        let bytes = |number: &BoxedUint| Zeroizing::new(der::strip(&number.to_be_bytes()).to_vec());
        let [p, q] = key.primes() else {
            return Err(Trouble::new("RSA keys of more than two primes are not understood"));
        };
        let missing = || Trouble::new("Invalid private key");
        Ok(RsaNumbers {
            all: [
                Zeroizing::new(key.n_bytes().to_vec()),
                Zeroizing::new(key.e_bytes().to_vec()),
                bytes(key.d()),
                bytes(p.as_ref()),
                bytes(q.as_ref()),
                bytes(key.dp().ok_or_else(missing)?),
                bytes(key.dq().ok_or_else(missing)?),
                bytes(&key.crt_coefficient().ok_or_else(missing)?),
            ],
        })
    }

    /// The public half.
    pub fn public(&self) -> Result<PublicKey, Trouble> {
        let kind = match self {
            PrivateKey::Rsa(key) => PublicKind::Rsa { n: key.n_bytes().to_vec(), e: key.e_bytes().to_vec() },
            PrivateKey::Ec(curve, secret) => PublicKind::Ec { curve: *curve, point: curve.public(secret)? },
            PrivateKey::Ed25519(seed) => PublicKind::Ed25519(
                ed25519_dalek::SigningKey::from_bytes(&*seed32(seed)?).verifying_key().to_bytes(),
            ),
            PrivateKey::X25519(secret) => {
                let secret = x25519_dalek::StaticSecret::from(*seed32(secret)?);
                PublicKind::X25519(x25519_dalek::PublicKey::from(&secret).to_bytes())
            }
        };
        Ok(PublicKey::of(kind))
    }

    /// Whether public and private half belong together, checked by using them.
    pub fn is_consistent(&self) -> Option<bool> {
        let public = self.public().ok()?;
        match self {
            PrivateKey::X25519(_) => None,
            _ => {
                let (algorithm, signature) = self.sign(Digest::Sha256, b"consistency").ok()?;
                Some(public.verify(&algorithm, b"consistency", &signature).unwrap_or(false))
            }
        }
    }

    /// Signs. Gives the AlgorithmIdentifier's DER and the signature.
    pub fn sign(&self, digest: Digest, message: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Trouble> {
        let failed = |_| Trouble::new("the key cannot sign this");
        Ok(match self {
            PrivateKey::Rsa(key) => {
                let scheme = Pkcs1v15Sign {
                    hash_len: Some(digest.length()),
                    prefix: digest.prefix().into_boxed_slice(),
                };
                let algorithm = der::sequence(&[der::oid(digest.rsa_oid()), der::null()]);
                (algorithm, key.sign_with_rng(&mut rng(), scheme, &digest.of(message)).map_err(failed)?)
            }
            PrivateKey::Ec(curve, secret) => {
                let algorithm = der::sequence(&[der::oid(digest.ecdsa_oid())]);
                (algorithm, curve.sign(secret, &digest.of(message))?)
            }
            PrivateKey::Ed25519(seed) => {
                use ed25519_dalek::Signer as _;
                let key = ed25519_dalek::SigningKey::from_bytes(&*seed32(seed)?);
                (der::sequence(&[der::oid(ED25519)]), key.sign(message).to_bytes().to_vec())
            }
            PrivateKey::X25519(_) => return Err(Trouble::new("X25519 keys cannot sign")),
        })
    }
}

fn seed32(seed: &[u8]) -> Result<Zeroizing<[u8; 32]>, Trouble> {
    <[u8; 32]>::try_from(seed)
        .map(Zeroizing::new)
        .map_err(|_| Trouble::new("An X25519/Ed25519 private key is 32 bytes long"))
}

fn whole(bytes: &[u8]) -> BoxedUint {
    let bytes = der::strip(bytes);
    let bits = (bytes.len().max(1) * 8).next_multiple_of(64) as u32;
    BoxedUint::from_be_slice(bytes, bits).expect("the precision was made for these bytes")
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKind {
    /// RSA: modulus and exponent, big-endian.
    Rsa {
        /// Modulus.
        n: Vec<u8>,
        /// Exponent.
        e: Vec<u8>,
    },
    /// A point on a curve, uncompressed.
    Ec {
        /// The curve.
        curve: Curve,
        /// `04`, then both coordinates.
        point: Vec<u8>,
    },
    /// Ed25519.
    Ed25519([u8; 32]),
    /// X25519.
    X25519([u8; 32]),
    /// Something else, by Ansible's word for it.
    Other(String),
}

/// A public key, and how it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// What it is.
    pub kind: PublicKind,
    /// SubjectPublicKeyInfo.
    pub der: Vec<u8>,
}

impl PublicKey {
    /// A key in its usual encoding.
    pub fn of(kind: PublicKind) -> PublicKey {
        let (algorithm, bytes) = match &kind {
            PublicKind::Rsa { n, e } => (
                der::sequence(&[der::oid(RSA), der::null()]),
                der::sequence(&[der::unsigned(n), der::unsigned(e)]),
            ),
            PublicKind::Ec { curve, point } => {
                (der::sequence(&[der::oid(EC), der::oid(curve.oid())]), point.clone())
            }
            PublicKind::Ed25519(bytes) => (der::sequence(&[der::oid(ED25519)]), bytes.to_vec()),
            PublicKind::X25519(bytes) => (der::sequence(&[der::oid(X25519)]), bytes.to_vec()),
            PublicKind::Other(_) => (Vec::new(), Vec::new()),
        };
        PublicKey { kind, der: der::sequence(&[algorithm, der::bits(&bytes)]) }
    }

    /// Reads a SubjectPublicKeyInfo.
    pub fn read(reader: &mut Reader<'_>) -> Result<PublicKey, Malformed> {
        let whole = reader.expect(der::SEQUENCE)?;
        let mut inside = whole.inside();
        let mut algorithm = inside.sequence()?;
        let oid = algorithm.oid()?;
        let bytes = inside.bits()?;
        let array = || <[u8; 32]>::try_from(bytes).map_err(|_| Malformed("invalid key length"));
        let kind = match oid.as_str() {
            RSA => {
                let mut numbers = Reader::new(bytes).sequence()?;
                PublicKind::Rsa { n: numbers.unsigned()?.to_vec(), e: numbers.unsigned()?.to_vec() }
            }
            EC => {
                let curve =
                    if algorithm.peek() == Some(der::OID) { Curve::by_oid(&algorithm.oid()?) } else { None };
                match curve {
                    Some(curve) => {
                        let point = curve.point(bytes).ok_or(Malformed("invalid point on the curve"))?;
                        PublicKind::Ec { curve, point }
                    }
                    None => {
                        return Ok(PublicKey {
                            kind: PublicKind::Other("ECC".into()),
                            der: whole.raw.to_vec(),
                        });
                    }
                }
            }
            ED25519 => PublicKind::Ed25519(array()?),
            X25519 => PublicKind::X25519(array()?),
            other => {
                let name = match other {
                    "1.2.840.10040.4.1" => "DSA".into(),
                    "1.3.101.113" => "Ed448".into(),
                    "1.3.101.111" => "X448".into(),
                    other => format!("unknown ({other})"),
                };
                return Ok(PublicKey { kind: PublicKind::Other(name), der: whole.raw.to_vec() });
            }
        };
        Ok(PublicKey::of(kind))
    }

    /// Ansible's word for the kind.
    pub fn kind(&self) -> &str {
        match &self.kind {
            PublicKind::Rsa { .. } => "RSA",
            PublicKind::Ec { .. } => "ECC",
            PublicKind::Ed25519(_) => "Ed25519",
            PublicKind::X25519(_) => "X25519",
            PublicKind::Other(name) => name,
        }
    }

    /// PEM.
    pub fn to_pem(&self) -> String {
        pem::write("PUBLIC KEY", &[], &self.der)
    }

    /// The bytes that a key identifier is computed from.
    pub fn identifier(&self) -> Result<Vec<u8>, Malformed> {
        let mut inside = der::one(&self.der, der::SEQUENCE)?.inside();
        inside.take()?;
        Ok(Digest::Sha1.of(inside.bits()?))
    }

    /// Whether this key made this signature. `algorithm` is an AlgorithmIdentifier.
    pub fn verify(&self, algorithm: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, Trouble> {
        let mut inside = der::one(algorithm, der::SEQUENCE)?.inside();
        let oid = inside.oid()?;
        let unknown =
            || Trouble(format!("signatures of the kind {} are not understood", super::oid::long(&oid)));
        match &self.kind {
            PublicKind::Rsa { n, e } => {
                let Ok(key) = RsaPublicKey::new_with_size_limits(whole(n), whole(e), 512..=16384) else {
                    return Ok(false);
                };
                if oid == PSS {
                    let digest = pss_digest(inside)?;
                    macro_rules! check {
                        ($digest:ty) => {{
                            let mut scheme = Pss::<$digest>::new();
                            // Any length of salt.
                            scheme.salt_len = None;
                            key.verify(scheme, &digest.of(message), signature).is_ok()
                        }};
                    }
                    return Ok(match digest {
                        Digest::Sha256 => check!(sha2::Sha256),
                        Digest::Sha384 => check!(sha2::Sha384),
                        Digest::Sha512 => check!(sha2::Sha512),
                        _ => return Err(unknown()),
                    });
                }
                let digest = Digest::by_rsa_oid(&oid).ok_or_else(unknown)?;
                let scheme = Pkcs1v15Sign {
                    hash_len: Some(digest.length()),
                    prefix: digest.prefix().into_boxed_slice(),
                };
                Ok(key.verify(scheme, &digest.of(message), signature).is_ok())
            }
            PublicKind::Ec { curve, point } => {
                let digest = Digest::by_ecdsa_oid(&oid).ok_or_else(unknown)?;
                Ok(curve.verify(point, &digest.of(message), signature))
            }
            PublicKind::Ed25519(bytes) if oid == ED25519 => {
                use ed25519_dalek::Verifier as _;
                let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(bytes) else { return Ok(false) };
                let Ok(signature) = ed25519_dalek::Signature::from_slice(signature) else { return Ok(false) };
                Ok(key.verify(message, &signature).is_ok())
            }
            PublicKind::Ed25519(_) | PublicKind::X25519(_) => Ok(false),
            PublicKind::Other(_) => Err(unknown()),
        }
    }
}

fn pss_digest(mut parameters: Reader<'_>) -> Result<Digest, Trouble> {
    if let Some(mut parameters) = parameters.optional(der::SEQUENCE)?.map(|value| value.inside())
        && let Some(hash) = parameters.optional(der::explicit(0))?
    {
        let oid = hash.inside().sequence()?.oid()?;
        return Digest::by_oid(&oid).ok_or_else(|| Trouble(format!("digest {oid} is not understood")));
    }
    Ok(Digest::Sha1)
}

/// A safe prime of this many bits, big-endian: half of it, rounded down, is a prime too.
pub fn safe_prime(bits: usize) -> Result<Vec<u8>, Trouble> {
    let bits = u32::try_from(bits).ok().filter(|bits| *bits <= 16384);
    let bits = bits.ok_or_else(|| Trouble::new("primes of this size are not made"))?;
    let prime: BoxedUint = crypto_primes::random_prime(&mut rng(), crypto_primes::Flavor::Safe, bits);
    Ok(der::strip(&prime.to_be_bytes()).to_vec())
}
