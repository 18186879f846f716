//! `quorate lsp`: what editors ask of a project, over the Language Server Protocol on standard input and output.
//!
//! In: requests, and text as it is being typed. Out: diagnostics, definitions, hover, rename, completion.
//!
//! **Invariant:** connects to nobody and writes no file: changes are proposed to the editor.

mod complete;
pub(super) mod index;
mod place;

use super::check::{self, files};
use super::common::{self, Cannot, Shape};
use super::{explain, status};
use crate::diag::{Diag, Severity};
use crate::playbook::is_identifier;
use clap::Parser;
use index::{How, Index};
use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use lsp_types::{
    CompletionOptions, CompletionParams, DiagnosticRelatedInformation, DiagnosticSeverity,
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    DidSaveTextDocumentParams, GotoDefinitionParams, Hover, HoverContents, HoverParams,
    HoverProviderCapability, InitializeParams, Location, MarkupContent, MarkupKind, NumberOrString, OneOf,
    PublishDiagnosticsParams, Range, ReferenceParams, RenameOptions, RenameParams, ServerCapabilities,
    TextDocumentPositionParams, TextDocumentSyncCapability, TextDocumentSyncKind, TextEdit, Uri,
    WorkDoneProgressOptions, WorkspaceEdit,
};
use quorate_value::source_of;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long nothing is typed before what was typed is looked at.
const PAUSE: Duration = Duration::from_millis(150);

/// Answer an editor: diagnostics while typing, definitions, hover, rename, completion. Speaks LSP on standard input and output.
#[derive(Debug, Parser)]
#[command(
    name = "quorate lsp",
    disable_version_flag = true,
    after_help = "Editors start this by themselves; docs/how-to/editor.md shows how to tell them."
)]
struct Args {
    /// Accepted, for editors that say it: there is no other way
    #[arg(long, hide = true)]
    stdio: bool,
    /// Inventory, where the project's configuration names none. Repeatable
    #[arg(short, long, value_name = "INVENTORY")]
    inventory: Vec<String>,
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    let args = match super::parsed::<Args>("quorate lsp", args, false) {
        Ok(args) => args,
        Err(status) => return status,
    };
    let (connection, threads) = Connection::stdio();
    let served = serve(connection, args.inventory);
    match served.and_then(|()| threads.join().map_err(|e| e.to_string())) {
        Ok(()) => status::DONE,
        Err(why) => {
            crate::report::display::err(&format!("error: {why}"));
            status::CANNOT_START
        }
    }
}

fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::FULL)),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        rename_provider: Some(OneOf::Right(RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: WorkDoneProgressOptions::default(),
        })),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some(vec![":".into(), " ".into(), "{".into(), "|".into()]),
            ..CompletionOptions::default()
        }),
        ..ServerCapabilities::default()
    }
}

fn serve(connection: Connection, inventory: Vec<String>) -> Result<(), String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let about = serde_json::to_value(capabilities()).map_err(|e| text(&e))?;
    let (id, asked) = connection.initialize_start().map_err(|e| text(&e))?;
    let answer = serde_json::json!({
        "capabilities": about,
        "serverInfo": { "name": "quorate", "version": env!("CARGO_PKG_VERSION") },
    });
    connection.initialize_finish(id, answer).map_err(|e| text(&e))?;
    let asked: InitializeParams = serde_json::from_value(asked).map_err(|e| text(&e))?;
    let root = root_of(&asked);
    // `ansible.cfg`, inventories and roles are found from here
    std::env::set_current_dir(&root).map_err(|e| format!("cannot work in {}: {e}", root.display()))?;
    let mut server = Server {
        connection,
        root,
        inventory,
        open: BTreeMap::new(),
        told: BTreeSet::new(),
        index: Index::default(),
        stale: true,
    };
    loop {
        let message = if server.stale {
            server.connection.receiver.recv_timeout(PAUSE).ok()
        } else {
            Some(server.connection.receiver.recv().map_err(|e| text(&e))?)
        };
        match message {
            Some(Message::Request(request)) => {
                if server.connection.handle_shutdown(&request).map_err(|e| text(&e))? {
                    return Ok(());
                }
                server.request(request)?;
            }
            Some(Message::Notification(note)) => server.notice(note),
            Some(Message::Response(_)) => {}
            None => server.diagnose()?,
        }
    }
}

/// The folder that is open.
fn root_of(asked: &InitializeParams) -> PathBuf {
    let folder =
        asked.workspace_folders.as_ref().and_then(|folders| folders.first()).map(|folder| &folder.uri);
    #[expect(deprecated, reason = "editors of some years ago say it in this way")]
    let old = asked.root_uri.as_ref();
    folder
        .or(old)
        .and_then(place::path_of)
        .filter(|path| path.is_dir())
        .or_else(|| std::env::current_dir().ok())
        .unwrap_or_else(|| PathBuf::from("/"))
}

struct Server {
    connection: Connection,
    root: PathBuf,
    inventory: Vec<String>,
    /// Texts of open files.
    open: BTreeMap<PathBuf, String>,
    /// Files whose diagnostics the editor shows.
    told: BTreeSet<PathBuf>,
    index: Index,
    /// Something was typed that was not looked at yet.
    stale: bool,
}

fn read<P: DeserializeOwned>(value: serde_json::Value) -> Option<P> {
    serde_json::from_value(value).ok()
}

impl Server {
    fn notice(&mut self, note: Notification) {
        match note.method.as_str() {
            "textDocument/didOpen" => {
                let Some(it) = read::<DidOpenTextDocumentParams>(note.params) else { return };
                self.typed(&it.text_document.uri, it.text_document.text);
            }
            "textDocument/didChange" => {
                let Some(it) = read::<DidChangeTextDocumentParams>(note.params) else { return };
                if let Some(change) = it.content_changes.into_iter().next_back() {
                    self.typed(&it.text_document.uri, change.text);
                }
            }
            "textDocument/didClose" => {
                let Some(it) = read::<DidCloseTextDocumentParams>(note.params) else { return };
                if let Some(path) = place::path_of(&it.text_document.uri) {
                    quorate_value::set_unsaved(&path, None);
                    self.open.remove(&path);
                    self.stale = true;
                }
            }
            "textDocument/didSave" => {
                self.stale |= read::<DidSaveTextDocumentParams>(note.params).is_some();
            }
            "workspace/didChangeWatchedFiles" => self.stale = true,
            _ => {}
        }
    }

    fn typed(&mut self, uri: &Uri, text: String) {
        let Some(path) = place::path_of(uri) else { return };
        quorate_value::set_unsaved(&path, Some(text.as_str().into()));
        self.open.insert(path, text);
        self.stale = true;
    }

    fn shape(&self) -> Shape {
        Shape { inventory: self.inventory.clone(), ..Shape::default() }
    }

    /// Looks at what is open, and tells the editor.
    fn diagnose(&mut self) -> Result<(), String> {
        self.stale = false;
        // paths as people would type them: roles and inventories are found from the folder
        let paths: Vec<PathBuf> = self
            .open
            .keys()
            .map(|path| path.strip_prefix(&self.root).map_or_else(|_| path.clone(), Path::to_path_buf))
            .collect();
        let diags = match check::all(&paths, &self.shape()) {
            Ok(found) => found.diags,
            Err(cannot) => vec![Diag::error("E0300", cannot.text)],
        };
        let mut by_file: BTreeMap<PathBuf, Vec<lsp_types::Diagnostic>> = BTreeMap::new();
        for path in &self.open {
            by_file.insert(path.0.clone(), Vec::new());
        }
        for path in std::mem::take(&mut self.told) {
            by_file.entry(path).or_default();
        }
        for diag in &diags {
            let Some(source) = source_of(diag.span.file) else { continue };
            let path = std::path::absolute(&source.path).unwrap_or_else(|_| source.path.clone());
            by_file.entry(path).or_default().push(told(diag));
        }
        for (path, diagnostics) in by_file {
            let Some(uri) = place::uri_of(&path) else { continue };
            if !diagnostics.is_empty() {
                self.told.insert(path);
            }
            let params = PublishDiagnosticsParams { uri, diagnostics, version: None };
            let note = Notification::new("textDocument/publishDiagnostics".into(), params);
            self.connection.sender.send(Message::Notification(note)).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), String> {
        let Request { id, method, params } = request;
        let result: Result<serde_json::Value, String> = match method.as_str() {
            "textDocument/definition" => read::<GotoDefinitionParams>(params)
                .map(|it| self.definition(&it.text_document_position_params))
                .map_or(Ok(serde_json::Value::Null), |it| json(&it)),
            "textDocument/references" => read::<ReferenceParams>(params)
                .map(|it| self.references(&it.text_document_position))
                .map_or(Ok(serde_json::Value::Null), |it| json(&it)),
            "textDocument/hover" => read::<HoverParams>(params)
                .and_then(|it| self.hover(&it.text_document_position_params))
                .map_or(Ok(serde_json::Value::Null), |it| json(&it)),
            "textDocument/prepareRename" => read::<TextDocumentPositionParams>(params)
                .and_then(|it| self.renamed_word(&it))
                .map_or(Ok(serde_json::Value::Null), |(_, range)| json(&range)),
            "textDocument/rename" => match read::<RenameParams>(params) {
                Some(it) => self.rename(&it).and_then(|edit| json(&edit)),
                None => Ok(serde_json::Value::Null),
            },
            "textDocument/completion" => read::<CompletionParams>(params)
                .map(|it| self.completion(&it))
                .map_or(Ok(serde_json::Value::Null), |it| json(&it)),
            _ => {
                let code = ErrorCode::MethodNotFound as i32;
                let answer = Response::new_err(id, code, format!("`{method}` is not known here"));
                return self.connection.sender.send(Message::Response(answer)).map_err(|e| e.to_string());
            }
        };
        let answer = match result {
            Ok(value) => Response::new_ok(id, value),
            Err(why) => Response::new_err(id, ErrorCode::InvalidParams as i32, why),
        };
        self.connection.sender.send(Message::Response(answer)).map_err(|e| e.to_string())
    }

    fn fresh(&mut self) {
        let open: Vec<PathBuf> = self.open.keys().cloned().collect();
        let root = self.root.clone();
        self.index.refresh(&root, &open);
    }

    /// The file and place that a request is about.
    fn here(&self, it: &TextDocumentPositionParams) -> Option<(PathBuf, String, u32, u32)> {
        let path = place::path_of(&it.text_document.uri)?;
        let text = match self.open.get(&path) {
            Some(text) => text.clone(),
            None => std::fs::read_to_string(&path).ok()?,
        };
        let (line, column) = place::place(&text, it.position);
        Some((path, text, line, column))
    }

    /// The name under the cursor.
    fn occurrence(&self, path: &Path, line: u32, column: u32) -> Option<index::Occurrence> {
        let file = self.index.files.get(path)?;
        file.found.iter().find(|found| found.holds(line, column)).cloned()
    }

    fn location(&self, path: &Path, found: &index::Occurrence) -> Option<Location> {
        let text = &self.index.files.get(path)?.text;
        let length = u32::try_from(found.name.chars().count()).unwrap_or(0);
        Some(Location::new(place::uri_of(path)?, place::range(text, found.line, found.column, length)))
    }

    fn definition(&mut self, it: &TextDocumentPositionParams) -> Vec<Location> {
        self.fresh();
        let Some((path, text, line, column)) = self.here(it) else { return Vec::new() };
        if let Some(found) = self.occurrence(&path, line, column) {
            let wanted = |how: How| match found.how {
                How::Notified | How::Handler => how == How::Handler,
                _ => matches!(how, How::Defined(_)),
            };
            let all = self.index.of(&found.name);
            let places = all.into_iter().filter(|(_, other)| wanted(other.how));
            let places: Vec<Location> =
                places.filter_map(|(path, found)| self.location(path, found)).collect();
            if !places.is_empty() {
                return places;
            }
        }
        let target = named_file(&self.root, &path, &text, line, column);
        target
            .and_then(|path| Some(Location::new(place::uri_of(&path)?, Range::default())))
            .into_iter()
            .collect()
    }

    fn references(&mut self, it: &TextDocumentPositionParams) -> Vec<Location> {
        self.fresh();
        let Some((path, _, line, column)) = self.here(it) else { return Vec::new() };
        let Some(found) = self.occurrence(&path, line, column) else { return Vec::new() };
        let handler = matches!(found.how, How::Handler | How::Notified);
        let same = |how: How| matches!(how, How::Handler | How::Notified) == handler;
        let all = self.index.of(&found.name).into_iter().filter(|(_, other)| same(other.how));
        all.filter_map(|(path, found)| self.location(path, found)).collect()
    }

    /// What counts for a variable, as `quorate explain` has it; what a module is for.
    fn hover(&mut self, it: &TextDocumentPositionParams) -> Option<Hover> {
        self.fresh();
        let (path, text, line, column) = self.here(it)?;
        let markdown = match self.occurrence(&path, line, column) {
            Some(found) if matches!(found.how, How::Defined(_) | How::Read | How::Spelled) => {
                let said = self.explained(&path, &found.name).unwrap_or_default();
                if said.is_empty() {
                    return None;
                }
                format!("**{}**\n\n```text\n{}\n```", found.name, said.trim_end())
            }
            Some(_) => return None,
            None => {
                let around = place::around(&text, line, column);
                let row = text.split('\n').nth(line as usize - 1)?;
                let word = complete::word_at(row, column);
                complete::about(&around, &word)?
            }
        };
        let value = MarkupContent { kind: MarkupKind::Markdown, value: markdown };
        Some(Hover { contents: HoverContents::Markup(value), range: None })
    }

    /// Playbooks that a file belongs to.
    fn playbooks(&self, path: &Path) -> Vec<PathBuf> {
        let is_playbook = |file: &index::FileIndex| file.kind == Some(files::Kind::Playbook);
        if self.index.files.get(path).is_some_and(|file| is_playbook(file)) {
            return vec![path.to_path_buf()];
        }
        let role = files::role_of(path)
            .and_then(|(dir, _)| dir.file_name().map(|name| name.to_string_lossy().into_owned()));
        let mut all: Vec<PathBuf> = self
            .index
            .files
            .iter()
            .filter(|(_, file)| is_playbook(file))
            .filter(|(_, file)| role.as_ref().is_none_or(|role| file.text.contains(role.as_str())))
            .map(|(path, _)| path.clone())
            .collect();
        // the shortest name is the plainest use: etcd.yml before etcd-sync.yml
        all.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        all.truncate(1);
        all
    }

    fn explained(&self, path: &Path, name: &str) -> Option<String> {
        let books = self.playbooks(path);
        let book = books.first().map(PathBuf::as_path);
        let ground =
            common::ground_noting(&self.shape(), book, false, (&[], &[]), Some(&mut Vec::new())).ok()?;
        let plays = book.and_then(|book| ground.shared.loader().playbook(book).ok()).unwrap_or_default();
        match explain::variable(&ground, &plays, name) {
            Ok(Some(text)) => Some(text),
            // not of this playbook: where it stands at all
            _ => {
                let all = self.index.of(name);
                let lines: Vec<String> = all
                    .iter()
                    .filter_map(|(path, found)| match found.how {
                        How::Defined(level) => {
                            let path = path.strip_prefix(&self.root).unwrap_or(path);
                            Some(format!("   {level:>2}  {}:{}", path.display(), found.line))
                        }
                        _ => None,
                    })
                    .collect();
                (!lines.is_empty()).then(|| lines.join("\n"))
            }
        }
    }

    fn renamed_word(&mut self, it: &TextDocumentPositionParams) -> Option<(index::Occurrence, Range)> {
        self.fresh();
        let (path, text, line, column) = self.here(it)?;
        let found = self.occurrence(&path, line, column)?;
        let length = u32::try_from(found.name.chars().count()).unwrap_or(0);
        let range = place::range(&text, found.line, found.column, length);
        Some((found, range))
    }

    #[expect(clippy::mutable_key_type, reason = "the protocol's own type")]
    fn rename(&mut self, it: &RenameParams) -> Result<WorkspaceEdit, String> {
        let (found, _) = self.renamed_word(&it.text_document_position).ok_or("there is no variable here")?;
        if matches!(found.how, How::Handler | How::Notified) {
            return Err("only variables are renamed".into());
        }
        let old = &found.name;
        if !is_identifier(&it.new_name) {
            return Err(format!(
                "`{}` is no name of a variable: letters, digits and underscores, not starting with a digit",
                it.new_name
            ));
        }
        let all = self.index.of(old);
        if !all.iter().any(|(_, found)| matches!(found.how, How::Defined(_))) {
            return Err(format!("`{old}` is defined nowhere in this folder, so it cannot be renamed"));
        }
        if self.index.of(&it.new_name).iter().any(|(_, found)| matches!(found.how, How::Defined(_))) {
            return Err(format!("`{}` is defined already: two variables would become one", it.new_name));
        }
        let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
        for (path, found) in all {
            // a short word in quotes, or behind a dot, is more often something else
            if matches!(found.how, How::Handler | How::Notified) {
                continue;
            }
            if let Some(location) = self.location(path, found) {
                changes
                    .entry(location.uri)
                    .or_default()
                    .push(TextEdit::new(location.range, it.new_name.clone()));
            }
        }
        Ok(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() })
    }

    fn completion(&mut self, it: &CompletionParams) -> Vec<lsp_types::CompletionItem> {
        self.fresh();
        let Some((path, text, line, column)) = self.here(&it.text_document_position) else {
            return Vec::new();
        };
        let around = place::around(&text, line, column);
        let kind = files::kind_of(&path, &text);
        let hosts = || self.hosts().unwrap_or_default();
        let roles = || roles(&self.root, &path);
        complete::complete(&around, kind, &self.index, &hosts, &roles)
    }

    /// Hosts and groups.
    fn hosts(&self) -> Result<Vec<String>, Cannot> {
        let ground = common::ground_noting(&self.shape(), None, false, (&[], &[]), Some(&mut Vec::new()))?;
        let inventory = ground.shared.inventory();
        let mut names: Vec<String> =
            inventory.groups().map(|id| inventory.group(id).name().to_string()).collect();
        names.extend(
            inventory
                .hosts()
                .filter(|id| !inventory.host(*id).is_implicit())
                .map(|id| inventory.host_name(id).to_string()),
        );
        Ok(names)
    }
}

fn json(value: &impl serde::Serialize) -> Result<serde_json::Value, String> {
    serde_json::to_value(value).map_err(|e| e.to_string())
}

/// A diagnostic in the editor's words.
fn told(diag: &Diag) -> lsp_types::Diagnostic {
    let text = source_of(diag.span.file).map(|source| source.text.to_string()).unwrap_or_default();
    let row = text.split('\n').nth((diag.span.line as usize).saturating_sub(1)).unwrap_or_default();
    let rest: String = row.chars().skip((diag.span.column as usize).saturating_sub(1)).collect();
    let length = rest
        .find([':', ' ', ',', '}', ']'])
        .filter(|n| *n > 0)
        .map_or(rest.chars().count(), |n| rest[..n].chars().count());
    let mut message = diag.message.clone();
    for more in diag.help.iter().chain(&diag.notes) {
        message.push_str(&format!("\n{more}"));
    }
    let related: Vec<DiagnosticRelatedInformation> = diag
        .related
        .iter()
        .filter_map(|(span, label)| {
            let source = source_of(span.file)?;
            let uri = place::uri_of(&std::path::absolute(&source.path).ok()?)?;
            let range = place::range(&source.text, span.line, span.column, 1);
            Some(DiagnosticRelatedInformation { location: Location::new(uri, range), message: label.clone() })
        })
        .collect();
    lsp_types::Diagnostic {
        range: place::range(
            &text,
            diag.span.line.max(1),
            diag.span.column.max(1),
            u32::try_from(length).unwrap_or(1).max(1),
        ),
        severity: Some(match diag.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(diag.code.into())),
        source: Some("quorate".into()),
        message,
        related_information: Some(related).filter(|related| !related.is_empty()),
        ..lsp_types::Diagnostic::default()
    }
}

/// Folders that roles are in, for a file.
fn role_dirs(root: &Path, path: &Path) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Some((role, _)) = files::role_of(path) {
        dirs.extend(role.parent().map(Path::to_path_buf));
    }
    dirs.extend(path.parent().map(|dir| dir.join("roles")));
    if let Ok(settings) = crate::settings::Settings::load(&crate::environment, root) {
        dirs.extend(settings.paths("DEFAULT_ROLES_PATH"));
    }
    dirs.push(root.join("roles"));
    dirs
}

/// Names of roles.
fn roles(root: &Path, path: &Path) -> Vec<String> {
    let entries =
        role_dirs(root, path).into_iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The file that a word names: a role, an included file, a template.
fn named_file(root: &Path, path: &Path, text: &str, line: u32, column: u32) -> Option<PathBuf> {
    let row = text.split('\n').nth((line as usize).checked_sub(1)?)?;
    let name = complete::path_at(row, column);
    if name.is_empty() || name.contains("{{") {
        return None;
    }
    let around = place::around(text, line, column);
    let key = around.key.as_deref().unwrap_or_default();
    let parent = around.keys.last().map(String::as_str).unwrap_or_default();
    let short = |word: &str| crate::playbook::short_name(word).to_owned();
    let is_role = key == "role"
        || (parent == "roles" && (key.is_empty() || key == "name"))
        || (key == "name" && matches!(short(parent).as_str(), "import_role" | "include_role"))
        || parent == "dependencies";
    if is_role {
        let dir = role_dirs(root, path).into_iter().map(|dir| dir.join(&name)).find(|dir| dir.is_dir())?;
        let main = ["tasks/main.yml", "tasks/main.yaml", "meta/main.yml"].iter().map(|part| dir.join(part));
        return main.into_iter().find(|path| path.is_file());
    }
    let here = path.parent()?;
    let mut dirs = vec![here.to_path_buf()];
    if let Some((role, _)) = files::role_of(path) {
        for part in ["tasks", "templates", "files", "vars", "handlers"] {
            dirs.push(role.join(part));
        }
        dirs.push(role);
        // `tasks_from` of another role
        if matches!(key, "tasks_from" | "vars_from" | "defaults_from" | "handlers_from") {
            return from_part(root, path, text, line, key, &name);
        }
    }
    if matches!(key, "tasks_from" | "vars_from" | "defaults_from" | "handlers_from") {
        return from_part(root, path, text, line, key, &name);
    }
    for part in ["templates", "files", "tasks", "vars"] {
        dirs.push(here.join(part));
    }
    dirs.push(root.to_path_buf());
    dirs.into_iter().map(|dir| dir.join(&name)).find(|path| path.is_file())
}

/// A file of the role that is named beside `tasks_from`.
fn from_part(root: &Path, path: &Path, text: &str, line: u32, key: &str, name: &str) -> Option<PathBuf> {
    let lines: Vec<&str> = text.split('\n').collect();
    let near = (line as usize).saturating_sub(4)..(line as usize + 3).min(lines.len());
    let role = lines[near].iter().find_map(|row| {
        let row = row.trim().trim_start_matches("- ");
        row.strip_prefix("name:").or_else(|| row.strip_prefix("role:")).map(|role| role.trim().to_owned())
    })?;
    let part = key.strip_suffix("_from")?;
    let dirs = role_dirs(root, path).into_iter().map(|dir| dir.join(&role).join(part)).collect::<Vec<_>>();
    dirs.iter()
        .flat_map(|dir| ["", ".yml", ".yaml"].map(|end| dir.join(format!("{name}{end}"))))
        .find(|path| path.is_file())
}
