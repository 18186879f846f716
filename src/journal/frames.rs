//! Records in a file that only grows: length, checksum, bytes.
//!
//! **Invariant:** whatever byte a writer was killed at, a reader gets every record that was written whole, and nothing else.

use sha2::{Digest as _, Sha256};

/// The beginning of every journal; the number is the form's version.
pub(super) const MAGIC: &[u8] = b"quorate run 1\n";
/// No record is longer: a length beyond this is torn or foreign.
const LONGEST: usize = 64 * 1024 * 1024;
const HEAD: usize = 12;

/// A record as it is written.
pub(super) fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + payload.len());
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&Sha256::digest(payload)[..8]);
    out.extend_from_slice(payload);
    out
}

/// The whole records of a journal, up to the first that is torn. Nothing where this is no journal.
pub(super) fn whole(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut out = Vec::new();
    while rest.len() >= HEAD {
        let length = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        if length > LONGEST {
            break;
        }
        let Some(payload) = rest.get(HEAD..HEAD + length) else { break };
        if Sha256::digest(payload)[..8] != rest[4..HEAD] {
            break;
        }
        out.push(payload);
        rest = &rest[HEAD + length..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_cut_at_any_byte_gives_the_records_before_the_cut() {
        let records: Vec<Vec<u8>> = vec![b"one".to_vec(), Vec::new(), vec![7; 300], b"last".to_vec()];
        let mut file = MAGIC.to_vec();
        let mut ends = Vec::new();
        for record in &records {
            file.extend(framed(record));
            ends.push(file.len());
        }
        for cut in 0..=file.len() {
            let read = whole(&file[..cut]);
            if cut < MAGIC.len() {
                assert!(read.is_none(), "{cut}");
                continue;
            }
            let there = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(
                read.unwrap(),
                records[..there].iter().map(Vec::as_slice).collect::<Vec<_>>(),
                "{cut}"
            );
        }
    }

    #[test]
    fn a_changed_byte_ends_the_journal_there() {
        let mut file = MAGIC.to_vec();
        for record in [&b"one"[..], b"two", b"three"] {
            file.extend(framed(record));
        }
        for at in MAGIC.len()..file.len() {
            let mut broken = file.clone();
            broken[at] ^= 0x55;
            let read = whole(&broken).unwrap();
            let hit = (at - MAGIC.len()) / (HEAD + 3);
            assert_eq!(read.len(), hit.min(2), "byte {at}");
        }
    }
}
