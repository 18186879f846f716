//! The command lines, as transcripts: what is typed, what is said, how it ends.
//!
//! In: `tests/cli/*.txt`. A scene begins with `== TITLE` in an empty directory; `$ COMMAND` is a line for bash,
//! lines after it are what it prints (`! ` before standard error), and `? N` is its exit status where that is not 0.
//!
//! Files whose names begin with `ansible` were recorded with ansible-core 2.19 (`QUORATE_RECORD=DIR` with its programs),
//! so they hold what it says and not what we think of it. The others are recorded with `QUORATE_RECORD=self`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panic, as tests do")]

mod secrets;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn transcripts() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let mut failures = String::new();
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&here).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let record = std::env::var("QUORATE_RECORD").ok();
        let ours = links();
        let programs = match record.as_deref() {
            Some("self") if name.starts_with("ansible") => continue,
            None | Some("self") => ours.path().to_path_buf(),
            Some(_) if !name.starts_with("ansible") => continue,
            Some(dir) => PathBuf::from(dir),
        };
        let said = perform(&text, &programs);
        if record.is_some() {
            std::fs::write(&file, &said).unwrap();
        } else if said != text {
            write!(failures, "{}", difference(&name, &text, &said)).unwrap();
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// The catalogue, one code a row; `docs/reference/errors.md` is written from the program's own table.
const CATALOGUE: &str = include_str!("../../docs/reference/errors.md");

/// Every code but the guard's (`crates/etcd` brings those about) is said in a scene of `codes.txt` that is named after it.
#[test]
fn every_code_has_a_scene_that_brings_it_about() {
    let scenes = include_str!("codes.txt");
    let codes = CATALOGUE.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let codes: Vec<&str> = codes.map(|(code, _)| code).filter(|code| code.len() == 5).collect();
    assert!(codes.len() > 80, "{codes:?}");
    let missing: Vec<&&str> = codes
        .iter()
        .filter(|code| !code.starts_with('G'))
        .filter(|code| {
            let scene = scenes
                .trim_start_matches("== ")
                .split("\n== ")
                .find(|scene| scene.lines().next() == Some(**code));
            // said by the program: the lines it printed
            let said = |scene: &str| {
                scene.lines().any(|line| line.starts_with(['!', ' ']) && line.contains(&format!("[{code}]")))
            };
            !scene.is_some_and(said)
        })
        .collect();
    assert!(missing.is_empty(), "no scene of tests/cli/codes.txt brings about {missing:?}");
    let unknown: Vec<&str> = scenes
        .lines()
        .filter_map(|line| line.strip_prefix("== "))
        .filter(|title| !codes.contains(title))
        .collect();
    assert!(unknown.is_empty(), "scenes of codes that no message has: {unknown:?}");
}

/// `quorate help` has a page for each.
#[test]
fn every_code_has_a_page() {
    for line in CATALOGUE.lines() {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let (Some(code), Some(what), Some(remedy)) = (cells.next(), cells.next(), cells.next()) else {
            continue;
        };
        if code.len() != 5 || !code[1..].bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let run = Command::new(env!("CARGO_BIN_EXE_quorate")).args(["help", code]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&run.stdout), format!("{code}: {what}\n\n{remedy}\n"));
        assert!(run.status.success());
    }
}

/// A directory with this program under all of its names.
fn links() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let names = [
        "quorate",
        "ansible",
        "ansible-playbook",
        "ansible-inventory",
        "ansible-vault",
        "ansible-doc",
        "ansible-config",
    ];
    for name in names {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_quorate"), dir.path().join(name)).unwrap();
    }
    dir
}

/// Runs every command of a transcript and writes down what it says.
fn perform(text: &str, programs: &Path) -> String {
    let mut out = String::new();
    let mut place = tempfile::tempdir().unwrap();
    for line in text.lines() {
        if line.starts_with("== ") {
            place = tempfile::tempdir().unwrap();
        }
        if line.starts_with("== ") || line.starts_with('#') {
            if line.starts_with("== ") && !out.is_empty() {
                out.push('\n');
            }
            writeln!(out, "{line}").unwrap();
            continue;
        }
        let Some(command) = line.strip_prefix("$ ") else { continue };
        writeln!(out, "{line}").unwrap();
        // a home of its own, so that no settings of whoever runs this play a part
        let run = Command::new("bash")
            .args(["-c", command])
            .current_dir(place.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", programs.display()))
            .env("HOME", place.path())
            .env("LC_ALL", "C.UTF-8")
            .env("COLUMNS", "80")
            .env("ANSIBLE_NOCOLOR", "1")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let tidy = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(&place.path().display().to_string(), "HERE");
            // runs have names of chance, and began when they began
            let names = fancy_regex::Regex::new(r"(--resume |\brun )[0-9a-f]{4,16}\b").unwrap();
            let times = fancy_regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(  | · )\d+\.\ds").unwrap();
            let listed = fancy_regex::Regex::new(r"(?m)^[0-9a-f]{4,16}  WHEN").unwrap();
            let text = times.replace_all(&names.replace_all(&text, "${1}RUN"), "WHEN${1}TOOK").into_owned();
            listed.replace_all(&text, "RUN   WHEN").into_owned()
        };
        for line in tidy(&run.stdout).lines() {
            writeln!(out, "{}", format!("  {line}").trim_end()).unwrap();
        }
        for line in tidy(&run.stderr).lines() {
            writeln!(out, "{}", format!("! {line}").trim_end()).unwrap();
        }
        if !run.status.success() {
            writeln!(out, "? {}", run.status.code().map_or(-1, |code| code)).unwrap();
        }
    }
    out
}

/// The commands that said something else.
fn difference(name: &str, wanted: &str, said: &str) -> String {
    let blocks = |text: &str| {
        let mut blocks: Vec<String> = Vec::new();
        for line in text.lines() {
            if line.starts_with("$ ") || blocks.is_empty() {
                blocks.push(String::new());
            }
            let block = blocks.last_mut().expect("just put");
            block.push_str(line);
            block.push('\n');
        }
        blocks
    };
    let mut out = String::new();
    for (wanted, said) in blocks(wanted).iter().zip(blocks(said)) {
        if *wanted != said {
            write!(out, "--- {name}: wanted\n{wanted}--- said\n{said}\n").unwrap();
        }
    }
    out
}
