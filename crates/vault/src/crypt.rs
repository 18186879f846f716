//! The inside of a vault: salt, HMAC and ciphertext.
//!
//! PBKDF2-HMAC-SHA256 of the password gives 80 bytes: the key of AES-256-CTR, the key of HMAC-SHA256 over the
//! ciphertext, the first counter block. The plain text is padded as PKCS#7 has it, though CTR would need no padding.
//! The three parts are hexadecimal lines, and the payload is those lines as bytes.

use crate::envelope::{hex, unhex};
use crate::{Secret, VaultError};
use aes::Aes256;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

pub(crate) const SALT_BYTES: usize = 32;
const ROUNDS: u32 = 10_000;
const BLOCK: usize = 16;

struct Keys(Zeroizing<[u8; 80]>);

impl Keys {
    fn derive(secret: &Secret, salt: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; 80]);
        pbkdf2::pbkdf2_hmac::<Sha256>(secret.expose(), salt, ROUNDS, &mut *bytes);
        Keys(bytes)
    }

    /// CTR is its own inverse.
    fn apply(&self, bytes: &mut [u8]) {
        let cipher = ctr::Ctr128BE::<Aes256>::new_from_slices(&self.0[..32], &self.0[64..]);
        cipher.expect("the key has 32 bytes and the counter 16").apply_keystream(bytes);
    }

    fn mac(&self, ciphertext: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0[32..64]).expect("HMAC takes keys of any length");
        mac.update(ciphertext);
        mac
    }
}

/// The plain bytes; nothing where the HMAC does not match this secret.
pub(crate) fn open(payload: &[u8], secret: &Secret) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    const PARTS: VaultError = VaultError::Damaged("it does not hold salt, HMAC and ciphertext");
    let mut parts = payload.splitn(3, |&byte| byte == b'\n').map(unhex);
    let mut part = || parts.next().flatten().ok_or(PARTS);
    let (salt, mac, ciphertext) = (part()?, part()?, part()?);
    let keys = Keys::derive(secret, &salt);
    if keys.mac(&ciphertext).verify_slice(&mac).is_err() {
        return Ok(None);
    }
    let mut plain = Zeroizing::new(ciphertext);
    keys.apply(&mut plain);
    // The HMAC vouches for the bytes, so wrong padding means that another program wrote them.
    let padding = plain.last().map_or(0, |&byte| usize::from(byte));
    let kept = plain.len().checked_sub(padding).filter(|_| (1..=BLOCK).contains(&padding));
    let kept = kept.filter(|&kept| plain[kept..].iter().all(|&byte| usize::from(byte) == padding));
    plain.truncate(kept.ok_or(VaultError::Damaged("its padding is wrong"))?);
    Ok(Some(plain))
}

pub(crate) fn seal(plain: &[u8], secret: &Secret, salt: &[u8]) -> Vec<u8> {
    let keys = Keys::derive(secret, salt);
    let padding = BLOCK - plain.len() % BLOCK;
    // Reserved at once, so that no copy of the plain text stays behind in memory given back.
    let mut bytes = Zeroizing::new(Vec::with_capacity(plain.len() + padding));
    bytes.extend_from_slice(plain);
    bytes.resize(plain.len() + padding, padding as u8);
    keys.apply(&mut bytes);
    let mac = keys.mac(&bytes).finalize().into_bytes();
    format!("{}\n{}\n{}", hex(salt), hex(&mac), hex(&bytes)).into_bytes()
}
