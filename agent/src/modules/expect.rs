//! `expect`: a command that asks questions, and the answers.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Check, Kind, Param, Spec};
use crate::system::process::errno;
use crate::system::pty::{self, Turn};
use crate::system::regex::{Flags, Regex};
use crate::system::{clock, glob, shlex};
use quorate_value::{Value, str_of};
use std::time::{Duration, Instant};

/// The `expect` module.
pub struct Expect;

static SPEC: Spec = Spec::new("expect", "Runs a command on a terminal and answers its questions.")
    .params(&[
        Param::str("command").required().doc("The command."),
        Param::path("chdir").doc("Where it starts."),
        Param::path("creates").doc("Does nothing if this exists."),
        Param::path("removes").doc("Does nothing unless this exists."),
        Param::new("responses", Kind::Dict)
            .required()
            .doc("Answers by regular expression; a list answers one question after the other."),
        Param::raw("timeout")
            .default_int(30)
            .doc("Seconds to wait for a question or the end; none waits for ever."),
        Param::bool("echo").default_bool(false).doc("What is typed is part of the output."),
    ])
    .check(Check::None)
    .world();

struct Answer {
    pattern: String,
    regex: Regex,
    list: bool,
    texts: Vec<String>,
}

impl Module for Expect {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let line = args.text("command");
        if line.trim().is_empty() {
            return Err(Failure::new("no command given").with("rc", 256i64));
        }
        let chdir = args.str("chdir");
        for (name, there, word) in [("creates", true, "exists"), ("removes", false, "does not exist")] {
            if let Some(path) = args.str(name)
                && glob::matches_any(path, chdir) == there
            {
                return Ok(Outcome::ok()
                    .with("cmd", line)
                    .with("stdout", format!("skipped, since {path} {word}"))
                    .with("rc", 0i64));
            }
        }
        let timeout = match args.value("timeout") {
            None => None,
            Some(value) => match crate::args::convert(Kind::Int, value, ctx.place()) {
                Ok(Value::Int(seconds)) => Some(Duration::from_secs(seconds.max(0) as u64)),
                _ => {
                    return Err(Failure::new(format!(
                        "argument 'timeout' is of type {} and we were unable to convert to int",
                        value.type_name()
                    )));
                }
            },
        };
        let mut answers = answers(args)?;
        let words = shlex::split(line).map_err(Failure::new)?;
        let missing = || {
            Failure::new(format!(
                "The command was not found or was not executable: {}.",
                words.first().map_or("", String::as_str)
            ))
        };
        let program = words.first().and_then(|word| ctx.which(word)).ok_or_else(missing)?;
        // with a controlling terminal: those who ask for passwords open /dev/tty
        let mut command = match ctx.which("setsid") {
            Some(setsid) => {
                let mut command = std::process::Command::new(setsid);
                command.args(["-c", &program]);
                command
            }
            None => std::process::Command::new(&program),
        };
        command.args(&words[1..]).envs(ctx.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = chdir.or(ctx.cwd.as_deref()) {
            command.current_dir(directory);
        }
        let (started, clock_start) = (Instant::now(), clock::now());
        let mut complaint = None;
        let mut answer = |seen: &[u8]| {
            let seen = String::from_utf8_lossy(seen);
            // the question that stands first is the one that was asked first
            let found = answers
                .iter_mut()
                .filter_map(|answer| {
                    let hit = answer.regex.search(&seen).ok().flatten()?;
                    Some((hit.start(), hit.end(), answer))
                })
                .min_by_key(|(start, ..)| *start);
            let Some((start, end, answer)) = found else { return Turn::Wait };
            if answer.texts.is_empty() {
                let output = seen[..start].trim_matches(['\r', '\n']).to_owned();
                let said = seen[start..end].to_owned();
                complaint = Some(format!(
                    "No remaining responses for '{}', output was '{output}{said}'",
                    answer.pattern
                ));
                return Turn::Stop;
            }
            let text = if answer.list { answer.texts.remove(0) } else { answer.texts[0].clone() };
            Turn::Type(format!("{}\n", text.trim_end_matches('\n')).into_bytes())
        };
        let talk = pty::talk(command, args.bool("echo"), timeout, &ctx.cancel, &mut answer)
            .map_err(|error| Failure::new(errno(&error)))?;
        ctx.alive()?;
        if let Some(complaint) = complaint {
            return Err(Failure::new(complaint));
        }
        let stdout = String::from_utf8_lossy(&talk.printed).trim_end_matches(['\r', '\n']).to_owned();
        let outcome = Outcome::changed()
            .with("cmd", line)
            .with("stdout", stdout)
            .with("rc", talk.rc.map_or(Value::Null, |rc| Value::Int(rc.into())))
            .with("start", clock::datetime(&clock_start))
            .with("end", clock::datetime(&clock::now()))
            .with("delta", clock::delta(started.elapsed()));
        let msg = match talk.rc {
            Some(0) => return Ok(outcome),
            Some(_) => "non-zero return code",
            None => "command exceeded timeout",
        };
        Err(Failure::new(msg).with_all(outcome.into_result()))
    }
}

fn answers(args: &Args) -> Result<Vec<Answer>, Failure> {
    let mut found = Vec::new();
    for (key, value) in args.dict("responses").into_iter().flatten() {
        let pattern = key.json_text().into_owned();
        let regex = Regex::new(&pattern, Flags::default())
            .map_err(|why| Failure::new(format!("'{pattern}' is not a valid regular expression: {why}")))?;
        let (list, texts) = match value {
            Value::List(items) => (true, items.iter().map(str_of).collect()),
            one => (false, vec![str_of(one)]),
        };
        found.push(Answer { pattern, regex, list, texts });
    }
    Ok(found)
}
