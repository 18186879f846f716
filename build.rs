//! Builds the helper as a static binary and packs it, so that the controller carries it.
//!
//! `QUORATE_HELPER=path` takes a ready one instead (packagers, other machines' helpers).

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    for path in ["agent/src", "agent/Cargo.toml", "crates/value/src", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    project(&root, &out);
    println!("cargo::rerun-if-env-changed=QUORATE_HELPER");
    println!("cargo::rustc-env=QUORATE_HELPER_ARCH={arch}");
    let binary = match std::env::var_os("QUORATE_HELPER") {
        Some(path) => PathBuf::from(path),
        None => build(&root, &out),
    };
    let bytes =
        std::fs::read(&binary).unwrap_or_else(|e| panic!("cannot read the helper {}: {e}", binary.display()));
    let file = std::fs::File::create(out.join("helper.gz")).expect("OUT_DIR is writable");
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::best());
    packer.write_all(&bytes).expect("OUT_DIR is writable");
    packer.finish().expect("OUT_DIR is writable");
}

/// The playbooks and roles that `quorate init` writes, as a table of paths and texts.
fn project(root: &Path, out: &Path) {
    let mut files = Vec::new();
    for dir in ["playbooks", "roles"] {
        println!("cargo::rerun-if-changed={}", root.join(dir).display());
        collect(&root.join(dir), &mut files);
    }
    files.sort();
    let mut table = String::from("pub(super) const PROJECT: &[(&str, &str)] = &[\n");
    for path in files {
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        table.push_str(&format!("    ({name:?}, include_str!({:?})),\n", path.display().to_string()));
    }
    table.push_str("];\n");
    std::fs::write(out.join("project.rs"), table).expect("OUT_DIR is writable");
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("the folder is part of the sources").flatten() {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match path.is_dir() {
            _ if hidden => {}
            true if path.ends_with("playbooks/files") => {}
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

fn build(root: &Path, out: &Path) -> PathBuf {
    let target = std::env::var("TARGET").expect("cargo sets it");
    // a target directory of its own, kept between builds: the outer cargo holds the lock of the other one
    let dir = out.ancestors().nth(4).unwrap_or(out).join("helper-build");
    let status = Command::new(std::env::var_os("CARGO").expect("cargo sets it"))
        .current_dir(root)
        .args([
            "build",
            "--package",
            "quorate-agent",
            "--bin",
            "quorate-agent",
            "--profile",
            "helper",
            // without the reference texts, which only the controller shows
            "--no-default-features",
            "--features",
            "https",
            "--target",
            &target,
        ])
        .arg("--target-dir")
        .arg(&dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static -C relocation-model=static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // an outer `cargo clippy` must not lint the helper a second time
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CLIPPY_ARGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the helper does not build");
    dir.join(&target).join("helper").join("quorate-agent")
}
