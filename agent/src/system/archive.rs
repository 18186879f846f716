//! Reading archives: tar, plain or compressed by gzip, bzip2, xz or zstd, and zip.
//!
//! In: a reader. Out: [`Member`]s, one after the other, with their content.
//!
//! **Invariant:** nothing is written here, and sizes that an archive claims are never allocated at once.

mod zip;

use crate::module::Reader;
use std::io::{self, BufReader, Read, SeekFrom};

/// What an archive is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Uncompressed tar.
    Tar,
    /// tar in gzip.
    Gzip,
    /// tar in bzip2.
    Bzip2,
    /// tar in xz.
    Xz,
    /// tar in Zstandard.
    Zstd,
    /// zip.
    Zip,
}

impl Format {
    /// The name that Ansible has for what handles it.
    pub fn handler(self) -> &'static str {
        match self {
            Format::Tar => "TarArchive",
            Format::Gzip => "TgzArchive",
            Format::Bzip2 => "TarBzipArchive",
            Format::Xz => "TarXzArchive",
            Format::Zstd => "TarZstdArchive",
            Format::Zip => "ZipArchive",
        }
    }
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, with what it leads to.
    Link(String),
    /// Another name of an earlier member.
    Hard(String),
    /// A device or pipe.
    Special,
}

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name as the archive has it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, where the archive has them.
    pub mode: Option<u32>,
    /// Owner, where the archive has one.
    pub owner: Option<Owner>,
    /// Modification time, in seconds since the epoch.
    pub mtime: i64,
    /// Size of its content.
    pub size: u64,
}

/// Who owns a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name, empty if unknown.
    pub user: String,
    /// Group name, empty if unknown.
    pub group: String,
}

/// What is done with each member.
pub type Visit<'a> = &'a mut dyn FnMut(&Member, &mut dyn Read) -> io::Result<()>;

/// Recognises an archive; nothing where it is none.
pub fn recognise(from: &mut dyn Reader) -> io::Result<Option<Format>> {
    let mut head = Vec::new();
    from.seek(SeekFrom::Start(0))?;
    (&mut *from).take(512).read_to_end(&mut head)?;
    from.seek(SeekFrom::Start(0))?;
    let starts = |magic: &[u8]| head.starts_with(magic);
    Ok(if starts(&[0x1f, 0x8b]) {
        Some(Format::Gzip)
    } else if starts(b"BZh") {
        Some(Format::Bzip2)
    } else if starts(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        Some(Format::Xz)
    } else if starts(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Some(Format::Zstd)
    } else if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        Some(Format::Zip)
    } else if is_tar_header(&head) {
        Some(Format::Tar)
    } else {
        None
    })
}

/// Old tar has no magic; its checksum is as good.
fn is_tar_header(head: &[u8]) -> bool {
    let Some(field) = head.get(148..156).filter(|_| head.len() == 512) else { return false };
    let text = String::from_utf8_lossy(field);
    let Ok(stored) = u32::from_str_radix(text.trim_matches(['\0', ' ']), 8) else {
        return head.iter().all(|byte| *byte == 0);
    };
    let sum: u32 = head
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    sum == stored
}

/// Visits each member in the archive's order.
pub fn each(format: Format, from: Box<dyn Reader>, visit: Visit<'_>) -> io::Result<()> {
    match format {
        Format::Zip => zip::each(from, visit),
        Format::Tar => each_tar(BufReader::new(from), visit),
        Format::Gzip => each_tar(flate2::read::MultiGzDecoder::new(BufReader::new(from)), visit),
        Format::Bzip2 => each_tar(bzip2::read::MultiBzDecoder::new(BufReader::new(from)), visit),
        Format::Zstd => {
            let decoder =
                ruzstd::decoding::StreamingDecoder::new(BufReader::new(from)).map_err(io::Error::other)?;
            each_tar(decoder, visit)
        }
        Format::Xz => unpacked_xz(from, visit),
    }
}

/// The xz decoder writes instead of being read, so the tar goes through a file without a name.
fn unpacked_xz(from: Box<dyn Reader>, visit: Visit<'_>) -> io::Result<()> {
    let mut file = nameless_file()?;
    lzma_rs::xz_decompress(&mut BufReader::new(from), &mut io::BufWriter::new(&mut file))
        .map_err(io::Error::other)?;
    io::Seek::rewind(&mut file)?;
    each_tar(BufReader::new(file), visit)
}

fn nameless_file() -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let path = std::env::temp_dir().join(format!("quorate-{}-{now}.tar", std::process::id()));
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn each_tar(from: impl Read, visit: Visit<'_>) -> io::Result<()> {
    let mut archive = tar::Archive::new(from);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let header = entry.header().clone();
        let link = || -> io::Result<String> {
            let name = entry.link_name_bytes().ok_or_else(|| io::Error::other("a link leads nowhere"))?;
            Ok(String::from_utf8_lossy(&name).into_owned())
        };
        let kind = match header.entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => Kind::File,
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Link(link()?),
            tar::EntryType::Link => Kind::Hard(link()?),
            tar::EntryType::XGlobalHeader => continue,
            _ => Kind::Special,
        };
        let text =
            |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // Old archives write directories as files whose names end with a slash.
        let kind = if kind == Kind::File && name.ends_with('/') { Kind::Directory } else { kind };
        let member = Member {
            name,
            kind,
            mode: Some(header.mode()? & 0o7777),
            // Some writers leave these fields empty.
            owner: header.uid().ok().zip(header.gid().ok()).map(|(uid, gid)| Owner {
                uid: uid as u32,
                gid: gid as u32,
                user: text(header.username_bytes()),
                group: text(header.groupname_bytes()),
            }),
            mtime: header.mtime().unwrap_or_default() as i64,
            size: entry.size(),
        };
        visit(&member, &mut entry)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(format: Format, bytes: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        let reader = Box::new(io::Cursor::new(bytes.to_vec()));
        each(format, reader, &mut |member, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            names.push(format!("{}={text}", member.name));
            Ok(())
        })
        .unwrap();
        names
    }

    fn tar_bytes() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, "a/b", b"one".as_slice()).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn tars_in_every_wrapping() {
        use std::io::Write as _;
        let plain = tar_bytes();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip.write_all(&plain).unwrap();
        let mut xz = Vec::new();
        lzma_rs::xz_compress(&mut plain.as_slice(), &mut xz).unwrap();
        let zstd =
            ruzstd::encoding::compress_to_vec(plain.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        for (format, bytes) in [
            (Format::Tar, plain.clone()),
            (Format::Gzip, gzip.finish().unwrap()),
            (Format::Bzip2, bzip.finish().unwrap()),
            (Format::Xz, xz),
            (Format::Zstd, zstd),
        ] {
            assert_eq!(recognise(&mut io::Cursor::new(bytes.clone())).unwrap(), Some(format));
            assert_eq!(names(format, &bytes), ["a/b=one"], "{format:?}");
        }
        assert_eq!(recognise(&mut io::Cursor::new(b"junk".to_vec())).unwrap(), None);
    }
}
