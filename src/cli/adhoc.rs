//! `quorate run` and `ansible`: one module on many hosts.

use super::common::{self, Cannot, Shape};
use super::status;
use crate::plan::TagFilter;
use crate::playbook::{Entry, Play};
use crate::report::display;
use crate::run::{Playbook, Runner};
use crate::settings::Mismatch;
use clap::Parser;
use quorate_value::{FileId, Span, Str, Value};
use std::path::Path;
use std::sync::Arc;

/// Run one module on many hosts.
#[derive(Debug, Parser)]
#[command(
    name = "quorate run",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate run etcd -m ping\n  quorate run etcd -f 1 -b -a 'systemctl restart etcd'"
)]
struct Args {
    /// Which hosts
    #[arg(required_unless_present = "version", value_name = "PATTERN")]
    pattern: Option<String>,
    /// The module
    #[arg(short, long, value_name = "MODULE")]
    module_name: Option<String>,
    /// Its arguments
    #[arg(short, long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    args: String,
    /// Run in the background for at most so many seconds
    #[arg(short = 'B', long, value_name = "SECONDS")]
    background: Option<u64>,
    /// Seconds between looks at a background job
    #[arg(short = 'P', long, value_name = "SECONDS")]
    poll: Option<u64>,
    /// One line a host
    #[arg(short, long)]
    one_line: bool,
    /// Write results to files in this directory
    #[arg(short, long, value_name = "DIR")]
    tree: Option<String>,
    /// Where to look for roles and group_vars
    #[arg(long, value_name = "DIR")]
    playbook_dir: Option<String>,
    /// List the hosts and stop
    #[arg(long)]
    list_hosts: bool,
    /// JSON or k=v options for the task
    #[arg(long, value_name = "JSON", hide = true)]
    task_timeout: Option<u64>,
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
    let name = if ansible { "ansible" } else { "quorate run" };
    let args = match super::parsed::<Args>(name, args, ansible) {
        Ok(args) => args,
        Err(status) => return status,
    };
    if args.version {
        display::out(&super::version(name));
        return status::DONE;
    }
    match adhoc(&args, ansible) {
        Ok(code) => code,
        Err(cannot) => {
            display::err(&cannot.text);
            cannot.status
        }
    }
}

fn adhoc(args: &Args, ansible: bool) -> Result<u8, Cannot> {
    let pattern = args.pattern.clone().unwrap_or_default();
    let dir = args.playbook_dir.as_ref().map(|dir| Path::new(dir).join("adhoc.yml"));
    let mut ground = common::ground(&args.shape, dir.as_deref(), ansible, (&[], &[]))?;
    ground.manner.verbosity = ground.shared.options.verbosity;
    let selected = {
        let inventory = ground.shared.inventory();
        let selection = inventory.select_within(&pattern, ground.limit.as_ref());
        for warning in &selection.warnings {
            if !ansible && !args.shape.lenient {
                return Err(Cannot::start(format!("error[E0302]: {warning}")));
            }
            let text = warning.to_string();
            match ground.shared.settings.mismatch(warning) {
                Mismatch::Refused => return Err(Cannot::start(super::headline(&text, ansible))),
                Mismatch::Silent => {}
                Mismatch::Told => display::warning(&text),
            }
        }
        selection.hosts.iter().map(|id| inventory.host_name(*id).to_string()).collect::<Vec<_>>()
    };
    if args.list_hosts {
        display::out(&format!("  hosts ({}):", selected.len()));
        for host in &selected {
            display::out(&format!("    {host}"));
        }
        return Ok(status::DONE);
    }
    if selected.is_empty() {
        let text = "No hosts matched, nothing to do";
        display::warning(text);
        return Ok(status::DONE);
    }
    let module = args
        .module_name
        .clone()
        .unwrap_or_else(|| ground.shared.settings.text("DEFAULT_MODULE_NAME").to_owned());
    if args.args.trim().is_empty()
        && matches!(
            module.as_str(),
            "command" | "shell" | "raw" | "script" | "ansible.builtin.command" | "ansible.builtin.shell"
        )
    {
        return Err(Cannot {
            text: format!("ERROR! No argument passed to {module} module"),
            status: status::USAGE,
        });
    }
    let text: Arc<str> = format!("- {module}: {}\n", args.args).into();
    let file = FileId::register(Path::new(crate::report::ADHOC), text);
    let span = Span::new(file, 1, 3);
    let task = task_node(&module, &args.args, file, &ground)?;
    let mut task = task;
    if let Some(seconds) = args.task_timeout {
        task.keywords.set(crate::playbook::Kw::Timeout, Value::from(seconds));
    }
    if let Some(seconds) = args.background {
        task.async_seconds = Some(Value::from(seconds));
        task.poll = Some(Value::from(args.poll.unwrap_or(15)));
    }
    let play = Play {
        name: Some(Str::new("Ansible Ad-Hoc")),
        gather_facts: Some(Value::Bool(false)),
        tasks: vec![Entry::Task(Arc::new(task))],
        ..Play::of(
            span,
            dir.unwrap_or_else(|| ground.shared.options.playbook_dir.join("adhoc.yml")),
            Value::from(pattern.as_str()),
        )
    };
    let runtime = common::runtime()?;
    let code = runtime.block_on(async {
        let run = common::start_minimal(&ground, args.one_line);
        common::watch_interrupts(&run);
        let mut runner = Runner::new(run.clone(), TagFilter::default(), ground.limit.clone(), None);
        let book = Playbook { path: "__adhoc_playbook__".into(), plays: vec![play] };
        let outcome = runner.playbook(&book).await;
        run.guard.close().await;
        run.pool.close().await;
        if let Err(diag) = outcome {
            let text =
                if ansible { super::play::ansible_error(&diag) } else { diag.render(ground.look.colour) };
            return Err(Cannot::start(text));
        }
        if run.is_interrupted() {
            return Ok(status::INTERRUPTED);
        }
        Ok(if run.guard.refused() && !ansible && runner.status() == 2 {
            status::REFUSED
        } else {
            runner.status()
        })
    });
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    code
}

fn task_node(
    module: &str,
    text: &str,
    file: FileId,
    ground: &common::Ground,
) -> Result<crate::playbook::Task, Cannot> {
    let trimmed = text.trim();
    let value = if trimmed.starts_with('{')
        && !trimmed.starts_with("{{")
        && !matches!(crate::playbook::short_name(module), "command" | "shell" | "raw" | "script")
    {
        quorate_value::from_json_str(trimmed)
            .map(|v| v.trusted())
            .or_else(|_| quorate_yaml::parse(trimmed, file).map(|doc| doc.root.to_value()))
            .map_err(|e| Cannot::start(e.report()))?
    } else {
        Value::Str(Str::written(text, Span::new(file, 1, 3)))
    };
    ground
        .shared
        .loader()
        .adhoc(module, value, Span::new(file, 1, 3))
        .map_err(|diag| Cannot { text: diag.render(ground.look.colour), status: status::DOES_NOT_COMPILE })
}
