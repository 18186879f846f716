//! The beginning of a TLS handshake: far enough to see a server's certificates, and that it holds their key.
//!
//! In: a connection. Out: the certificates as the server sends them. TLS 1.2 (with ECDHE) and 1.3.
//!
//! **Invariant:** nothing but the handshake is ever sent; the connection is of no use afterwards.
//!
//! Not here: whether the certificates lead to a CA (`chain`).

use super::cert::Certificate;
use super::der;
use super::key::Digest;
use super::{Trouble, random};
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use hmac::Mac as _;
use std::io::{Read, Write};

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const SERVER_DONE: u8 = 14;
const CERTIFICATE_VERIFY: u8 = 15;
const HELLO_RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a server shows of itself.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its certificate, then those that lead to a CA.
    pub certificates: Vec<Certificate>,
    /// Whether it signed this handshake with the certificate's key.
    pub holds_key: bool,
}

fn list16(items: &[u8]) -> Vec<u8> {
    let mut out = (items.len() as u16).to_be_bytes().to_vec();
    out.extend_from_slice(items);
    out
}

fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    [number.to_be_bytes().to_vec(), list16(body)].concat()
}

/// Reads fields of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Trouble> {
        let (head, tail) =
            self.0.split_at_checked(length).ok_or_else(|| Trouble::new("a TLS message is cut off"))?;
        self.0 = tail;
        Ok(head)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, Trouble> {
        Ok(self.take(bytes)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    fn sized(&mut self, bytes: usize) -> Result<&'a [u8], Trouble> {
        let length = self.number(bytes)?;
        self.take(length)
    }
}

/// The private halves of what the client offers for key agreement.
struct Offer {
    x25519: x25519_dalek::StaticSecret,
    p256: p256::SecretKey,
}

impl Offer {
    fn new() -> Result<Offer, Trouble> {
        let p256 = loop {
            // Almost every number is a key; the others are drawn again.
            if let Ok(key) = p256::SecretKey::from_slice(&random::<32>()?) {
                break key;
            }
        };
        Ok(Offer { x25519: x25519_dalek::StaticSecret::from(random::<32>()?), p256 })
    }

    fn shares(&self) -> Vec<u8> {
        let share = |group: u16, key: &[u8]| [group.to_be_bytes().to_vec(), list16(key)].concat();
        let x25519 = x25519_dalek::PublicKey::from(&self.x25519).to_bytes();
        use p256::elliptic_curve::sec1::ToSec1Point as _;
        let p256 = self.p256.public_key().to_sec1_point(false);
        [share(0x001d, &x25519), share(0x0017, p256.as_bytes())].concat()
    }

    fn agree(&self, group: usize, theirs: &[u8]) -> Result<Vec<u8>, Trouble> {
        let bad = || Trouble::new("the server's key share is not understood");
        match group {
            0x001d => {
                let theirs = <[u8; 32]>::try_from(theirs).map_err(|_| bad())?;
                Ok(self.x25519.diffie_hellman(&theirs.into()).as_bytes().to_vec())
            }
            0x0017 => {
                let theirs = p256::PublicKey::from_sec1_bytes(theirs).map_err(|_| bad())?;
                let shared = p256::ecdh::diffie_hellman(self.p256.to_nonzero_scalar(), theirs.as_affine());
                Ok(shared.raw_secret_bytes().to_vec())
            }
            _ => Err(bad()),
        }
    }
}

fn client_hello(server_name: Option<&str>, client: &[u8; 32], offer: &Offer) -> Result<Vec<u8>, Trouble> {
    #[rustfmt::skip]
    const SUITES: [u8; 22] = [
        0x13, 0x01, // TLS 1.3: AES-128-GCM, which every server has to know
        0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8, // TLS 1.2, ECDHE
        0xc0, 0x09, 0xc0, 0x13, 0xc0, 0x0a, 0xc0, 0x14,
    ];
    #[rustfmt::skip]
    const SCHEMES: [u8; 24] = [
        0x04, 0x03, 0x05, 0x03, 0x06, 0x03, 0x08, 0x04, 0x08, 0x05, 0x08, 0x06,
        0x08, 0x07, 0x04, 0x01, 0x05, 0x01, 0x06, 0x01, 0x02, 0x03, 0x02, 0x01,
    ];
    let mut extensions = Vec::new();
    if let Some(name) = server_name {
        let entry = [vec![0], list16(name.as_bytes())].concat();
        extensions.push(extension(0, &list16(&entry)));
    }
    extensions.push(extension(10, &list16(&[0x00, 0x1d, 0x00, 0x17, 0x00, 0x18, 0x00, 0x19])));
    extensions.push(extension(11, &[1, 0]));
    extensions.push(extension(13, &list16(&SCHEMES)));
    extensions.push(extension(43, &[4, 3, 4, 3, 3]));
    extensions.push(extension(51, &list16(&offer.shares())));
    extensions.push(extension(0xff01, &[0]));
    let session = random::<32>()?;
    let body = [
        &[3, 3],
        client.as_slice(),
        &[32],
        &session,
        &list16(&SUITES),
        &[1, 0],
        &list16(&extensions.concat()),
    ]
    .concat();
    Ok(message(CLIENT_HELLO, &body))
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32).to_be_bytes().to_vec();
    out[0] = kind;
    out.extend_from_slice(body);
    out
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(key).expect("keys of any length are fine");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// HKDF-Expand-Label of TLS 1.3; one block is enough for all that is asked for here.
fn expand(secret: &[u8], label: &str, context: &[u8], length: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let info = [
        (length as u16).to_be_bytes().to_vec(),
        vec![label.len() as u8],
        label.into_bytes(),
        vec![context.len() as u8],
        context.to_vec(),
        vec![1],
    ]
    .concat();
    let mut out = hmac(secret, &info);
    out.truncate(length);
    out
}

/// What the server encrypts its part of the handshake with.
struct Opener {
    cipher: aes_gcm::Aes128Gcm,
    iv: Vec<u8>,
    count: u64,
}

impl Opener {
    fn new(shared: &[u8], transcript: &[u8]) -> Opener {
        let nothing = Digest::Sha256.of(&[]);
        let early = hmac(&[0; 32], &[0; 32]);
        let secret = hmac(&expand(&early, "derived", &nothing, 32), shared);
        let traffic = expand(&secret, "s hs traffic", &Digest::Sha256.of(transcript), 32);
        let key = expand(&traffic, "key", &[], 16);
        Opener {
            cipher: aes_gcm::Aes128Gcm::new_from_slice(&key).expect("the key has the cipher's length"),
            iv: expand(&traffic, "iv", &[], 12),
            count: 0,
        }
    }

    /// Opens a record. Gives its inner type and content.
    fn open(&mut self, header: &[u8], data: &[u8]) -> Result<(u8, Vec<u8>), Trouble> {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.count.to_be_bytes());
        for (byte, mask) in nonce.iter_mut().zip(&self.iv) {
            *byte ^= mask;
        }
        self.count += 1;
        let payload = Payload { msg: data, aad: header };
        let mut content = self
            .cipher
            .decrypt(&nonce.into(), payload)
            .map_err(|_| Trouble::new("the server's answer cannot be decrypted"))?;
        while content.last() == Some(&0) {
            content.pop();
        }
        let kind = content.pop().unwrap_or_default();
        Ok((kind, content))
    }
}

/// Takes handshake messages out of records.
struct Messages<'a, S> {
    stream: &'a mut S,
    opener: Option<Opener>,
    waiting: Vec<u8>,
}

impl<S: Read> Messages<'_, S> {
    /// The next message, its header included.
    fn next(&mut self) -> Result<Vec<u8>, Trouble> {
        loop {
            if let Some(header) = self.waiting.first_chunk::<4>() {
                let length = 4 + header[1..].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                if length > 1 << 20 {
                    return Err(Trouble::new("a TLS message is too long"));
                }
                if self.waiting.len() >= length {
                    return Ok(self.waiting.drain(..length).collect());
                }
            }
            self.record()?;
        }
    }

    fn record(&mut self) -> Result<(), Trouble> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Trouble::new("the server closed the connection"),
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
                Trouble::new("The handshake operation timed out")
            }
            _ => Trouble(crate::system::process::errno(&error)),
        };
        let mut header = [0; 5];
        self.stream.read_exact(&mut header).map_err(failed)?;
        let length = usize::from(header[3]) << 8 | usize::from(header[4]);
        if header[1] != 3 || length > (1 << 14) + 256 {
            return Err(Trouble::new("the server does not speak TLS"));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).map_err(failed)?;
        let (kind, content) = match (&mut self.opener, header[0]) {
            (Some(opener), 23) => opener.open(&header, &body)?,
            (_, kind) => (kind, body),
        };
        match kind {
            20 => {}
            22 => self.waiting.extend(content),
            21 => {
                let number = content.get(1).copied().unwrap_or_default();
                return Err(Trouble(format!("the server refused the handshake (alert {number})")));
            }
            other => return Err(Trouble(format!("the server sent a record of type {other}"))),
        }
        Ok(())
    }
}

/// The AlgorithmIdentifier of a TLS signature scheme.
fn algorithm(scheme: usize) -> Option<Vec<u8>> {
    let plain = |oid: &str| der::sequence(&[der::oid(oid)]);
    let pss = |digest: Digest| {
        let hash = der::tlv(der::explicit(0), &der::sequence(&[der::oid(digest.oid())]));
        der::sequence(&[der::oid("1.2.840.113549.1.1.10"), der::sequence(&[hash])])
    };
    Some(match scheme {
        0x0403 => plain("1.2.840.10045.4.3.2"),
        0x0503 => plain("1.2.840.10045.4.3.3"),
        0x0603 => plain("1.2.840.10045.4.3.4"),
        0x0203 => plain("1.2.840.10045.4.1"),
        0x0401 => plain("1.2.840.113549.1.1.11"),
        0x0501 => plain("1.2.840.113549.1.1.12"),
        0x0601 => plain("1.2.840.113549.1.1.13"),
        0x0201 => plain("1.2.840.113549.1.1.5"),
        0x0804 => pss(Digest::Sha256),
        0x0805 => pss(Digest::Sha384),
        0x0806 => pss(Digest::Sha512),
        0x0807 => plain("1.3.101.112"),
        _ => return None,
    })
}

fn is_signed(certificates: &[Certificate], scheme: usize, signature: &[u8], signed: &[u8]) -> bool {
    let Some((certificate, algorithm)) = certificates.first().zip(algorithm(scheme)) else { return false };
    certificate.public.verify(&algorithm, signed, signature).unwrap_or(false)
}

fn certificates(mut list: Fields<'_>, with_extensions: bool) -> Result<Vec<Certificate>, Trouble> {
    let mut all = Vec::new();
    while !list.0.is_empty() {
        all.push(Certificate::read(list.sized(3)?)?);
        if with_extensions {
            list.sized(2)?;
        }
    }
    if all.is_empty() { Err(Trouble::new("the server sent no certificate")) } else { Ok(all) }
}

/// Asks the server for its certificates.
pub fn look(stream: &mut (impl Read + Write), server_name: Option<&str>) -> Result<Shown, Trouble> {
    let client = random::<32>()?;
    let offer = Offer::new()?;
    let hello = client_hello(server_name, &client, &offer)?;
    let record = [&[22, 3, 1], list16(&hello).as_slice()].concat();
    stream.write_all(&record).map_err(|error| Trouble(crate::system::process::errno(&error)))?;
    let mut messages = Messages { stream, opener: None, waiting: Vec::new() };
    let answer = messages.next()?;
    let mut transcript = [hello, answer.clone()].concat();
    let mut fields = Fields(&answer);
    if fields.number(1)? != usize::from(SERVER_HELLO) {
        return Err(Trouble::new("the server does not begin with its hello"));
    }
    fields.take(3)?;
    fields.take(2)?;
    let server = fields.take(32)?;
    if server == HELLO_RETRY {
        return Err(Trouble::new("the server knows neither X25519 nor P-256"));
    }
    fields.sized(1)?;
    let suite = fields.number(2)?;
    fields.take(1)?;
    let (mut modern, mut share) = (false, None);
    if !fields.0.is_empty() {
        let mut extensions = Fields(fields.sized(2)?);
        while !extensions.0.is_empty() {
            let number = extensions.number(2)?;
            let mut body = Fields(extensions.sized(2)?);
            match number {
                43 => modern = body.number(2)? == 0x0304,
                51 => share = Some((body.number(2)?, body.sized(2)?)),
                _ => {}
            }
        }
    }
    if !modern {
        return look_1_2(&mut messages, &client, server);
    }
    let (group, theirs) = share.ok_or_else(|| Trouble::new("the server sent no key share"))?;
    if suite != 0x1301 {
        return Err(Trouble::new("the server chose a cipher that was not offered"));
    }
    messages.opener = Some(Opener::new(&offer.agree(group, theirs)?, &transcript));
    let mut shown = Vec::new();
    loop {
        let message = messages.next()?;
        let mut fields = Fields(&message[4..]);
        match message[0] {
            CERTIFICATE => {
                fields.sized(1)?;
                shown = certificates(Fields(fields.sized(3)?), true)?;
            }
            CERTIFICATE_VERIFY => {
                let (scheme, signature) = (fields.number(2)?, fields.sized(2)?);
                let mut signed = vec![0x20; 64];
                signed.extend_from_slice(b"TLS 1.3, server CertificateVerify\0");
                signed.extend(Digest::Sha256.of(&transcript));
                let holds_key = is_signed(&shown, scheme, signature, &signed);
                return Ok(Shown { certificates: shown, holds_key });
            }
            20 => return Err(Trouble::new("the server sent no certificate")),
            _ => {}
        }
        transcript.extend(&message);
    }
}

fn look_1_2<S: Read>(messages: &mut Messages<'_, S>, client: &[u8], server: &[u8]) -> Result<Shown, Trouble> {
    let mut shown = Shown { certificates: Vec::new(), holds_key: false };
    loop {
        let message = messages.next()?;
        let body = &message[4..];
        let mut fields = Fields(body);
        match message[0] {
            CERTIFICATE => shown.certificates = certificates(Fields(fields.sized(3)?), false)?,
            SERVER_KEY_EXCHANGE => {
                fields.take(3)?;
                fields.sized(1)?;
                let length = body.len() - fields.0.len();
                let (scheme, signature) = (fields.number(2)?, fields.sized(2)?);
                let signed = [client, server, &body[..length]].concat();
                shown.holds_key = is_signed(&shown.certificates, scheme, signature, &signed);
            }
            SERVER_DONE if shown.certificates.is_empty() => {
                return Err(Trouble::new("the server sent no certificate"));
            }
            SERVER_DONE => return Ok(shown),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::PrivateKey;
    use super::super::{cert, keyfile};
    use super::*;

    const CERTIFICATE_PEM: &[u8] = include_bytes!("../../../tests/modules/crypto/made/p256.leaf.crt");
    const KEY_PEM: &[u8] = include_bytes!("../../../tests/modules/crypto/made/p256.key");

    /// A server of TLS 1.2 in memory; it signs with this key.
    struct Server {
        key: PrivateKey,
        answer: std::io::Cursor<Vec<u8>>,
    }

    impl Read for Server {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.answer.read(buffer)
        }
    }

    impl Write for Server {
        fn write(&mut self, hello: &[u8]) -> std::io::Result<usize> {
            let (client, server) = (&hello[11..43], [7; 32]);
            let certificate = cert::Certificate::load(CERTIFICATE_PEM).unwrap().signed.der;
            let size = |bytes: &[u8]| (bytes.len() as u32).to_be_bytes()[1..].to_vec();
            let list = [size(&certificate), certificate].concat();
            let parameters = [vec![3, 0, 0x1d, 32], vec![9; 32]].concat();
            let signed = [client, server.as_slice(), &parameters].concat();
            let (_, signature) = self.key.sign(Digest::Sha256, &signed).unwrap();
            let answer = [
                message(SERVER_HELLO, &[&[3, 3], server.as_slice(), &[0, 0xc0, 0x2b, 0]].concat()),
                message(CERTIFICATE, &[size(&list), list].concat()),
                message(SERVER_KEY_EXCHANGE, &[parameters, vec![4, 3], list16(&signature)].concat()),
                message(SERVER_DONE, &[]),
            ]
            .concat();
            // In small records, so that messages go over their ends.
            let records: Vec<u8> =
                answer.chunks(50).flat_map(|chunk| [vec![22, 3, 3], list16(chunk)].concat()).collect();
            self.answer = std::io::Cursor::new(records);
            Ok(hello.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn server(key: PrivateKey) -> Server {
        Server { key, answer: std::io::Cursor::default() }
    }

    #[test]
    fn a_server_shows_its_certificate_and_that_it_holds_the_key() {
        let mut real = server(keyfile::load(KEY_PEM, None).unwrap());
        let shown = look(&mut real, Some("n1")).unwrap();
        assert!(shown.holds_key);
        assert_eq!(shown.certificates[0].subject.display(), "CN=n1");
        let mut copy = server(
            PrivateKey::generate(super::super::key::Wish::Ec(super::super::key::Curve::P256)).unwrap(),
        );
        assert!(!look(&mut copy, None).unwrap().holds_key, "a certificate alone proves nothing");
    }

    #[test]
    fn who_does_not_speak_tls_is_told_so() {
        struct Other(std::io::Cursor<&'static [u8]>);
        impl Read for Other {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl Write for Other {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        for (bytes, why) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "the server does not speak TLS"),
            (&[21, 3, 3, 0, 2, 2, 40], "the server refused the handshake (alert 40)"),
            (&[], "the server closed the connection"),
            (&[22, 3, 3, 0, 4, 2, 0, 0, 0], "a TLS message is cut off"),
        ] {
            assert_eq!(look(&mut Other(std::io::Cursor::new(bytes)), None).unwrap_err().0, why);
        }
    }
}
