//! Writing archives: tar in four wrappings, zip, and single compressed files.
//!
//! **Invariant:** no moment of writing is in what is written.

use super::Member;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::MetadataExt as _;

/// An archive of these members.
pub(super) fn archive(format: &str, members: &[Member]) -> io::Result<Vec<u8>> {
    if format == "zip" {
        return zip(members);
    }
    let bytes = tar(members)?;
    if format == "tar" { Ok(bytes) } else { squeeze(format, &bytes) }
}

/// One file, compressed.
pub(super) fn compressed(format: &str, path: &str) -> io::Result<Vec<u8>> {
    squeeze(format, &std::fs::read(path)?)
}

fn squeeze(format: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match format {
        "bz2" => {
            let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
            packer.write_all(bytes)?;
            packer.finish()
        }
        "xz" => {
            let mut out = Vec::new();
            lzma_rs::xz_compress(&mut &*bytes, &mut out)?;
            Ok(out)
        }
        _ => {
            let mut packer = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
            packer.write_all(bytes)?;
            packer.finish()
        }
    }
}

fn tar(members: &[Member]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.follow_symlinks(false);
    for member in members {
        builder.append_path_with_name(&member.path, &member.name)?;
    }
    builder.into_inner()
}

struct Entry {
    name: Vec<u8>,
    crc: u32,
    packed: u32,
    size: u32,
    offset: u32,
    time: (u16, u16),
    mode: u32,
}

fn limited(value: usize) -> io::Result<u32> {
    u32::try_from(value)
        .map_err(|_| io::Error::other("files of 4 GiB and more do not fit in this zip; use tar"))
}

/// Zip as everybody reads it: deflated, names in UTF-8, files only.
fn zip(members: &[Member]) -> io::Result<Vec<u8>> {
    let mut out: Vec<u8> = Vec::new();
    let mut entries = Vec::new();
    for member in members.iter().filter(|member| member.is_file) {
        let mut content = Vec::new();
        let mut file = File::open(&member.path)?;
        let metadata = file.metadata()?;
        file.read_to_end(&mut content)?;
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(&content)?;
        let packed = packer.finish()?;
        let entry = Entry {
            name: member.name.as_bytes().to_vec(),
            crc: crc.sum(),
            packed: limited(packed.len())?,
            size: limited(content.len())?,
            offset: limited(out.len())?,
            time: dos_time(metadata.mtime()),
            mode: metadata.mode(),
        };
        out.extend(b"PK\x03\x04");
        out.extend(20u16.to_le_bytes());
        head(&mut out, &entry);
        out.extend(&entry.name);
        out.extend(packed);
        entries.push(entry);
    }
    let start = limited(out.len())?;
    for entry in &entries {
        out.extend(b"PK\x01\x02");
        out.extend(0x0314u16.to_le_bytes());
        out.extend(20u16.to_le_bytes());
        head(&mut out, entry);
        out.extend([0; 2 + 2 + 2]); // comment, disk, internal attributes
        out.extend((entry.mode << 16).to_le_bytes());
        out.extend(entry.offset.to_le_bytes());
        out.extend(&entry.name);
    }
    let length = limited(out.len())? - start;
    let count =
        u16::try_from(entries.len()).map_err(|_| io::Error::other("too many files for this zip; use tar"))?;
    out.extend(b"PK\x05\x06");
    out.extend([0; 4]);
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    Ok(out)
}

/// What both headers of an entry have in common.
fn head(out: &mut Vec<u8>, entry: &Entry) {
    out.extend(0x0800u16.to_le_bytes());
    out.extend(8u16.to_le_bytes());
    out.extend(entry.time.1.to_le_bytes());
    out.extend(entry.time.0.to_le_bytes());
    out.extend(entry.crc.to_le_bytes());
    out.extend(entry.packed.to_le_bytes());
    out.extend(entry.size.to_le_bytes());
    out.extend((entry.name.len() as u16).to_le_bytes());
    out.extend(0u16.to_le_bytes());
}

/// Date and time of MS-DOS, in UTC.
fn dos_time(seconds: i64) -> (u16, u16) {
    let at = jiff::Timestamp::from_second(seconds).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    let year = (at.year() - 1980).clamp(0, 127) as u16;
    let date = (year << 9) | ((at.month() as u16) << 5) | at.day() as u16;
    let time = ((at.hour() as u16) << 11) | ((at.minute() as u16) << 5) | ((at.second() as u16) / 2);
    (date, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_the_same_twice_and_can_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        std::fs::write(&path, "hello").unwrap();
        let members = [Member { path, name: "d/f".into(), is_file: true }];
        for format in ["tar", "gz", "bz2", "xz", "zip"] {
            let bytes = archive(format, &members).unwrap();
            assert_eq!(bytes, archive(format, &members).unwrap(), "{format}");
            let mut seen = Vec::new();
            let mut reader: Box<dyn crate::module::Reader> = Box::new(io::Cursor::new(bytes));
            let kind = crate::system::archive::recognise(&mut *reader).unwrap().unwrap();
            crate::system::archive::each(kind, reader, &mut |member, content| {
                let mut text = String::new();
                content.read_to_string(&mut text)?;
                seen.push((member.name.clone(), text));
                Ok(())
            })
            .unwrap();
            assert_eq!(seen.len(), 1, "{format}");
            assert_eq!(seen[0].1, "hello", "{format}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(dos_time(0), (33, 0));
        assert_eq!(dos_time(1_000_000_000), (0x2b29, 0x0dd4));
    }
}
