//! The two streams people see, and how wide and colourful they are. Nothing else in Quorate prints.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

/// Text attributes, by what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Plain.
    Plain,
    /// All is well.
    Ok,
    /// Something changed.
    Changed,
    /// Something was skipped.
    Skipped,
    /// Something failed.
    Error,
    /// Something to look at.
    Warning,
    /// Detail for the curious.
    Verbose,
    /// Removed lines of a diff.
    DiffMinus,
    /// Added lines of a diff.
    DiffPlus,
    /// Positions in a diff.
    DiffLines,
}

/// How to show things.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Whether to use colours.
    pub colour: bool,
    /// The width of a banner.
    pub columns: usize,
}

impl Look {
    /// As standard output and the environment ask for (`NO_COLOR`, `COLUMNS`, `ANSIBLE_FORCE_COLOR` by way of `force`).
    pub fn detect(no_colour: bool, force: bool) -> Self {
        use std::io::IsTerminal as _;
        let terminal = std::io::stdout().is_terminal();
        let columns = terminal
            .then(|| {
                rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col))
            })
            .flatten()
            .unwrap_or(0);
        Look { colour: force || (terminal && !no_colour), columns: columns.saturating_sub(1).max(79) }
    }

    /// Text in a tone.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Ok | Tone::DiffPlus => "0;32",
            Tone::Changed => "0;33",
            Tone::Skipped | Tone::DiffLines => "0;36",
            Tone::Error | Tone::DiffMinus => "0;31",
            Tone::Warning => "1;35",
            Tone::Verbose => "0;34",
        };
        if !self.colour {
            return text.to_owned();
        }
        let painted: Vec<String> =
            text.split('\n').map(|line| format!("\x1b[{code}m{line}\x1b[0m")).collect();
        painted.join("\n")
    }
}

/// What is drawn below the lines that scroll.
#[derive(Default)]
struct Region {
    /// As wanted.
    lines: Vec<String>,
    /// As it stands on the screen.
    drawn: Vec<String>,
    /// Somebody is being asked something: nothing is drawn over it.
    asking: bool,
}

static REGION: Mutex<Region> = Mutex::new(Region { lines: Vec::new(), drawn: Vec::new(), asking: false });

/// The last words have been said.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Says something, and nothing after it: the program ends at once, and what happens while it does is nobody's failure.
pub fn last_words(text: &str) {
    let text = displayable(&crate::secrets::scrub(text)).into_owned();
    let mut region = the_region();
    let drawn = std::mem::take(&mut region.drawn);
    if !drawn.is_empty() {
        let mut stdout = std::io::stdout().lock();
        write!(stdout, "{}", erased(&drawn, size().0)).and_then(|()| stdout.flush()).ok();
    }
    writeln!(std::io::stderr().lock(), "{text}").ok();
    log(&text);
    SILENT.store(true, Ordering::Relaxed);
}

fn is_silent() -> bool {
    SILENT.load(Ordering::Relaxed)
}

fn the_region() -> std::sync::MutexGuard<'static, Region> {
    REGION.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Takes the region off the screen, whatever width it has now: the text that does so.
pub(super) fn erased(drawn: &[String], columns: usize) -> String {
    use unicode_width::UnicodeWidthStr as _;
    if drawn.is_empty() {
        return String::new();
    }
    let rows: usize = drawn.iter().map(|line| line.width().div_ceil(columns.max(1)).max(1)).sum();
    if rows > 1 { format!("\x1b[{}A\r\x1b[J", rows - 1) } else { "\r\x1b[J".to_owned() }
}

/// Draws these lines below everything that is printed, until others are given; none take it away.
pub fn region(lines: Vec<String>) {
    let mut region = the_region();
    region.lines = lines;
    if is_silent() || region.asking || (region.lines.is_empty() && region.drawn.is_empty()) {
        return;
    }
    // in one piece, so that nothing flickers
    let mut text = String::from("\x1b[?2026h");
    text.push_str(&erased(&region.drawn, size().0));
    text.push_str(&region.lines.join("\n"));
    text.push_str("\x1b[?2026l");
    region.drawn = region.lines.clone();
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).ok();
}

/// Columns and rows of the terminal.
pub fn size() -> (usize, usize) {
    rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|size| size.ws_col > 0).map_or(
        (80, 24),
        |size| {
            // a terminal that was made by a program may say nothing of its height
            let rows = if size.ws_row == 0 { 24 } else { usize::from(size.ws_row).max(2) };
            (usize::from(size.ws_col), rows)
        },
    )
}

/// Whether signs outside of ASCII can be shown.
pub fn unicode() -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| crate::environment(name).filter(|value| !value.is_empty()))
        .is_some_and(|value| {
            let value = value.to_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}

/// Prints where a region may be drawn: it gives way, and comes back below.
fn around(print: impl FnOnce()) {
    let mut region = the_region();
    if is_silent() {
        return;
    }
    let drawn = std::mem::take(&mut region.drawn);
    let there = !drawn.is_empty();
    if there {
        let mut stdout = std::io::stdout().lock();
        write!(stdout, "\x1b[?2026h{}", erased(&drawn, size().0)).ok();
        // what follows may go to the other stream
        stdout.flush().ok();
    }
    print();
    region.asking = false;
    if there {
        let mut stdout = std::io::stdout().lock();
        write!(stdout, "{}\x1b[?2026l", drawn.join("\n")).and_then(|()| stdout.flush()).ok();
        region.drawn = drawn;
    }
}

/// Writes a line (or several) to standard output. A closed pipe is nobody's error.
pub fn out(text: &str) {
    let text = &*displayable(&crate::secrets::scrub(text)).into_owned();
    around(|| {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).ok();
    });
    log(text);
}

/// Writes a question, and stays on its line.
pub fn prompt(text: &str) {
    let mut region = the_region();
    let drawn = std::mem::take(&mut region.drawn);
    region.asking = true;
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{}{text}", erased(&drawn, size().0)).and_then(|()| stdout.flush()).ok();
}

/// Bytes that are no text are question marks for people.
fn displayable(text: &str) -> std::borrow::Cow<'_, str> {
    use quorate_value::raw;
    use std::io::IsTerminal as _;
    if !raw::holds(text) {
        // files and pipes get every byte, as with Ansible; a terminal obeys some of them
        static TERMINAL: OnceLock<bool> = OnceLock::new();
        let terminal =
            *TERMINAL.get_or_init(|| std::io::stdout().is_terminal() || std::io::stderr().is_terminal());
        return if terminal { tamed(text) } else { text.into() };
    }
    warning("Non UTF-8 encoded data replaced with \"?\" while displaying text to stdout/stderr.");
    text.chars().map(|c| if raw::byte_of(c).is_some() { '?' } else { c }).collect::<String>().into()
}

/// Text that a terminal shows and does not obey: what came from a host must not move the cursor over what was said
/// before, set the title, or type. Colours stay.
fn tamed(text: &str) -> std::borrow::Cow<'_, str> {
    let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(harmless) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = colour(rest) {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        match c {
            c if harmless(c) => out.push(c),
            '\r' if rest[1..].starts_with('\n') => {}
            // the pictures of control characters lie in their order
            c if u32::from(c) < 0x20 => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            _ => out.push('\u{fffd}'),
        }
        rest = &rest[c.len_utf8()..];
    }
    out.into()
}

/// The length of the colour code at the beginning: `ESC [ … m`.
fn colour(text: &str) -> Option<usize> {
    let code = text.strip_prefix("\x1b[")?;
    let end = code.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    code[end..].starts_with('m').then_some(end + 3)
}

/// Writes a line (or several) to standard error.
pub fn err(text: &str) {
    let text = &*displayable(&crate::secrets::scrub(text)).into_owned();
    around(|| {
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "{text}").ok();
    });
    log(text);
}

/// `[WARNING]: …` on standard error, each text once.
pub fn warning(text: &str) {
    static SEEN: OnceLock<Mutex<HashSet<String>>> = OnceLock::new();
    let seen = SEEN.get_or_init(Mutex::default);
    if seen.lock().expect("no panic while printing").insert(text.to_owned()) {
        err(&Look::detect(true, false).paint(Tone::Warning, &format!("[WARNING]: {text}")));
    }
}

static LOG: OnceLock<Mutex<std::fs::File>> = OnceLock::new();

/// Repeats everything into a file too (`log_path`).
pub fn log_to(path: &std::path::Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    LOG.set(Mutex::new(file)).ok();
    Ok(())
}

/// One record of the log: when, who, how grave, what.
pub fn log(text: &str) {
    let Some(file) = LOG.get() else { return };
    let now = std::time::SystemTime::now();
    let millis = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().subsec_millis();
    let level = if text.starts_with("[ERROR]") {
        "ERROR"
    } else if text.starts_with("[WARNING]") {
        "WARNING"
    } else {
        "INFO"
    };
    let user = quorate_agent::system::users::own().map(|user| user.name).unwrap_or_default();
    let text = text.trim_start_matches('\n');
    if text.is_empty() {
        return;
    }
    let mut file = file.lock().expect("no panic while printing");
    writeln!(
        file,
        "{},{millis:03} p={} u={user} n=ansible {level}| {text}",
        quorate_agent::system::clock::format(now, "%Y-%m-%d %H:%M:%S"),
        std::process::id(),
    )
    .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        for (text, shown) in [
            ("plain\ttext\nhere ü", "plain\ttext\nhere ü"),
            ("\x1b[0;31mred\x1b[0m", "\x1b[0;31mred\x1b[0m"),
            ("a\x1b[2Jb", "a␛[2Jb"),
            ("\x1b]0;title\x07", "␛]0;title␇"),
            ("over\rwritten", "over␍written"),
            ("dos\r\n", "dos\n"),
            ("\x1b[31", "␛[31"),
            ("\u{9b}2J\u{7f}", "\u{fffd}2J␡"),
        ] {
            assert_eq!(tamed(text), shown);
        }
    }
}
