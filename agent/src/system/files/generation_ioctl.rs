//! One ioctl that no library offers: a file's generation number.
#![expect(unsafe_code, reason = "an ioctl number and its type can only be promised, not checked")]

use rustix::fd::AsFd;
use rustix::ioctl::{Getter, ioctl, opcode};

/// `FS_IOC_GETVERSION`.
const GET_VERSION: rustix::ioctl::Opcode = opcode::read::<libc_long>(b'v', 1);

/// The kernel declares a `long`, and writes an `int`.
#[expect(non_camel_case_types, reason = "C's own name")]
type libc_long = std::ffi::c_long;

/// The generation number, where the file system keeps one.
pub(super) fn generation(file: &impl AsFd) -> Option<u32> {
    // SAFETY: FS_IOC_GETVERSION writes at most a `long` to the address it is given, which `Getter` provides.
    let version = unsafe { ioctl(file, Getter::<GET_VERSION, libc_long>::new()) }.ok()?;
    Some(version as u32)
}
