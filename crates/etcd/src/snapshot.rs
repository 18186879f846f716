//! Snapshots: a member's database as a stream, and proof that all of it arrived.
//!
//! In: one member. Out: the file's bytes into any writer, and a [`SnapshotInfo`] to keep beside it.
//!
//! A snapshot file is the database followed by the SHA-256 of the database, 32 bytes. `etcdctl snapshot status`
//! does not check it; this does, while the bytes pass. **Invariant:** `Ok` means that the hash matched.
//!
//! The bytes hold every key, user and role of the cluster. Not here: file modes, `.part` names, rotation,
//! encryption.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::client::MemberClient;
use crate::error::EtcdError;
use crate::id::{ClusterId, MemberId};

/// Length of the hash at the end.
const TAIL: usize = 32;

/// Databases come in pages; a file that is not pages plus hash has no hash.
const PAGE: u64 = 512;

/// A stream that pauses longer than this has died.
const PAUSE: Duration = Duration::from_secs(30);

/// What to know of a snapshot without opening it. Written beside it as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Where it came from.
    pub cluster: ClusterId,
    /// Which member gave it.
    pub member: MemberId,
    /// That member's release: restore with the same minor.
    pub version: String,
    /// The snapshot is at this revision or later.
    pub revision: i64,
    /// Size of the file, hash included.
    pub bytes: u64,
    /// SHA-256 of the database part, in hex: what etcd appended, and what we computed.
    pub sha256: String,
}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASnapshot {
    /// Cut off, or a bare copy of `member/snap/db`.
    #[error("{bytes} bytes are no database with a hash behind it: cut off, or a copy of `member/snap/db`")]
    NoHash {
        /// How many bytes there are.
        bytes: u64,
    },
    /// The bytes changed on their way, or on disk.
    #[error("the hash is wrong: the file says {expected}, its content gives {found}")]
    WrongHash {
        /// The last 32 bytes, in hex.
        expected: String,
        /// SHA-256 of the rest, in hex.
        found: String,
    },
}

/// Streams a snapshot of this member into `out`, which is flushed but not synced.
///
/// Works without quorum, from the member's own database. Learners serve it from 3.5 on. `progress` hears how many
/// bytes were written.
pub async fn save(
    client: &MemberClient,
    out: &mut (impl AsyncWrite + Unpin),
    mut progress: impl FnMut(u64),
) -> Result<SnapshotInfo, EtcdError> {
    let status = client.status().await?;
    let mut raw = client.raw();
    let mut stream = client.call("Snapshot", client.deadlines().write, raw.snapshot()).await?;
    let mut check = Check::default();
    // The last data message says that nothing remains while the hash is still to come: read to the end.
    while let Some(message) = client.call("Snapshot", PAUSE, stream.message()).await? {
        out.write_all(message.blob()).await.map_err(local)?;
        check.update(message.blob());
        progress(check.bytes);
    }
    out.flush().await.map_err(local)?;
    let bytes = check.bytes;
    let sha256 = check.finish().map_err(|why| {
        let address = client.endpoint().address().clone();
        EtcdError::Protocol { address, why: why.to_string() }
    })?;
    Ok(SnapshotInfo {
        cluster: status.cluster,
        member: status.id,
        version: status.version,
        revision: status.revision,
        bytes,
        sha256,
    })
}

/// Checks a snapshot file by its own hash. Gives the hash in hex.
pub async fn verify(
    file: &mut (impl AsyncRead + Unpin),
) -> Result<Result<String, NotASnapshot>, std::io::Error> {
    let mut check = Check::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(check.finish()),
            count => check.update(&buffer[..count]),
        }
    }
}

fn local(error: std::io::Error) -> EtcdError {
    EtcdError::Local(format!("the snapshot cannot be written: {error}"))
}

/// Hashes everything but the last 32 bytes, whatever pieces they come in.
#[derive(Default)]
struct Check {
    hash: Sha256,
    tail: Vec<u8>,
    bytes: u64,
}

impl Check {
    fn update(&mut self, blob: &[u8]) {
        self.bytes += blob.len() as u64;
        self.tail.extend_from_slice(blob);
        let settled = self.tail.len().saturating_sub(TAIL);
        self.hash.update(&self.tail[..settled]);
        self.tail.drain(..settled);
    }

    fn finish(self) -> Result<String, NotASnapshot> {
        if self.bytes % PAGE != TAIL as u64 || self.bytes <= TAIL as u64 {
            return Err(NotASnapshot::NoHash { bytes: self.bytes });
        }
        let (expected, found) = (hex(&self.tail), hex(&self.hash.finalize()));
        if expected == found { Ok(found) } else { Err(NotASnapshot::WrongHash { expected, found }) }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(pages: usize) -> Vec<u8> {
        let db: Vec<u8> = (0..pages * 512).map(|at| (at % 251) as u8).collect();
        let hash = Sha256::digest(&db);
        [db.as_slice(), hash.as_slice()].concat()
    }

    fn check(bytes: &[u8], piece: usize) -> Result<String, NotASnapshot> {
        let mut check = Check::default();
        bytes.chunks(piece.max(1)).for_each(|blob| check.update(blob));
        check.finish()
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(pages in 1_usize..5, piece in 1_usize..3000) {
            prop_assert!(check(&file(pages), piece).is_ok());
        }

        #[test]
        fn one_flipped_bit_is_seen(at in 0_usize..(512 * 2 + 32), bit in 0_u8..8) {
            let mut bytes = file(2);
            bytes[at] ^= 1 << bit;
            let refused = matches!(check(&bytes, 700), Err(NotASnapshot::WrongHash { .. }));
            prop_assert!(refused);
        }

        #[test]
        fn a_cut_is_seen(keep in 0_usize..(512 * 3 + 32)) {
            prop_assert!(check(&file(3)[..keep], 4096).is_err());
        }
    }

    #[test]
    fn a_bare_database_is_not_a_snapshot() {
        assert_eq!(check(&[0; 1024], 100), Err(NotASnapshot::NoHash { bytes: 1024 }));
        assert_eq!(check(&[0; 32], 100), Err(NotASnapshot::NoHash { bytes: 32 }));
    }
}
