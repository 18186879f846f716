//! `quorate man`: manual pages, for packages.

use super::common::Cannot;
use super::help;
use clap::Parser;
use std::path::PathBuf;

/// Write manual pages into a folder.
#[derive(Debug, Parser)]
#[command(
    name = "quorate man",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate man /usr/local/share/man/man1"
)]
struct Args {
    /// The folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    super::run(super::parsed("quorate man", args, false), |args: Args| write(&args.folder))
}

fn write(folder: &std::path::Path) -> Result<(), Cannot> {
    for (name, page) in pages().map_err(|e| Cannot::start(format!("a page cannot be made: {e}")))? {
        let path = folder.join(name);
        std::fs::write(&path, page)
            .map_err(|e| Cannot::start(format!("cannot write {}: {e}", path.display())))?;
    }
    Ok(())
}

/// Every page: its file and its text.
fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = Vec::new();
    let about = help::HELP.lines().next().unwrap_or_default().trim_start_matches("quorate: ").to_owned();
    let mut whole = clap::Command::new("quorate")
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true);
    for (name, command) in super::commands() {
        // names of commands live as long as the program, and so do these few
        let full: &'static str = Box::leak(format!("quorate-{name}").into_boxed_str());
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        whole = whole.subcommand(clap::Command::new(name).about(about));
        // long help keeps its examples
        let mut page = Vec::new();
        let command = command.name(full).display_name(full).version(env!("CARGO_PKG_VERSION"));
        clap_mangen::Man::new(command).render(&mut page)?;
        pages.push((format!("{full}.1"), page));
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(whole).render(&mut page)?;
    pages.push(("quorate.1".into(), page));
    Ok(pages)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_has_its_page() {
        let pages = super::pages().unwrap();
        for (name, _) in crate::cli::commands() {
            let (_, text) = pages.iter().find(|(file, _)| *file == format!("quorate-{name}.1")).unwrap();
            let text = String::from_utf8_lossy(text);
            assert!(text.contains(".TH") && text.contains("OPTIONS"), "{name}: {text}");
        }
    }
}
