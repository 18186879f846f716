//! `--resume`: what a run was asked for is asked for again, and what it did is not done again.

use super::super::common::{Cannot, Ground, Shape};
use super::super::{history, status};
use super::Args;
use crate::forecast::{self, Plan};
use crate::journal::{self, Asked, End, Flags, Inputs, Journal, Past, Resume};
use crate::plan::TagFilter;
use crate::report::{Recap, display};
use crate::run::{Playbook, Run};
use std::path::{Path, PathBuf};

fn out_of_date(text: String) -> Cannot {
    Cannot { text: format!("error: {text}\nno host was touched"), status: status::OUT_OF_DATE }
}

/// Finds the run, and completes the command line with what it was asked for.
pub(super) fn take_up(args: &mut Args, word: &str) -> Result<Past, Cannot> {
    // `last` means the last one here; runs elsewhere have other playbooks
    let here = if word == "last" { journal::last_here() } else { None };
    let past = here.map_or_else(|| journal::find(word), Ok);
    let past = past.map_err(|text| Cannot::start(format!("error: {text}")))?;
    let id = past.id.clone();
    match past.end {
        End::Going => return Err(out_of_date(format!("run {id} is still going on"))),
        End::Status(0) if !args.start_over => {
            return Err(Cannot::start(format!(
                "error: run {id} came to its end; there is nothing to go on with (--start-over runs it again)"
            )));
        }
        _ => {}
    }
    complete(args, &past.asked, &format!("run {id}"))?;
    let changed = journal::changed(&past.inputs);
    if !changed.is_empty() && !args.start_over {
        let some: Vec<&str> = changed.iter().take(8).map(String::as_str).collect();
        let more = changed.len().saturating_sub(some.len());
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        return Err(out_of_date(format!(
            "what run {id} has read is not what it was:\n  {}{more}\n  run it from the start:  quorate play --resume {id} --start-over",
            some.join("\n  ")
        )));
    }
    Ok(past)
}

/// Completes a command line with what was asked for then; where it says something else, an error.
fn complete(args: &mut Args, asked: &Asked, whose: &str) -> Result<(), Cannot> {
    let here = std::env::current_dir().unwrap_or_default();
    if here != Path::new(&asked.dir) {
        return Err(out_of_date(format!("{whose} was made in {}; go there first", asked.dir)));
    }
    let mut other = Vec::new();
    let mut take = |name: &str, given: &mut Vec<String>, then: &Vec<String>| {
        if given.is_empty() {
            given.clone_from(then);
        } else if given != then {
            let then = if then.is_empty() { "nothing".to_owned() } else { then.join(" ") };
            other.push(format!("{name} {} (then: {then})", given.join(" ")));
        }
    };
    take("PLAYBOOK", &mut args.playbooks, &asked.playbooks);
    take("-i", &mut args.shape.inventory, &asked.inventory);
    take("-l", &mut args.shape.limit, &asked.limit);
    take("-t", &mut args.tags, &asked.tags);
    take("--skip-tags", &mut args.skip_tags, &asked.skip_tags);
    take("--vault-id", &mut args.shape.vault_id, &asked.flags.vault_id);
    take("--vault-password-file", &mut args.shape.vault_password_file, &asked.flags.vault_password_file);
    let mut start_at: Vec<String> = args.start_at_task.iter().cloned().collect();
    take("--start-at-task", &mut start_at, &asked.start_at.iter().cloned().collect());
    args.start_at_task = start_at.pop();
    let digest =
        journal::digest_of(&args.shape.extra_vars).map_err(|e| Cannot::start(format!("error: {e}")))?;
    if digest != asked.extra_digest {
        let then = match asked.extra {
            0 => "it had none",
            1 => "it had one, which no record keeps: give it again",
            _ => "it had several, which no record keeps: give them again, in the same order",
        };
        other.push(format!("-e: {then}"));
    }
    if !other.is_empty() {
        return Err(out_of_date(format!(
            "this is not what {whose} was asked for:\n  {}",
            other.join("\n  ")
        )));
    }
    give(&asked.flags, &mut args.shape);
    Ok(())
}

/// Reads a plan, and completes the command line with what it was made for.
pub(super) fn plan_of(args: &mut Args, path: &Path) -> Result<Plan, Cannot> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Cannot::start(format!("error: cannot read the plan {name}: {e}")))?;
    let plan: Plan =
        serde_json::from_str(&text).map_err(|e| Cannot::start(format!("error: {name} is no plan: {e}")))?;
    if plan.version != forecast::VERSION {
        return Err(out_of_date(format!(
            "the plan {name} was made by quorate {}, in a form that is not read any more",
            plan.quorate
        )));
    }
    complete(args, &plan.asked, "the plan")?;
    let inputs: Vec<(String, String)> = plan.inputs.clone().into_iter().collect();
    let changed = journal::changed(&inputs);
    if !changed.is_empty() {
        let some: Vec<&str> = changed.iter().take(8).map(String::as_str).collect();
        return Err(out_of_date(format!(
            "what the plan was made of is not what it was:\n  {}",
            some.join("\n  ")
        )));
    }
    Ok(plan)
}

/// Looks whether the hosts are still as the plan says.
pub(super) fn still(args: &Args, plan: &Plan, books: &[Playbook], filter: TagFilter) -> Result<(), Cannot> {
    let mut shape = args.shape.clone();
    (shape.check, shape.diff) = (true, true);
    (shape.report, shape.events, shape.junit) = (None, None, None);
    let first = super::locate(&args.playbooks[0], false)?;
    let words = (super::filter_words(&args.tags), super::filter_words(&args.skip_tags));
    let ground = super::common::ground(&shape, Some(&first), false, (&words.0, &words.1))?;
    let (_, seen, _) = crate::cli::plan::look(
        &ground,
        books,
        filter,
        args.start_at_task.clone(),
        &shape,
        ground.look.colour,
    )?;
    let now: Vec<forecast::Item> = seen.items().into_iter().map(|(item, _)| item).collect();
    let moved = forecast::moved(plan, &now);
    if moved.is_empty() {
        return Ok(());
    }
    let some: Vec<&str> = moved.iter().take(8).map(String::as_str).collect();
    let more = moved.len().saturating_sub(some.len());
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    Err(Cannot {
        text: format!(
            "error: the plan is out of date: the hosts are not what they were\n  {}{more}\nnothing was changed; make a new plan",
            some.join("\n  ")
        ),
        status: status::OUT_OF_DATE,
    })
}

/// Lets the run keep a journal, and take up what stands of an earlier one.
pub(super) fn keep(args: &Args, past: Option<&Past>, ground: &Ground, run: &Run) {
    if let Some(past) = past.filter(|_| !args.start_over) {
        let resume = Resume::of(past);
        display::err(&format!(
            "resuming run {}: {}, not told again",
            past.id,
            history::standing(resume.standing())
        ));
        run.resume.set(resume).ok();
    }
    if args.no_journal || args.shape.check {
        return;
    }
    let shape = &args.shape;
    let asked = asked(&args.playbooks, &args.tags, &args.skip_tags, args.start_at_task.as_ref(), shape).map(
        |asked| Asked { resumes: past.filter(|_| !args.start_over).map(|past| past.id.clone()), ..asked },
    );
    match asked.and_then(|asked| Journal::begin(asked, inputs(ground, shape))) {
        Ok(journal) => {
            run.journal.set(journal).ok();
        }
        // by Ansible's names nobody has asked for a journal
        Err(_) if ground.shared.options.ansible_manners => {}
        Err(error) => display::warning(&format!("this run is not recorded, and cannot be resumed: {error}")),
    }
}

/// What a command line asks for. What -e says is there as a digest only.
pub(in crate::cli) fn asked(
    playbooks: &[String],
    tags: &[String],
    skip_tags: &[String],
    start_at: Option<&String>,
    shape: &Shape,
) -> std::io::Result<Asked> {
    Ok(Asked {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        dir: std::env::current_dir().unwrap_or_default().display().to_string(),
        playbooks: playbooks.to_vec(),
        inventory: shape.inventory.clone(),
        limit: shape.limit.clone(),
        tags: tags.to_vec(),
        skip_tags: skip_tags.to_vec(),
        start_at: start_at.cloned(),
        extra: shape.extra_vars.len(),
        extra_digest: journal::digest_of(&shape.extra_vars)?,
        shown: shape.shown(),
        flags: flags_of(shape),
        resumes: None,
    })
}

/// What is read before a run begins.
pub(in crate::cli) fn inputs(ground: &Ground, shape: &Shape) -> Inputs {
    let dir = std::env::current_dir().unwrap_or_default();
    let sources = ground.shared.options.sources.iter().filter(|source| !source.contains(','));
    let files = shape.extra_vars.iter().filter_map(|text| text.trim().strip_prefix('@'));
    let first = sources.map(PathBuf::from).chain(files.map(|path| dir.join(path)));
    Inputs::new(first.filter(|path| path.exists()).collect())
}

/// The end: the journal is closed, and who has to go on is told how.
pub(super) fn end(run: &Run, code: u8, recap: &Recap, ansible: bool) {
    let Some(journal) = run.journal.get() else { return };
    journal.end(code, run.is_interrupted(), recap);
    // who was held to a plan makes a new one
    if ansible || matches!(code, status::DONE | status::OUT_OF_DATE) {
        return;
    }
    // and where nothing was changed, neither: who follows a refusal changes something first
    if !run.is_interrupted() && recap.hosts.values().all(|counts| counts.changed == 0) {
        return;
    }
    let stand = journal::find(&journal.id).map_or(0, |past| Resume::of(&past).standing());
    // where nothing stands, going on is no more than running it again
    if stand == 0 && !run.is_interrupted() {
        return;
    }
    let what = if run.is_interrupted() { "stopped" } else { "not finished" };
    display::err(&format!(
        "{what}; this goes on where it ended ({}):  quorate play --resume {}",
        history::standing(stand),
        journal.id
    ));
}

/// The flags of a command line that are kept.
fn flags_of(shape: &Shape) -> Flags {
    Flags {
        vault_id: shape.vault_id.clone(),
        vault_password_file: shape.vault_password_file.clone(),
        user: shape.user.clone(),
        private_key: shape.private_key.clone(),
        connection: shape.connection.clone(),
        timeout: shape.timeout,
        become_: shape.become_,
        become_user: shape.become_user.clone(),
        become_method: shape.become_method.clone(),
        become_password_file: shape.become_password_file.clone(),
        connection_password_file: shape.connection_password_file.clone(),
        diff: shape.diff,
        forks: shape.forks,
        lenient: shape.lenient,
        force_handlers: shape.force_handlers,
    }
}

/// Puts them where nothing else is said.
fn give(flags: &Flags, shape: &mut Shape) {
    fn take<T: Clone>(given: &mut Option<T>, then: &Option<T>) {
        if given.is_none() {
            given.clone_from(then);
        }
    }
    take(&mut shape.user, &flags.user);
    take(&mut shape.private_key, &flags.private_key);
    take(&mut shape.connection, &flags.connection);
    take(&mut shape.timeout, &flags.timeout);
    take(&mut shape.become_user, &flags.become_user);
    take(&mut shape.become_method, &flags.become_method);
    take(&mut shape.become_password_file, &flags.become_password_file);
    take(&mut shape.connection_password_file, &flags.connection_password_file);
    take(&mut shape.forks, &flags.forks);
    shape.become_ |= flags.become_;
    shape.diff |= flags.diff;
    shape.lenient |= flags.lenient;
    shape.force_handlers |= flags.force_handlers;
}
