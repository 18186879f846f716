//! The keeper: a tracer that rewrites the vDSO of every program of a host, now and whenever one starts.
//!
//! It holds the host with the cgroup freezer while it rewrites, so that all programs step at one moment and
//! none stands inside the bytes that change. It follows forks and execs by ptrace, and lets everything else
//! pass. On SIGTERM it restores the kernel's own code and ends.
#![expect(unsafe_code, reason = "ptrace and signal handlers have no safe interface")]

use super::patch::{Patch, patches};
use crate::cgroup;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn on_term(_: libc::c_int) {
    STOP.store(true, Ordering::SeqCst);
}

/// The keeper process: `CGROUP_PROCS PAYLOAD READY MILLISECONDS`. Ends on SIGTERM.
pub(crate) fn keep(args: &[OsString]) -> io::Result<()> {
    let usage =
        || io::Error::new(io::ErrorKind::InvalidInput, "usage: CGROUP_PROCS PAYLOAD READY MILLISECONDS");
    let [procs, payload, ready, milliseconds] = args else { return Err(usage()) };
    let milliseconds: i64 = milliseconds.to_str().and_then(|m| m.parse().ok()).ok_or_else(usage)?;
    fs::write(procs, std::process::id().to_string())?;
    let (_, original) = own_vdso()?;
    let patches = patches(&original, milliseconds).map_err(io::Error::other)?;
    listen_for_term()?;

    let payload = Path::new(payload);
    while !STOP.load(Ordering::SeqCst) {
        if cgroup::populated(&payload.join("init.scope")) {
            match step(payload, &patches, true) {
                Ok(()) => {
                    fs::write(ready, "")?;
                    follow(&patches)?;
                }
                // Switched off in the middle.
                Err(_) if !payload.exists() => {}
                Err(e) => return Err(e),
            }
        }
        // The host is off, or between two boots: a real clock stays wrong over a reboot too.
        std::thread::sleep(Duration::from_millis(20));
    }
    let restore: Vec<Patch> = patches
        .iter()
        .map(|p| Patch { at: p.at, code: original[p.at..p.at + p.code.len()].to_vec() })
        .collect();
    match step(payload, &restore, false) {
        Err(e) if payload.exists() => Err(e),
        _ => Ok(()),
    }
}

fn listen_for_term() -> io::Result<()> {
    // SAFETY: a sigaction of zeroes is valid (no flags, so system calls are interrupted); the handler only
    // stores to an atomic, which is safe in a signal handler.
    let done = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_term as extern "C" fn(libc::c_int) as usize;
        libc::sigaction(libc::SIGTERM, &raw const action, std::ptr::null_mut())
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Rewrites every program of the host at one moment, and begins to trace it when asked to.
fn step(payload: &Path, patches: &[Patch], trace: bool) -> io::Result<()> {
    for attempt in 0.. {
        let was_frozen = cgroup::frozen(payload);
        cgroup::set_frozen(payload, true).map_err(io::Error::other)?;
        let done = step_frozen(payload, patches, trace);
        if !was_frozen {
            cgroup::set_frozen(payload, false).map_err(io::Error::other)?;
        }
        if done? || !payload.exists() {
            return Ok(());
        }
        if attempt == 200 {
            return Err(io::Error::other("a program never leaves the functions that should change"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// False when a thread stands inside the bytes that should change: nothing was written then.
fn step_frozen(payload: &Path, patches: &[Patch], trace: bool) -> io::Result<bool> {
    let mut programs = Vec::new();
    for pid in cgroup::processes(payload).into_iter().collect::<BTreeSet<i32>>() {
        let Some(start) = vdso_of(pid) else { continue };
        for thread in threads(pid) {
            if trace {
                seize(thread)?;
            }
            let inside = |p: &Patch| {
                let code = start + p.at as u64..start + (p.at + p.code.len()) as u64;
                instruction(pid, thread).is_some_and(|ip| code.contains(&ip))
            };
            if patches.iter().any(inside) {
                return Ok(false);
            }
        }
        programs.push((pid, start));
    }
    for (pid, start) in programs {
        write(pid, start, patches);
    }
    Ok(true)
}

/// Lets the traced programs run and rewrites each new one, until all have ended or SIGTERM comes.
fn follow(patches: &[Patch]) -> io::Result<()> {
    while !STOP.load(Ordering::SeqCst) {
        let mut status = 0;
        // SAFETY: waitpid writes one integer, which lives until the call returns.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL) };
        if pid < 0 {
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::ECHILD) => return Ok(()),
                _ => return Err(io::Error::last_os_error()),
            }
        }
        if !libc::WIFSTOPPED(status) {
            continue;
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        match event {
            libc::PTRACE_EVENT_EXEC => {
                if let Some(start) = vdso_of(pid) {
                    write(pid, start, patches);
                }
                resume(libc::PTRACE_CONT, pid, 0);
            }
            // A stop by SIGSTOP and its kind has to last; the stop of a new child does not.
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => resume(libc::PTRACE_LISTEN, pid, 0),
            0 => resume(libc::PTRACE_CONT, pid, signal),
            _ => resume(libc::PTRACE_CONT, pid, 0),
        }
    }
    Ok(())
}

fn resume(request: libc::c_uint, pid: i32, signal: i32) {
    // A program that has just been killed cannot be resumed, and need not be.
    // SAFETY: neither request reads or writes memory of this process.
    unsafe { libc::ptrace(request, pid, std::ptr::null_mut::<libc::c_void>(), signal as usize) };
}

fn seize(thread: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE;
    // SAFETY: PTRACE_SEIZE takes its options by value and touches no memory of this process.
    let done = unsafe {
        libc::ptrace(libc::PTRACE_SEIZE, thread, std::ptr::null_mut::<libc::c_void>(), options as usize)
    };
    if done == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Gone, or ours from an earlier attempt.
        e if matches!(e.raw_os_error(), Some(libc::ESRCH)) || traced_by_us(thread) => Ok(()),
        e => Err(e),
    }
}

fn traced_by_us(thread: i32) -> bool {
    let me = format!("TracerPid:\t{}", std::process::id());
    fs::read_to_string(format!("/proc/{thread}/status")).is_ok_and(|text| text.lines().any(|l| l == me))
}

fn threads(pid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

/// Where a stopped thread stands: the last field of `/proc/<pid>/task/<tid>/syscall`.
fn instruction(pid: i32, thread: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/syscall")).ok()?;
    let last = text.split_whitespace().next_back()?.strip_prefix("0x")?.to_owned();
    u64::from_str_radix(&last, 16).ok()
}

/// Writes the patches into a program. One that has just ended, or is of another kind, is left alone.
fn write(pid: i32, start: u64, patches: &[Patch]) {
    let Ok(memory) = fs::OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")) else {
        return;
    };
    let mut class = [0u8; 5];
    if memory.read_exact_at(&mut class, start).is_err() || &class != b"\x7fELF\x02" {
        return;
    }
    for patch in patches {
        drop(memory.write_all_at(&patch.code, start + patch.at as u64));
    }
}

fn vdso_of(pid: i32) -> Option<u64> {
    vdso_range(&fs::read_to_string(format!("/proc/{pid}/maps")).ok()?).map(|(start, _)| start)
}

fn vdso_range(maps: &str) -> Option<(u64, u64)> {
    let line = maps.lines().find(|l| l.ends_with("[vdso]"))?;
    let (start, end) = line.split_whitespace().next()?.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

/// This process's own vDSO: the kernel gives every 64-bit program the same one.
pub(super) fn own_vdso() -> io::Result<(u64, Vec<u8>)> {
    let none = || io::Error::other("this kernel gives programs no vDSO");
    let (start, end) = vdso_range(&fs::read_to_string("/proc/self/maps")?).ok_or_else(none)?;
    let mut bytes = vec![0; (end - start) as usize];
    fs::File::open("/proc/self/mem")?.read_exact_at(&mut bytes, start)?;
    Ok((start, bytes))
}
