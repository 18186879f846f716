//! `quorate play` and `ansible-playbook`: runs playbooks.

pub(super) mod resume;

use super::common::{self, Cannot, Ground, Shape};
use super::status;
use crate::diag::Diag;
use crate::plan::{Node, TagFilter};
use crate::playbook::Play;
use crate::report::display;
use crate::run::{Playbook, Run, Runner};
use crate::vars::{PlayVars, TaskScope, render};
use clap::Parser;
use quorate_value::{Dict, Str, Value, str_of};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Run playbooks: compile inventory and playbook, then bring the hosts there.
#[derive(Debug, Parser)]
#[command(
    name = "quorate play",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate play playbooks/etcd.yml\n  quorate play playbooks/etcd.yml -t etcd_conf\n  quorate play playbooks/etcd.yml -l 10.10.10.13 -e etcd_init=existing"
)]
pub(super) struct Args {
    /// Playbooks, run one after another
    #[arg(required_unless_present_any = ["version", "resume", "plan"], value_name = "PLAYBOOK")]
    playbooks: Vec<String>,
    /// Only tasks with these tags. Repeatable
    #[arg(short, long, value_name = "TAGS", help_heading = "Tasks")]
    tags: Vec<String>,
    /// No tasks with these tags. Repeatable
    #[arg(long, value_name = "TAGS", help_heading = "Tasks")]
    skip_tags: Vec<String>,
    /// Read everything, run nothing
    #[arg(long, help_heading = "Look")]
    syntax_check: bool,
    /// List the hosts
    #[arg(long, help_heading = "Look")]
    list_hosts: bool,
    /// List the tasks
    #[arg(long, help_heading = "Look")]
    list_tasks: bool,
    /// List the tags
    #[arg(long, help_heading = "Look")]
    list_tags: bool,
    /// Ask before each task
    #[arg(long, help_heading = "Tasks")]
    step: bool,
    /// Start at the task with this name
    #[arg(long, value_name = "TASK", help_heading = "Tasks")]
    start_at_task: Option<String>,
    /// Run handlers even if a task failed
    #[arg(long, help_heading = "Run")]
    force_handlers: bool,
    /// Go on where a run was stopped: its name (quorate history), or `last`. What it was asked for need not be said
    /// again, except for -e
    #[arg(long, value_name = "RUN", help_heading = "Run")]
    resume: Option<String>,
    /// With --resume: from the start, though the playbook may have changed since
    #[arg(long, requires = "resume", help_heading = "Run")]
    start_over: bool,
    /// Do what this plan says (quorate plan --out), and nothing else: where the files or the hosts have changed since,
    /// it ends with status 7
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "check"], help_heading = "Run")]
    plan: Option<PathBuf>,
    /// Read and write like a client of the etcd clusters that the run works on, every 100 ms, and say how long that was
    /// not possible
    #[arg(long, conflicts_with_all = ["list_hosts", "list_tasks", "list_tags", "syntax_check"], help_heading = "Output")]
    probe: bool,
    /// Keep no record of this run: there is nothing to go on with, should it be stopped
    #[arg(long, help_heading = "Run")]
    no_journal: bool,
    /// Print the version
    #[arg(long)]
    version: bool,
    #[command(flatten)]
    shape: Shape,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub fn main(args: &[String], ansible: bool) -> u8 {
    let name = if ansible { "ansible-playbook" } else { "quorate play" };
    let mut args = match super::parsed::<Args>(name, args, ansible) {
        Ok(args) => args,
        Err(status) => return status,
    };
    if args.version {
        display::out(&super::version(name));
        return status::DONE;
    }
    taken(&mut args, ansible, None)
}

/// Runs what was asked for, over a fleet where one is given.
pub(super) fn taken(args: &mut Args, ansible: bool, fleet: Option<super::fleet::Leading>) -> u8 {
    let past = args.resume.clone().map(|run| resume::take_up(args, &run)).transpose();
    let made = args.plan.clone().map(|path| resume::plan_of(args, &path)).transpose();
    match past.and_then(|past| made.and_then(|made| play(args, past, made, ansible, fleet))) {
        Ok(code) => code,
        Err(cannot) => {
            display::err(cannot.text.strip_suffix('\n').unwrap_or(&cannot.text));
            cannot.status
        }
    }
}

fn play(
    args: &Args,
    past: Option<crate::journal::Past>,
    made: Option<crate::forecast::Plan>,
    ansible: bool,
    fleet: Option<super::fleet::Leading>,
) -> Result<u8, Cannot> {
    let first = locate(&args.playbooks[0], ansible)?;
    for name in &args.playbooks {
        let path = locate(name, ansible)?;
        if path.is_dir() {
            return Err(Cannot::start(format!("ERROR! the playbook: {name} does not appear to be a file")));
        }
    }
    // a list of all tags has those of tasks that only run when asked for
    let every = args.list_tags && args.tags.is_empty();
    let wanted = if every { vec!["all".to_owned(), "never".to_owned()] } else { args.tags.clone() };
    let filter = TagFilter::new(&wanted, &args.skip_tags);
    let ground = common::ground(
        &Shape { force_handlers: args.force_handlers, ..args.shape.clone() },
        Some(&first),
        ansible,
        (&filter_words(&args.tags), &filter_words(&args.skip_tags)),
    )?;
    // in our own manners the name itself is refused, once playbooks are read
    if ground.limit.is_some() && (ansible || args.shape.lenient) {
        let inventory = ground.shared.inventory();
        let left = inventory.select_value(&Value::from("all"), ground.limit.as_ref());
        if left.hosts.is_empty() && inventory.hosts().any(|id| !inventory.host(id).is_implicit()) {
            for warning in &left.warnings {
                display::warning(&warning.to_string());
            }
            return Err(Cannot::start(super::headline(
                "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.",
                ansible,
            )));
        }
    }
    if args.shape.flush_cache {
        ground.shared.flush_cache();
    }
    let mut books = Vec::new();
    let compile = |diags: Vec<crate::diag::Diag>| Cannot {
        text: diags
            .iter()
            .map(|diag| if ansible { ansible_error(diag) } else { diag.render(ground.look.colour) })
            .collect::<Vec<_>>()
            .join("\n"),
        status: match diags.first() {
            // files that are not there are no mistakes of the language
            Some(diag) if ansible && matches!(diag.code, "E0101" | "E0111" | "E0121") => 1,
            _ if ansible => 4,
            _ => status::DOES_NOT_COMPILE,
        },
    };
    for name in &args.playbooks {
        let path = locate(name, ansible)?;
        let plays = ground.shared.loader().playbook(&path).map_err(compile)?;
        books.push(Playbook { path: name.clone(), plays });
    }
    for warning in ground.shared.loader().take_warnings() {
        match &warning.ansible {
            None if ansible && warning.code == "W0103" => {
                let origin = crate::report::origin(warning.span);
                display::warning(&format!("{}\n{}\n", warning.message, origin.trim_end()));
            }
            Some(words) if ansible => display::warning(&format!(
                "{words}\n{}\nUsing last defined value only.\n",
                crate::report::origin(warning.span).trim_end()
            )),
            _ if ansible || args.shape.lenient => display::warning(&warning.one_line()),
            _ => display::err(&warning.render(ground.look.colour)),
        }
    }
    if args.syntax_check {
        for book in &books {
            display::out(&format!("\nplaybook: {}", book.path));
        }
        return Ok(status::DONE);
    }
    slips(args, &ground, &books, ansible)?;
    if args.list_hosts || args.list_tasks || args.list_tags {
        let listed = list(args, &ground, &books, &filter);
        ground.leave(books);
        return listed;
    }
    if let Some(made) = &made {
        resume::still(args, made, &books, filter.clone())?;
    }
    let runtime = common::runtime()?;
    let code = runtime.block_on(async {
        let run = common::start(&ground);
        if let Some(made) = &made {
            run.promise.set(crate::forecast::Promise::of(made)).ok();
        }
        if args.shape.check && !ground.shared.options.ansible_manners {
            run.forecast.set(Arc::default()).ok();
        }
        if let Some(fleet) = &fleet {
            fleet.lead(&run).await?;
        }
        resume::keep(args, past.as_ref(), &ground, &run);
        if let (Some(fleet), Some(journal)) = (run.pool.fleet(), run.journal.get()) {
            journal.seal().into_iter().for_each(|seal| fleet.seal_with(seal));
        }
        if !args.step {
            common::watch(&ground, &run, &args.shape, ansible);
        }
        let recording = common::record(&run, &args.shape)?;
        common::watch_interrupts(&run);
        let mut runner = Runner::new(run.clone(), filter, ground.limit.clone(), args.start_at_task.clone());
        runner.asks = args.step;
        if args.probe {
            probe(&run, &runner, &books, args.shape.check)?;
        }
        let mut code = status::DONE;
        for book in &books {
            for (index, play) in book.plays.iter().enumerate() {
                if !play.vars_prompt.is_empty() {
                    runner.answers(index, ask_vars(play, &ground)?);
                }
            }
            if let Err(diag) = runner.playbook(book).await {
                let text = if ansible { ansible_error(&diag) } else { diag.render(ground.look.colour) };
                display::region(Vec::new());
                display::err(&text);
                code = if ansible { 1 } else { status::CANNOT_START };
                break;
            }
            if runner.status() != 0 || run.is_interrupted() {
                break;
            }
        }
        let probed = run.probe.get().map(|probe| probe.end()).unwrap_or_default();
        for probed in &probed {
            run.tell(crate::report::Event::Probed(Arc::new(probed.clone())));
        }
        if code == status::DONE {
            runner.finish();
        }
        for line in probed.iter().flat_map(crate::probe::Probed::lines) {
            display::out(&line);
        }
        run.guard.close().await;
        if code == status::DONE && runner.status() == 0 && !run.is_interrupted() {
            run.pool.forget_kept(run.resume.get().map(|resume| &**resume)).await;
        }
        run.pool.close().await;
        if let Some(recording) = &recording {
            if recording.reports() {
                let journal = run.journal.get().map(|journal| &*journal.id);
                let earlier = journal.and_then(|id| super::history::before(id, &first));
                recording.beside(earlier, super::explain::origins(&ground, &books, &runner));
            }
            recording.finish(&command_line(args))?;
        }
        let refused = run.guard.refused();
        let code = match (code, runner.status()) {
            _ if run.promise.get().is_some_and(|promise| !promise.broken().is_empty()) => status::OUT_OF_DATE,
            _ if run.is_interrupted() => status::INTERRUPTED,
            (0, 2 | 4) if !ansible && switched(&run) => status::ROLLED_BACK,
            (0, 2) if refused && !ansible => status::REFUSED,
            (0, code) => code,
            (code, _) => code,
        };
        resume::end(&run, code, &runner.recap, ansible);
        Ok(code)
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    code
}

/// Begins to measure what clients can do, on the clusters of the hosts that the plays are for.
fn probe(run: &Arc<Run>, runner: &Runner, books: &[Playbook], check: bool) -> Result<(), Cannot> {
    if check {
        return Err(Cannot::start(
            "error: --probe writes a key, and --check changes nothing: leave one of them out",
        ));
    }
    let task = crate::playbook::Task::plain(
        "Probe",
        "ansible.builtin.meta",
        Dict::new(),
        quorate_value::Span::default(),
    );
    let step = crate::plan::program::implicit_step(task, &Arc::default(), Vec::new());
    let mut hosts: Vec<Arc<str>> = Vec::new();
    for play in books.iter().flat_map(|book| &book.plays) {
        let vars = Arc::new(PlayVars::new(play));
        let scope = TaskScope::new(&run.shared, &vars, &Arc::from("localhost"), None);
        // a play whose hosts cannot be told yet says so when it runs
        for host in runner.hosts_of(play, &scope).map(|(hosts, _)| hosts).unwrap_or_default() {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    let ground = crate::run::guard::cluster::Ground { run: run.clone(), play: Arc::default(), step };
    let Some(probe) = crate::probe::Probe::begin(&ground, &hosts) else {
        return Err(Cannot::start(
            "error: --probe: none of these hosts belongs to an etcd cluster (they have no `etcd_cluster`)",
        ));
    };
    if let Some(running) = run.running.get() {
        running.probe(probe.clone());
    }
    run.probe.set(probe).ok();
    Ok(())
}

/// Whether `rollback_after` has put something back, or will: nobody confirmed it.
fn switched(run: &crate::run::Run) -> bool {
    let open = run.switches.open();
    for (host, seconds) in &open {
        display::err(&format!(
            "{host} was not confirmed: what the block with `rollback_after` changed is put back by the host itself within {seconds} s"
        ));
    }
    run.switches.rolled_back() || !open.is_empty()
}

/// What is certainly a slip is refused before any host is touched; Ansible's manners are a warning.
fn slips(args: &Args, ground: &Ground, books: &[Playbook], ansible: bool) -> Result<(), Cannot> {
    let mut tags = filter_words(&args.tags);
    tags.extend(filter_words(&args.skip_tags));
    slips_of(ground, books, &tags, args.start_at_task.as_deref(), &args.shape, ansible)
}

/// The same for any command that reads playbooks.
pub(super) fn slips_of(
    ground: &Ground,
    books: &[Playbook],
    tags: &[String],
    start_at: Option<&str>,
    shape: &Shape,
    ansible: bool,
) -> Result<(), Cannot> {
    let asked = super::closed::Asked { tags, start_at, limit: &shape.limit };
    let found = super::closed::check(ground, &common::start(ground), books, &asked);
    let lenient = ansible || shape.lenient;
    let (errors, warnings): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|diag| diag.severity == crate::diag::Severity::Error);
    for diag in &warnings {
        if lenient {
            display::warning(&diag.one_line());
        } else {
            display::err(&diag.render(ground.look.colour));
        }
    }
    if lenient {
        // names of hosts get Ansible's own words where they are used
        for diag in errors.iter().filter(|diag| diag.code != "E0302") {
            display::warning(&diag.one_line());
        }
        return Ok(());
    }
    if errors.is_empty() {
        return Ok(());
    }
    let mut text: Vec<String> = errors.iter().map(|diag| diag.render(ground.look.colour)).collect();
    text.push("no host was touched; --lenient goes on as Ansible would".into());
    Err(Cannot::start(text.join("\n")))
}

/// What was asked for, as a report shows it.
fn command_line(args: &Args) -> String {
    let mut text = format!("quorate play {}", args.playbooks.join(" "));
    for tags in &args.tags {
        text.push_str(&format!(" -t {tags}"));
    }
    for tags in &args.skip_tags {
        text.push_str(&format!(" --skip-tags {tags}"));
    }
    text + &args.shape.shown()
}

pub(super) fn filter_words(words: &[String]) -> Vec<String> {
    words.iter().flat_map(|w| w.split(',')).map(|w| w.trim().to_owned()).filter(|w| !w.is_empty()).collect()
}

/// A playbook by its path, or by its name in `playbooks/`.
pub(super) fn locate(name: &str, ansible: bool) -> Result<PathBuf, Cannot> {
    let path = PathBuf::from(name);
    if path.exists() {
        return Ok(path);
    }
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names: Vec<String> = [dir.to_path_buf(), PathBuf::from("playbooks")]
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok().map(|entries| (dir.clone(), entries)))
        .flat_map(|(dir, entries)| {
            entries.filter_map(Result::ok).map(move |e| {
                dir.join(e.file_name()).display().to_string().trim_start_matches("./").to_owned()
            })
        })
        .filter(|n| n.ends_with(".yml") || n.ends_with(".yaml"))
        .collect();
    if ansible {
        return Err(Cannot::start(format!("ERROR! the playbook: {name} could not be found")));
    }
    let diag = Diag::error("E0101", format!("there is no playbook `{name}`")).did_you_mean(name, &names);
    // the right name with another ending, or in `playbooks/`
    let same = |other: &&String| Path::new(other).file_stem() == path.file_stem();
    let diag = match names.iter().find(same) {
        Some(near) => diag.help(format!("did you mean `{near}`?")),
        None => diag,
    };
    Err(Cannot::start(diag.render(false)))
}

/// An error as Ansible's command prints it.
pub(super) fn ansible_error(diag: &crate::diag::Diag) -> String {
    let mut text = format!("[ERROR]: {}\n", diag.ansible.as_ref().unwrap_or(&diag.message));
    text.push_str(&crate::report::origin(diag.span));
    if let Some(help) = &diag.help {
        text.push_str(help);
        text.push('\n');
    }
    text
}

fn ask_vars(play: &Play, ground: &Ground) -> Result<Dict, Cannot> {
    use std::io::IsTerminal as _;
    let mut answers = Dict::new();
    for prompt in &play.vars_prompt {
        let name = prompt.name.as_str();
        if ground.shared.extra.contains_key(name) {
            continue;
        }
        let words = prompt.prompt.as_ref().map_or_else(|| name.to_owned(), |p| p.as_str().to_owned());
        let default = prompt.default.as_ref().map(str_of);
        let shown = match &default {
            Some(default) if !prompt.private => format!("{words} [{default}]: "),
            _ => format!("{words}: "),
        };
        if !std::io::stdin().is_terminal() && default.is_some() {
            display::warning("Not prompting as we are not in interactive mode");
            answers.insert(name, prompt.default.clone().unwrap_or_default());
            continue;
        }
        let read = || -> Result<String, Cannot> {
            display::err(shown.trim_end());
            super::ask::line(!prompt.private).map_err(|e| Cannot::start(format!("no answer for {name}: {e}")))
        };
        let mut answer = read()?;
        if prompt.confirm {
            display::err(&format!("confirm {words}: "));
            let again = super::ask::line(!prompt.private).map_err(|e| Cannot::start(e.to_string()))?;
            if again != answer {
                return Err(Cannot::start("***** VALUES ENTERED DO NOT MATCH ****"));
            }
        }
        if answer.is_empty()
            && let Some(default) = default
        {
            answer = default;
        }
        let text = Str::from(answer);
        if prompt.private {
            crate::secrets::keep_password(&text);
        }
        let text = if prompt.private { text.secret() } else { text };
        answers.insert(name, Value::Str(if prompt.unsafe_text { text } else { text.trusted() }));
    }
    Ok(answers)
}

/// What a tag touches.
#[derive(Default)]
struct Reach {
    files: std::collections::BTreeSet<String>,
    units: std::collections::BTreeSet<String>,
    away: bool,
    tasks: usize,
    /// Files that only a loop or a result names.
    looped: bool,
    /// Something is included while it runs, and nobody knows yet what.
    includes: bool,
}

impl Reach {
    fn add(&mut self, step: &crate::plan::Step, scope: &TaskScope) {
        self.tasks += 1;
        self.includes |= matches!(step.module(), "include_tasks" | "include_role");
        let Value::Dict(written) = &step.task.action.args else { return };
        // what a loop or a result decides stays as it is written
        let args: Dict = written
            .iter()
            .map(|(key, value)| (key.clone(), render::value(scope, value).unwrap_or_else(|_| value.clone())))
            .collect();
        let text = |names: &[&str]| names.iter().find_map(|name| args.get(*name)).map(str_of);
        match step.module() {
            "copy" | "template" | "file" | "lineinfile" | "blockinfile" | "ini_file" | "get_url"
            | "assemble" | "unarchive" | "replace" | "openssl_privatekey" | "x509_certificate"
            | "openssl_csr" => {
                // what an item of a loop is called says nobody anything
                match text(&["dest", "path"]) {
                    Some(path) if path.starts_with("{{") => self.looped = true,
                    path => self.files.extend(path),
                }
            }
            "service" | "systemd" | "systemd_service" => {
                self.units.extend(text(&["name", "service", "unit"]))
            }
            "etcd_service" => {
                self.units.insert("etcd".into());
            }
            _ => {}
        }
        self.away |= crate::run::guard::takes_away(step.module(), &args);
    }

    fn shown(&self) -> String {
        let some = |what: &str, names: &std::collections::BTreeSet<String>| match names.len() {
            0 => None,
            n @ 1..=4 => Some(format!(
                "{what}{} {}",
                if n == 1 { "" } else { "s" },
                names.iter().cloned().collect::<Vec<_>>().join(" ")
            )),
            n => Some(format!("{n} {what}s")),
        };
        let mut parts = vec![format!("{} task{}", self.tasks, if self.tasks == 1 { "" } else { "s" })];
        parts.extend(some("file", &self.files));
        if self.looped {
            parts.push(
                if self.files.is_empty() { "files" } else { "more files" }.to_owned() + " that a loop names",
            );
        }
        parts.extend(some("unit", &self.units));
        if self.away {
            parts.push("TAKES A MEMBER AWAY".into());
        }
        if self.includes {
            parts.push("and what it includes while it runs".into());
        }
        parts.join(" · ")
    }
}

/// `--list-hosts`, `--list-tasks`, `--list-tags`, as Ansible prints them.
fn list(args: &Args, ground: &Ground, books: &[Playbook], filter: &TagFilter) -> Result<u8, Cannot> {
    let run = common::start(ground);
    let runner = Runner::new(run, filter.clone(), ground.limit.clone(), None);
    for book in books {
        display::out(&format!("\nplaybook: {}", book.path));
        for (number, play) in book.plays.iter().enumerate() {
            let vars = Arc::new(PlayVars::new(play));
            let scope = TaskScope::new(&ground.shared, &vars, &Arc::from("localhost"), None);
            let (hosts, _) =
                runner.hosts_of(play, &scope).map_err(|d| Cannot::start(d.render(ground.look.colour)))?;
            let pattern: Vec<String> = match &play.hosts {
                Value::List(items) => items
                    .iter()
                    .map(|item| str_of(&render::value(&scope, item).unwrap_or_else(|_| item.clone())))
                    .collect(),
                other => vec![render::value(&scope, other).map(|v| str_of(&v)).unwrap_or_default()],
            };
            let name = crate::run::name_of(play, &scope);
            let tags: Vec<&str> = play.keywords.tags.iter().map(Str::as_str).collect();
            let mut text = format!(
                "\n  play #{} ({}): {name}\tTAGS: [{}]",
                number + 1,
                pattern.join(","),
                tags.join(",")
            );
            if args.list_hosts {
                let shown: Vec<String> = pattern.iter().map(|p| format!("'{p}'")).collect();
                text.push_str(&format!(
                    "\n    pattern: [{}]\n    hosts ({}):",
                    shown.join(", "),
                    hosts.len()
                ));
                for host in &hosts {
                    text.push_str(&format!("\n      {host}"));
                }
            }
            let mut tags_reach = std::collections::BTreeMap::new();
            let mut all_tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            if args.list_tasks || args.list_tags {
                if args.list_tasks {
                    text.push_str("\n    tasks:");
                }
                // of a block only what it does when all goes well; `away` counts blocks from the one that is left out
                let mut away = 0;
                let mut reach: std::collections::BTreeMap<String, Reach> = std::collections::BTreeMap::new();
                let outline = runner.outline(play, &vars, hosts.first().unwrap_or(&Arc::from("localhost")));
                for slot in &outline {
                    match &slot.node {
                        Node::Open(_) if away > 0 => away += 1,
                        Node::Rescue(_) if away == 0 => away = 1,
                        Node::Close(_) => away -= 1,
                        _ => {}
                    }
                    let Node::Step(step) = &slot.node else { continue };
                    if step.implicit || away > 0 {
                        continue;
                    }
                    if args.list_tags && !ground.shared.options.ansible_manners {
                        let host = hosts.first().cloned().unwrap_or_else(|| Arc::from("localhost"));
                        let scope = TaskScope::new(&ground.shared, &vars, &host, Some(step));
                        for tag in &step.tags {
                            reach.entry(tag.clone()).or_default().add(step, &scope);
                        }
                    }
                    if args.list_tags {
                        all_tags.extend(step.tags.iter().cloned());
                    }
                    if args.list_tasks {
                        let mut tags: Vec<&str> = step.tags.iter().map(String::as_str).collect();
                        tags.sort_unstable();
                        let _ = write!(text, "\n      {}\tTAGS: [{}]", step.listed(), tags.join(", "));
                    }
                }
                std::mem::forget(outline);
                tags_reach = reach;
            }
            if args.list_tags {
                all_tags.sort();
                all_tags.dedup();
                text.push_str(&format!("\n      TASK TAGS: [{}]", all_tags.join(", ")));
                for (tag, reach) in tags_reach {
                    text.push_str(&format!("\n        {tag}: {}", reach.shown()));
                }
            }
            display::out(&text);
        }
    }
    Ok(status::DONE)
}
