//! Reading zip: the central directory, then each member's data, stored or deflated.
//!
//! Not here: encryption, archives over several disks, other compressions; each is a clear error.

use super::{Kind, Member, Visit};
use crate::module::Reader;
use std::io::{self, BufReader, Read, SeekFrom};

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this zip archive is damaged: {what}"))
}

fn number(bytes: &[u8], at: usize, length: usize) -> io::Result<u64> {
    let field = bytes.get(at..at + length).ok_or_else(|| bad("it ends too early"))?;
    Ok(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

struct Entry {
    member: Member,
    method: u64,
    packed: u64,
    crc: u64,
    offset: u64,
    encrypted: bool,
}

/// The largest central directory that is read; millions of members fit.
const LARGEST_DIRECTORY: u64 = 512 << 20;

pub(super) fn each(mut from: Box<dyn Reader>, visit: Visit<'_>) -> io::Result<()> {
    for entry in directory(&mut *from)? {
        if entry.encrypted {
            return Err(io::Error::other(format!("{} is encrypted", entry.member.name)));
        }
        let mut header = [0; 30];
        from.seek(SeekFrom::Start(entry.offset))?;
        from.read_exact(&mut header)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(bad("a member is not where it should be"));
        }
        let skip = number(&header, 26, 2)? + number(&header, 28, 2)?;
        from.seek(SeekFrom::Current(skip as i64))?;
        let data = BufReader::new((&mut *from).take(entry.packed));
        let mut member = entry.member;
        let mut content: Box<dyn Read + '_> = match entry.method {
            0 => Box::new(data),
            8 => Box::new(flate2::read::DeflateDecoder::new(data)),
            method => {
                return Err(io::Error::other(format!("{} is compressed by method {method}", member.name)));
            }
        };
        if let Kind::Link(target) = &mut member.kind {
            let mut bytes = Vec::new();
            content.take(4096).read_to_end(&mut bytes)?;
            *target = String::from_utf8_lossy(&bytes).into_owned();
            visit(&member, &mut io::empty())?;
            continue;
        }
        let mut checked =
            Checked { content: &mut content, crc: flate2::Crc::new(), expected: entry.crc as u32 };
        visit(&member, &mut checked)?;
    }
    Ok(())
}

/// Fails at the end of content whose checksum is wrong.
struct Checked<'a> {
    content: &'a mut dyn Read,
    crc: flate2::Crc,
    expected: u32,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.crc.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.crc.sum() != self.expected {
            return Err(bad("a checksum is wrong"));
        }
        Ok(count)
    }
}

fn directory(from: &mut dyn Reader) -> io::Result<Vec<Entry>> {
    let length = from.seek(SeekFrom::End(0))?;
    let tail_length = length.min(65_557);
    from.seek(SeekFrom::Start(length - tail_length))?;
    let mut tail = Vec::new();
    (&mut *from).take(tail_length).read_to_end(&mut tail)?;
    let at =
        tail.windows(4).rposition(|window| window == b"PK\x05\x06").ok_or_else(|| bad("it has no end"))?;
    let end = &tail[at..];
    let (mut count, mut size, mut offset) = (number(end, 10, 2)?, number(end, 12, 4)?, number(end, 16, 4)?);
    if count == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff {
        let locator =
            at.checked_sub(20).and_then(|at| tail.get(at..)).filter(|it| it.starts_with(b"PK\x06\x07"));
        if let Some(locator) = locator {
            from.seek(SeekFrom::Start(number(locator, 8, 8)?))?;
            let mut end = [0; 56];
            from.read_exact(&mut end)?;
            (count, size, offset) = (number(&end, 32, 8)?, number(&end, 40, 8)?, number(&end, 48, 8)?);
        }
    }
    if size > LARGEST_DIRECTORY || offset > length {
        return Err(bad("its directory cannot be where it says"));
    }
    from.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    (&mut *from).take(size).read_to_end(&mut bytes)?;
    let (mut entries, mut rest) = (Vec::new(), bytes.as_slice());
    while entries.len() as u64 != count && rest.starts_with(b"PK\x01\x02") {
        let (entry, length) = parse(rest)?;
        entries.push(entry);
        rest = rest.get(length..).ok_or_else(|| bad("it ends too early"))?;
    }
    Ok(entries)
}

fn parse(bytes: &[u8]) -> io::Result<(Entry, usize)> {
    let (name_length, extra_length, comment) =
        (number(bytes, 28, 2)? as usize, number(bytes, 30, 2)? as usize, number(bytes, 32, 2)? as usize);
    let name = bytes.get(46..46 + name_length).ok_or_else(|| bad("it ends too early"))?;
    let name = String::from_utf8_lossy(name).into_owned();
    let extra = bytes
        .get(46 + name_length..46 + name_length + extra_length)
        .ok_or_else(|| bad("it ends too early"))?;
    let (mut packed, mut size, mut offset) =
        (number(bytes, 20, 4)?, number(bytes, 24, 4)?, number(bytes, 42, 4)?);
    let mut mtime = None;
    let mut fields = extra;
    while fields.len() >= 4 {
        let (id, length) = (number(fields, 0, 2)?, number(fields, 2, 2)? as usize);
        let Some(data) = fields.get(4..4 + length) else { break };
        match id {
            // Sizes beyond 32 bits, in this order, each only where its field was full.
            1 => {
                let mut at = 0;
                for value in [&mut size, &mut packed, &mut offset] {
                    if *value == 0xffff_ffff {
                        *value = number(data, at, 8)?;
                        at += 8;
                    }
                }
            }
            0x5455 if data.first().is_some_and(|flags| flags & 1 != 0) => {
                mtime = number(data, 1, 4).ok().map(|seconds| i64::from(seconds as u32 as i32));
            }
            _ => {}
        }
        fields = &fields[4 + length..];
    }
    let made_by = number(bytes, 5, 1)?;
    let mode = number(bytes, 38, 4)? >> 16;
    let unix = (made_by == 3 && mode != 0).then_some(mode as u32);
    let kind = match unix.map(|mode| mode & 0o170_000) {
        Some(0o120_000) => Kind::Link(String::new()),
        Some(0o040_000) => Kind::Directory,
        _ if name.ends_with('/') => Kind::Directory,
        _ => Kind::File,
    };
    let mtime = mtime
        .unwrap_or_else(|| dos_time(number(bytes, 14, 2).unwrap_or(0), number(bytes, 12, 2).unwrap_or(0)));
    let member = Member { name, kind, mode: unix.map(|mode| mode & 0o7777), owner: None, mtime, size };
    let entry = Entry {
        member,
        method: number(bytes, 10, 2)?,
        packed,
        crc: number(bytes, 16, 4)?,
        offset,
        encrypted: number(bytes, 8, 2)? & 1 != 0,
    };
    Ok((entry, 46 + name_length + extra_length + comment))
}

/// DOS date and time are local time.
fn dos_time(date: u64, time: u64) -> i64 {
    let civil = jiff::civil::DateTime::new(
        (1980 + (date >> 9)) as i16,
        (date >> 5 & 15) as i8,
        (date & 31) as i8,
        (time >> 11) as i8,
        (time >> 5 & 63) as i8,
        (2 * (time & 31)) as i8,
        0,
    );
    civil
        .ok()
        .and_then(|it| it.to_zoned(jiff::tz::TimeZone::system()).ok())
        .map_or(0, |it| it.timestamp().as_second())
}
