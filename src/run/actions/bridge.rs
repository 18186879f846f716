//! Modules in Python with Ansible's libraries, where the controller happens to have ansible-core.
//!
//! In: a file of a `library/` folder, or the name of a module that an installed collection has. Out: a program of its own, with a place for the arguments, as the helper runs those
//! (`agent/src/modules/foreign.rs`). ansible-core on the controller packs it, asked through a script of ours on the
//! standard input of its Python; the host needs a Python as well. Nothing else here ever needs either.
//!
//! Not here: Python plug-ins (filters, lookups, callbacks), and modules whose action is a plug-in.

use super::{ActionCall, Failure};
use quorate_value::{Value, dict, to_json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;

const SCRIPT: &str = include_str!("bridge.py");

/// Payloads of a run by the module's file; a module is packed once.
#[derive(Debug, Default)]
pub(crate) struct Payloads(tokio::sync::Mutex<Packed>);

#[derive(Debug, Default)]
struct Packed {
    by_file: std::collections::HashMap<PathBuf, Arc<str>>,
    told: bool,
}

/// The Python that the controller's ansible-core runs on: the first line of the first `ansible-playbook` that is a script.
fn python() -> Option<PathBuf> {
    if crate::environment("QUORATE_BRIDGE").is_some_and(|wish| matches!(wish.as_str(), "no" | "0" | "false"))
    {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|dir| {
        let mut head = [0u8; 256];
        let mut file = std::fs::File::open(dir.join("ansible-playbook")).ok()?;
        let length = std::io::Read::read(&mut file, &mut head).ok()?;
        let first = std::str::from_utf8(head[..length].split(|byte| *byte == b'\n').next()?).ok()?;
        let program = first.strip_prefix("#!")?.split_whitespace().next()?;
        let python = Path::new(program).file_name()?.to_str()?.starts_with("python");
        python.then(|| PathBuf::from(program))
    })
}

/// The payload of a module, or nothing where the controller has no ansible-core.
pub(super) async fn payload(
    call: &ActionCall<'_>,
    name: &str,
    path: &Path,
) -> Result<Option<Arc<str>>, Failure> {
    packed(call, name, Some(path)).await
}

/// The payload of a module that one of the collections has which the controller's ansible-core finds.
pub(super) async fn installed(call: &ActionCall<'_>, name: &str) -> Result<Option<Arc<str>>, Failure> {
    packed(call, name, None).await
}

async fn packed(call: &ActionCall<'_>, name: &str, file: Option<&Path>) -> Result<Option<Arc<str>>, Failure> {
    let Some(python) = python() else { return Ok(None) };
    // what has no file has its name
    let path = file.unwrap_or(Path::new(name));
    let mut packed = call.run.payloads.0.lock().await;
    if let Some(found) = packed.by_file.get(path) {
        return Ok(Some(found.clone()));
    }
    let trouble = |why: &str| {
        let mut failure = Failure::action(format!(
            "the module {name} ({}) is written in Python, and ansible-core ({}) could not pack it: {why}",
            file.map_or_else(|| "of a collection".to_owned(), |path| path.display().to_string()),
            python.display()
        ));
        failure.help = Some(
            "write it as a program of its own: a shebang, arguments from a file, JSON on standard output"
                .into(),
        );
        failure
    };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    // helpers of a module lie beside the folder that it lies in
    let mut beside: Vec<PathBuf> = vec![call.run.shared.options.playbook_dir.join("module_utils")];
    beside.extend(absolute.parent().and_then(Path::parent).map(|dir| dir.join("module_utils")));
    let beside = beside.iter().filter(|dir| dir.is_dir()).map(|dir| Value::from(dir.display().to_string()));
    // those beside the playbook come first, as with Ansible
    let mut collections = vec![call.run.shared.options.playbook_dir.join("collections")];
    collections.extend(call.run.shared.settings.paths("COLLECTIONS_PATHS"));
    let asked = dict! {
        "name" => name, "path" => file.map(|_| absolute.display().to_string()).unwrap_or_default(), "mark" => "the arguments of the task",
        "place" => quorate_agent::modules::foreign::PLACE, "module_utils" => beside.collect::<Value>(),
        "collections" => collections.iter().map(|dir| Value::from(dir.display().to_string())).collect::<Value>(),
    };
    let asked = to_json(&Value::dict(asked));
    let work = async {
        let mut child = tokio::process::Command::new(&python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(asked.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(std::time::Duration::from_mins(2), work)
        .await
        .map_err(|_| trouble("it took longer than two minutes"))?
        .map_err(|e| trouble(&crate::playbook::plain_io(&e)))?;
    // no collection has it, or ansible-core is too old to say
    if file.is_none() && output.status.code() == Some(4) {
        return Ok(None);
    }
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(trouble(said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no word why")));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| trouble("the payload is not text"))?;
    let Some((version, payload)) = text.split_once('\n') else { return Err(trouble("it made nothing")) };
    if !packed.told {
        packed.told = true;
        call.run.tell(crate::report::Event::Warning(format!(
            "{name} is a Python module: it is packed by ansible-core {version} on this controller, and needs Python on the hosts."
        )));
    }
    let payload: Arc<str> = payload.into();
    packed.by_file.insert(path.to_path_buf(), payload.clone());
    Ok(Some(payload))
}
