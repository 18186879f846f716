//! Facts: what a host is. One file a family; each answers from files and system calls, seldom from a program.
//!
//! In: a [`Host`], which is a directory tree and what runs on it. Out: mappings with Ansible's names, without
//! their `ansible_` in front.
//!
//! **Invariant:** looking changes nothing, and a file that is missing or odd is never an error.
//!
//! Not here: which families a task asked for (`modules::setup`).

pub mod distribution;
pub mod hardware;
pub mod local;
pub mod network;
pub mod packages;
pub mod platform;
pub mod security;
pub mod service_manager;
pub mod software;
pub mod surroundings;
pub mod virtualization;

use crate::system::process::{self, Command};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is looked at: this host, or for tests a directory that has the files of another one.
#[derive(Debug, Clone)]
pub struct Host {
    root: PathBuf,
    environment: Vec<(String, String)>,
    timeout: Duration,
}

impl Host {
    /// This host; programs get `environment` and are given up after `timeout`.
    pub fn here(environment: &[(String, String)], timeout: Duration) -> Self {
        Host { root: "/".into(), environment: environment.to_vec(), timeout }
    }

    /// A tree of files without anything running.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Host { root: root.into(), environment: Vec::new(), timeout: Duration::from_secs(1) }
    }

    /// Whether this is the host we run on, so that system calls and programs tell about it.
    pub fn is_live(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The task's environment.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// How long one question may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A path of the host where we see it.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text; nothing if it cannot be read.
    pub fn read(&self, path: &str) -> Option<String> {
        std::fs::read(self.path(path)).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file's text without white space around it; nothing if that is all there is.
    pub fn line(&self, path: &str) -> Option<String> {
        self.read(path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Whether anything is there.
    pub fn exists(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// Where a symbolic link points.
    pub fn link(&self, path: &str) -> Option<String> {
        std::fs::read_link(self.path(path)).ok().map(|target| target.to_string_lossy().into_owned())
    }

    /// The names in a directory, in the order the file system has them.
    pub fn list(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Where a program is, if it is installed.
    pub fn program(&self, name: &str) -> Option<String> {
        if self.is_live() {
            return process::which(name, &self.environment);
        }
        ["/sbin", "/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/bin", "/bin"]
            .iter()
            .map(|directory| format!("{directory}/{name}"))
            .find(|file| self.exists(file))
    }

    /// What a program prints; nothing if it is not there, fails, or takes too long.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> Option<String> {
        if !self.is_live() {
            return None;
        }
        let command = Command::new([self.program(program)?])
            .args(arguments.iter().copied())
            .envs(&self.environment)
            .env("LC_ALL", "C")
            .timeout(self.timeout);
        let output = command.run_quietly().ok()?;
        (output.ok() && !output.timed_out).then(|| output.stdout_text())
    }
}
