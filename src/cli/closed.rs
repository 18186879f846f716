//! The closed world: names on the command line and in the inventory that nothing answers to.
//!
//! In: playbooks as loaded, the inventory, what the command line says. Out: what is certainly a slip, with the nearest
//! name; before any host is touched. By Ansible's names (and with `--lenient`) the same are warnings.
//!
//! **Invariant:** right before strict. A name that stands anywhere in what the playbooks can read passes; where an
//! include or a role has a name that is only known while running, everything beside the playbook counts as readable.
//!
//! Not here: unknown modules, keywords and roles (the loader refuses them).

use super::common::Ground;
use crate::diag::Diag;
use crate::plan::{Node, TagFilter};
use crate::playbook::{Entry, Play};
use crate::run::guard::cluster::VARIABLES;
use crate::run::{Playbook, Run, Runner};
use crate::vars::{PlayVars, collect_roles};
use quorate_inventory::split_pattern;
use quorate_value::{Span, Str, Value, str_of};
use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Words that no playbook names and that mean something all the same.
const TAGS: [&str; 5] = ["all", "always", "never", "tagged", "untagged"];
/// How many files, and how big ones, are looked through.
const MOST_FILES: usize = 20_000;
const MOST_BYTES: u64 = 1 << 20;

/// What was asked for.
pub(super) struct Asked<'a> {
    /// `-t` and `--skip-tags`.
    pub tags: &'a [String],
    /// `--start-at-task`.
    pub start_at: Option<&'a str>,
    /// `-l`, as its parts.
    pub limit: &'a [String],
}

/// Looks for slips. Errors stop the run where Quorate's own manners hold; warnings never do.
pub(super) fn check(ground: &Ground, run: &Arc<Run>, books: &[Playbook], asked: &Asked) -> Vec<Diag> {
    let world = World::read(ground, run, books, asked);
    let mut found = Vec::new();
    world.tags(asked.tags, &mut found);
    world.start_at(asked.start_at, &mut found);
    world.limit(asked.limit, &mut found);
    world.hosts(books, &mut found);
    world.extra(&mut found);
    world.inventory(&mut found);
    found
}

/// Text that somebody may read, and its words.
#[derive(Default)]
struct Corpus {
    words: HashSet<String>,
    text: String,
    /// Files and folders that are passed over; with any, `group_vars` and `host_vars` are too.
    without: Vec<PathBuf>,
}

impl Corpus {
    fn add(&mut self, text: &str) {
        for word in text.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            if !word.is_empty() && !self.words.contains(word) {
                self.words.insert(word.to_owned());
            }
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn file(&mut self, path: &Path) {
        if std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= MOST_BYTES)
            && let Ok(text) = std::fs::read_to_string(path)
        {
            self.add(&text);
        }
    }

    fn folder(&mut self, path: &Path, budget: &mut usize, depth: usize) {
        let Ok(entries) = std::fs::read_dir(path) else { return };
        for entry in entries.flatten() {
            if *budget == 0 || depth > 12 {
                return;
            }
            *budget -= 1;
            let name = entry.file_name();
            let kind = entry.file_type();
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            if !self.without.is_empty()
                && (matches!(name.to_str(), Some("group_vars" | "host_vars"))
                    || std::fs::canonicalize(entry.path()).is_ok_and(|path| self.without.contains(&path)))
            {
                continue;
            }
            match kind {
                Ok(kind) if kind.is_dir() => self.folder(&entry.path(), budget, depth + 1),
                Ok(kind) if kind.is_file() => self.file(&entry.path()),
                _ => {}
            }
        }
    }

    fn value(&mut self, value: &Value) {
        crate::plan::graph::words(value, &mut |word| {
            self.words.insert(word.to_owned());
        });
    }
}

/// Everything that the playbooks can read. What lies on the disk is only looked through once a name stands in nothing
/// that was read to compile them: usually never.
struct World<'a> {
    ground: &'a Ground,
    books: &'a [Playbook],
    near: OnceCell<Corpus>,
    far: OnceCell<Corpus>,
    /// What other playbooks beside these can read: an inventory serves them all.
    wide: OnceCell<Corpus>,
    /// Files and folders of `far`.
    places: BTreeSet<PathBuf>,
    tags: BTreeSet<String>,
    tasks: BTreeSet<String>,
    /// Includes or roles whose names are only known while running.
    open: bool,
    /// Hosts or groups come while running.
    grows: bool,
    /// Somebody asks for tags or tasks.
    wanted: bool,
}

impl<'a> World<'a> {
    fn read(ground: &'a Ground, run: &Arc<Run>, books: &'a [Playbook], asked: &Asked) -> Self {
        let runner = Runner::new(run.clone(), TagFilter::new(&[], &[]), None, None);
        let mut world = World {
            ground,
            books,
            near: OnceCell::new(),
            far: OnceCell::new(),
            wide: OnceCell::new(),
            places: BTreeSet::new(),
            tags: BTreeSet::new(),
            tasks: BTreeSet::new(),
            open: false,
            grows: false,
            // only who names a tag or a task wants to know all there are
            wanted: !asked.tags.is_empty() || asked.start_at.is_some(),
        };
        for book in books {
            world.places.insert(PathBuf::from(&book.path));
            for play in &book.plays {
                let vars = Arc::new(PlayVars::new(play));
                world.tags.extend(play.keywords.tags.iter().map(|tag| tag.as_str().to_owned()));
                let steps = if world.wanted {
                    runner.outline(play, &vars, &Arc::from("localhost"))
                } else {
                    Vec::new()
                };
                for slot in &steps {
                    if let Node::Step(step) = &slot.node {
                        world.tags.extend(step.tags.iter().cloned());
                        world.tasks.insert(step.title());
                        world.tasks.extend(step.task.name.iter().map(|name| name.as_str().to_owned()));
                        world.notice(step.module(), &step.task.action.args);
                    }
                }
                for entries in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks, &play.handlers] {
                    let mut roles = Vec::new();
                    collect_roles(entries, &mut roles);
                    world.places.extend(roles.iter().map(|role| role.role.path.clone()));
                    for role in &roles {
                        world.entries(&role.handlers);
                    }
                    world.entries(entries);
                }
                world.play(play);
                for name in ["tasks", "templates", "vars", "handlers"] {
                    world.places.insert(vars.dir.join(name));
                }
            }
        }
        if world.open {
            // what comes in may come from anywhere
            world.places.insert(ground.shared.options.playbook_dir.clone());
            world.places.extend(ground.shared.loader().paths().roles.iter().cloned());
        }
        world
    }

    /// Whatever was read so far (the inventory's own files are looked at by value, in `far`).
    fn near(&self) -> &Corpus {
        self.near.get_or_init(|| {
            let mut near = Corpus::default();
            let inventories: Vec<PathBuf> = self
                .ground
                .shared
                .options
                .sources
                .iter()
                .map(|source| PathBuf::from(source.as_str()))
                .collect();
            for path in quorate_value::sources() {
                let of_inventory = inventories.iter().any(|source| path.path.starts_with(source))
                    || path
                        .path
                        .components()
                        .any(|part| matches!(part.as_os_str().to_str(), Some("group_vars" | "host_vars")));
                if !of_inventory {
                    near.add(&path.text);
                }
            }
            for play in self.books.iter().flat_map(|book| &book.plays) {
                for value in play.vars.values().chain(&play.vars_files).chain([&play.hosts]) {
                    near.value(value);
                }
            }
            near
        })
    }

    /// What lies on the disk, and the values (not the names) of the inventory, for templates read them.
    fn far(&self) -> &Corpus {
        self.far.get_or_init(|| {
            let mut far = Corpus::default();
            let mut budget = MOST_FILES;
            for place in &self.places {
                if place.is_dir() {
                    far.folder(place, &mut budget, 0);
                } else {
                    far.file(place);
                }
            }
            let inventory = self.ground.shared.inventory();
            let of_hosts = inventory.hosts().map(|id| inventory.host(id).vars());
            let of_groups = inventory.groups().map(|id| inventory.group(id).vars());
            for (_, value, _) in of_hosts.chain(of_groups).flat_map(|vars| vars.iter()) {
                far.value(value);
            }
            for value in self.ground.shared.extra.values() {
                far.value(value);
            }
            far
        })
    }

    /// Files of other playbooks and of all roles there are, without those that define variables of hosts and groups.
    fn wide(&self) -> &Corpus {
        self.wide.get_or_init(|| {
            let mut wide = Corpus::default();
            let mut budget = MOST_FILES;
            let shared = &self.ground.shared;
            let sources = shared.options.sources.iter().filter(|source| !source.contains(','));
            wide.without = sources.filter_map(|source| std::fs::canonicalize(source.as_str()).ok()).collect();
            wide.folder(&shared.options.playbook_dir, &mut budget, 0);
            for roles in &shared.loader().paths().roles {
                wide.folder(roles, &mut budget, 0);
            }
            wide
        })
    }

    /// Whether a name stands anywhere as a word.
    fn reads(&self, name: &str) -> bool {
        VARIABLES.contains(&name) || self.near().words.contains(name) || self.far().words.contains(name)
    }

    /// Every word there is.
    fn words(&self) -> impl Iterator<Item = &String> {
        self.near().words.iter().chain(&self.far().words)
    }

    fn play(&mut self, play: &Play) {
        self.open |= play.vars_files.iter().any(|value| str_of(value).contains("{{"));
    }

    fn named(&mut self, tags: &[Str]) {
        if self.wanted {
            self.tags.extend(tags.iter().map(|tag| tag.as_str().to_owned()));
        }
    }

    fn entries(&mut self, entries: &[Entry]) {
        for entry in entries {
            match entry {
                Entry::Task(task) => {
                    self.notice(crate::playbook::short_name(task.action.name.as_str()), &task.action.args);
                    self.named(&task.keywords.tags);
                }
                Entry::Block(block) => {
                    self.named(&block.keywords.tags);
                    for part in [&block.body, &block.rescue, &block.always] {
                        self.entries(part);
                    }
                }
                Entry::Role(role) => {
                    self.named(&role.keywords.tags);
                    self.entries(&role.tasks);
                }
            }
        }
    }

    fn notice(&mut self, module: &str, args: &Value) {
        match module {
            "include_tasks" | "include_role" | "include_vars" => self.open = true,
            "add_host" | "group_by" => self.grows = true,
            "meta" if str_of(args).contains("refresh_inventory") => self.grows = true,
            _ => {}
        }
    }

    fn tags(&self, asked: &[String], found: &mut Vec<Diag>) {
        for tag in asked {
            if TAGS.contains(&tag.as_str()) || self.tags.contains(tag) {
                continue;
            }
            // a tag that is a template, or one in a file that is only read while running
            let templated = self.tags.iter().any(|known| known.contains("{{"));
            if templated || (self.open && self.stands(tag)) {
                continue;
            }
            found.push(
                Diag::error("E0310", format!("no task has the tag `{tag}`"))
                    .did_you_mean(tag, self.tags.iter())
                    .note("`--list-tags` lists the tags that there are"),
            );
        }
    }

    fn stands(&self, name: &str) -> bool {
        self.reads(name) || (name.contains(|c: char| !(c.is_alphanumeric() || c == '_')) && self.says(name))
    }

    /// Whether some text holds it, as it stands.
    fn says(&self, text: &str) -> bool {
        self.near().text.contains(text) || self.far().text.contains(text)
    }

    fn start_at(&self, name: Option<&str>, found: &mut Vec<Diag>) {
        let Some(name) = name else { return };
        let known = self.tasks.contains(name)
            || self.tasks.iter().any(|task| quorate_agent::system::glob::fnmatch(task, name))
            || self.tasks.iter().any(|task| task.contains("{{"))
            || (self.open && self.says(name));
        if !known {
            found.push(
                Diag::error("E0312", format!("there is no task `{name}` to start at"))
                    .did_you_mean(name, self.tasks.iter())
                    .note("`--list-tasks` lists the tasks that there are"),
            );
        }
    }

    fn limit(&self, parts: &[String], found: &mut Vec<Diag>) {
        if self.grows {
            return;
        }
        let inventory = self.ground.shared.inventory();
        for part in parts.iter().flat_map(|part| split_pattern(part)) {
            if part.starts_with('@') {
                continue;
            }
            let plain = part.trim_start_matches(['!', '&']);
            for nearest in unmatched(&inventory, plain) {
                found.push(nobody(
                    &format!("-l: there is no host or group `{plain}`"),
                    nearest,
                    Span::default(),
                ));
            }
        }
    }

    /// `hosts` of plays. A group that is not there may be meant so (an optional part of a site), so only what looks like
    /// a slip is one: a near name exists, or no play at all has hosts.
    fn hosts(&self, books: &[Playbook], found: &mut Vec<Diag>) {
        if self.grows {
            return;
        }
        let inventory = self.ground.shared.inventory();
        let mut diags = Vec::new();
        let mut somebody = false;
        for play in books.iter().flat_map(|book| &book.plays) {
            let patterns: Vec<String> = match &play.hosts {
                Value::List(items) => items.iter().map(str_of).collect(),
                one => vec![str_of(one)],
            };
            if patterns.iter().any(|pattern| pattern.contains("{{")) {
                somebody = true;
                continue;
            }
            for part in patterns.iter().flat_map(|pattern| split_pattern(pattern)) {
                let plain = part.trim_start_matches(['!', '&']);
                let missing = unmatched(&inventory, plain);
                somebody |= missing.is_empty() && !part.starts_with('!');
                for nearest in missing {
                    let sure = !nearest.is_empty();
                    let message = format!("there is no host or group `{plain}` in the inventory");
                    diags.push((sure, nobody(&message, nearest, play.hosts_span).label("of this play")));
                }
            }
        }
        found.extend(diags.into_iter().filter(|(sure, _)| *sure || !somebody).map(|(_, diag)| diag));
    }

    fn extra(&self, found: &mut Vec<Diag>) {
        for name in self.ground.shared.extra.keys().filter_map(|key| key.as_str()) {
            if name.starts_with("ansible_") || self.reads(name) {
                continue;
            }
            let known = self.words().filter(|word| word.contains('_') || word.len() > 4);
            found.push(
                Diag::error("E0311", format!("-e: nothing in this playbook reads `{name}`"))
                    .did_you_mean(name, known.collect::<BTreeSet<_>>()),
            );
        }
    }

    /// Variables of the inventory that nothing reads and that are one slip of a finger away from one that is read.
    fn inventory(&self, found: &mut Vec<Diag>) {
        let mut seen = HashSet::new();
        let inventory = self.ground.shared.inventory();
        // files of variables that cannot be read are told where they matter
        for (key, span) in inventory.all_definitions().unwrap_or_default() {
            let Some(name) = key.as_str() else { continue };
            if name.len() < 5 || name.starts_with("ansible_") || self.reads(name) {
                continue;
            }
            // short plain words are near to something everywhere: users and user
            if (name.len() < 8 && !name.contains('_')) || !seen.insert(name.to_owned()) {
                continue;
            }
            let near = self.words().filter(|word| one_slip(name, word)).min();
            if let Some(near) = near.filter(|_| !self.wide().words.contains(name)) {
                found.push(
                    Diag::warning("W0310", format!("nothing in this playbook reads `{name}`"))
                        .at(span)
                        .label("set here")
                        .help(format!("did you mean `{near}`?")),
                );
            }
        }
    }
}

fn nobody(message: &str, nearest: Vec<String>, span: Span) -> Diag {
    let diag = Diag::error("E0302", message).at(span);
    match nearest.as_slice() {
        [] => diag.note("`quorate inventory --graph` shows the hosts and groups that there are"),
        [near] => diag.help(format!("did you mean `{near}`?")),
        several => diag.help(format!("the nearest are {}", several.join(", "))),
    }
}

/// For each part of a pattern that means nobody: what looks like it.
fn unmatched(inventory: &quorate_inventory::Inventory, pattern: &str) -> Vec<Vec<String>> {
    inventory
        .select(pattern)
        .warnings
        .into_iter()
        .filter_map(|warning| match warning {
            quorate_inventory::Warning::NoMatch { nearest, .. } => Some(nearest),
            _ => None,
        })
        .collect()
}

/// Whether two names differ by one letter, or by two neighbours that changed places.
fn one_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 1 {
        return false;
    }
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (x, y) = (&a[same..], &b[same..]);
    match (x, y) {
        ([], []) => false,
        _ if x.len() > y.len() => x[1..] == *y,
        _ if x.len() < y.len() => *x == y[1..],
        ([_, rest @ ..], [_, other @ ..]) => {
            // a digit more or less is another thing, not a slip: etcd1 and etcd2
            let digits = x[0].is_ascii_digit() && y[0].is_ascii_digit();
            let swapped = x.len() > 1 && x[0] == y[1] && x[1] == y[0] && x[2..] == y[2..];
            (rest == other && !digits) || swapped
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::one_slip;

    #[test]
    fn slips() {
        for (a, b, expected) in [
            ("etcd_safegaurd", "etcd_safeguard", true),
            ("etcd_inti", "etcd_init", true),
            ("etcd_ini", "etcd_init", true),
            ("etcd_initt", "etcd_init", true),
            ("etcd_xnit", "etcd_init", true),
            ("etcd_init", "etcd_init", false),
            ("etcd_1", "etcd_2", false),
            ("etcd_data", "etcd_port", false),
        ] {
            assert_eq!(one_slip(a, b), expected, "{a} {b}");
            assert_eq!(one_slip(b, a), expected, "{b} {a}");
        }
    }
}
