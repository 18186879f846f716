//! The relay behind a delay: frames go from one tap to the other, each after the same time, in order.
//!
//! **Invariant:** never reorders, and drops only when more than [`MAX_QUEUED`] bytes wait, as a full buffer in
//! a real network would.
#![expect(unsafe_code, reason = "naming a tap device is an ioctl that no safe crate here offers")]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// 64 MiB each way: half a gigabit per second at a delay of one second.
const MAX_QUEUED: usize = 64 << 20;

/// The largest frame a tap hands over.
const FRAME: usize = 65_536;

/// The relay process: `CGROUP_PROCS INNER OUTER MILLISECONDS`. Returns only when something is wrong.
pub(crate) fn relay(args: &[OsString]) -> io::Result<()> {
    let usage =
        || io::Error::new(io::ErrorKind::InvalidInput, "usage: CGROUP_PROCS INNER OUTER MILLISECONDS");
    let [procs, inner, outer, milliseconds] = args else { return Err(usage()) };
    let milliseconds: u64 = milliseconds.to_str().and_then(|m| m.parse().ok()).ok_or_else(usage)?;
    std::fs::write(procs, std::process::id().to_string())?;
    let inner = open_tap(inner.to_str().ok_or_else(usage)?)?;
    let outer = open_tap(outer.to_str().ok_or_else(usage)?)?;
    pass_on(&inner, &outer, Duration::from_millis(milliseconds))
}

fn open_tap(name: &str) -> io::Result<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    // SAFETY: an ifreq of zeroes is a valid value of a plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of a device is too long"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which lives until the call returns; the descriptor is open.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    rustix::io::ioctl_fionbio(&file, true)?;
    Ok(file)
}

/// Frames on their way in one direction.
#[derive(Default)]
struct Pipe {
    waiting: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
}

impl Pipe {
    fn take_in(&mut self, from: &File, delay: Duration, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match rustix::io::read(from, &mut *buffer) {
                Ok(length) if self.bytes + length <= MAX_QUEUED => {
                    self.waiting.push_back((Instant::now() + delay, buffer[..length].to_vec()));
                    self.bytes += length;
                }
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn let_out(&mut self, to: &File) -> io::Result<()> {
        while let Some((due, frame)) = self.waiting.front() {
            if *due > Instant::now() {
                return Ok(());
            }
            match rustix::io::write(to, frame) {
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                // A device that is just being taken down loses frames, as a cable would.
                Err(Errno::IO | Errno::NOBUFS | Errno::INVAL) => {}
                Err(errno) => return Err(errno.into()),
            }
            self.bytes -= frame.len();
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn due_in(&self) -> Option<Duration> {
        self.waiting.front().map(|(due, _)| due.saturating_duration_since(Instant::now()))
    }
}

fn pass_on(inner: &File, outer: &File, delay: Duration) -> io::Result<()> {
    let (mut outward, mut inward) = (Pipe::default(), Pipe::default());
    let mut buffer = vec![0u8; FRAME];
    loop {
        let next = outward.due_in().into_iter().chain(inward.due_in()).min();
        let timeout = next
            .map(|d| Timespec { tv_sec: d.as_secs() as i64, tv_nsec: d.subsec_nanos().max(50_000).into() });
        let mut ends = [
            PollFd::from_borrowed_fd(inner.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(outer.as_fd(), PollFlags::IN),
        ];
        match poll(&mut ends, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        outward.take_in(inner, delay, &mut buffer)?;
        inward.take_in(outer, delay, &mut buffer)?;
        outward.let_out(outer)?;
        inward.let_out(inner)?;
    }
}
