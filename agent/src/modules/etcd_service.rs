//! `etcd_service`: starts, stops and takes away the process of an etcd member, however it is run: by a systemd unit, in
//! a container of podman or docker, or by the manifest of a static pod.
//!
//! **Invariant:** a container is made again only where what it should be differs from what it is; its predecessor is
//! renamed, and deleted when the new one runs. A manifest that is moved away is not lost.
//!
//! Not here: whether the member may stop (the guard), what it is started with (the role `etcd`).

pub(crate) mod shape;

use super::systemd_service;
use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Kind, Param, Spec};
use crate::system::process::Output;
use quorate_value::{Dict, Value, dict, str_of};
use shape::{Found, Shape, same_image};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The `etcd_service` module.
pub struct EtcdService;

/// How a member's process is run. The modules that look at it take the same.
pub const PROCESS: &[Param] = &[
    Param::str("runtime")
        .default_str("systemd")
        .choices(&["systemd", "podman", "docker", "staticpod"])
        .doc("What runs it."),
    Param::str("name").default_str("etcd").doc("The unit, the container, or the path of the manifest."),
    Param::str("image").doc("The container's image."),
    Param::list("argv", Kind::Str).doc("Program and arguments, for a container that is made anew."),
    Param::list("mounts", Kind::Str).doc("Its mounts, as after `--volume`."),
    Param::str("network").default_str("host").doc("Its network."),
    Param::str("restart").default_str("always").doc("Its restart policy."),
    Param::list("options", Kind::Str).doc("Further options of `create`."),
    Param::new("like", Kind::Dict).doc("The process of another host, as `etcd_live` tells it: a container or a manifest like that one, where there is none yet."),
    Param::new("swap", Kind::Dict).doc("Words of `like` that are others here."),
    Param::new("flags", Kind::Dict).doc("Flags that etcd must have. For containers and pods that somebody else made."),
    Param::str("mark").doc("A shell command. What it prints is kept in `/run/etcd/started`: what the process was started with."),
];

static SPEC: Spec = Spec::new("etcd_service", "Starts, stops or takes away the process of an etcd member.")
    .collection("quorate.etcd")
    .params(&[
        Param::str("state").required().choices(&["started", "stopped", "restarted", "absent"]).doc(
            "`restarted` makes a container anew where it should be another one. `absent`: stopped, and its unit disabled, its container deleted, its manifest moved away.",
        ),
        Param::bool("enabled").doc("Whether it starts when the host boots."),
        Param::bool("no_block").default_bool(false).doc("Do not wait until systemd has seen it ready."),
        Param::new("process", Kind::Dict).options(PROCESS).apply_defaults().doc("How it is run."),
        Param::path("data").doc("The member's data directory. A pod counts as stopped once nobody has it open."),
    ])
    .world();

/// How long a container or a pod may take to end.
const TO_END: u64 = 60;
/// How long kubelet may take to see what became of a manifest.
const KUBELET: Duration = Duration::from_mins(2);

impl Module for EtcdService {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let process = args.sub("process").unwrap_or_else(|| Args::new(Dict::new(), &SPEC));
        let (state, enabled) = (args.text("state"), args.flag("enabled"));
        match runtime(&process) {
            "systemd" => {
                let (state, enabled) =
                    if state == "absent" { ("stopped", Some(false)) } else { (state, enabled) };
                let unit = process.nonempty("name").unwrap_or("etcd");
                systemd_service::run_unit(ctx, unit, Some(state), enabled, args.bool("no_block"))
            }
            "staticpod" => {
                let pod = Pod::of(&process, args.str("data"));
                pod.bring(ctx, &process, state)
            }
            program => {
                let tool = Tool { ctx, program: ctx.program(program)?, name: named(&process).to_owned() };
                tool.bring(&process, state, enabled)
            }
        }
    }
}

fn runtime(process: &Args) -> &str {
    process.nonempty("runtime").unwrap_or("systemd")
}

fn named(process: &Args) -> &str {
    process.nonempty("name").unwrap_or("etcd")
}

/// What is there, for modules that only look: whether it is up (`ActiveState`'s words; null: unknown), and how it is made.
pub(crate) fn look(ctx: &Ctx, process: &Args, unit: &str) -> Result<(Value, Dict), Failure> {
    match runtime(process) {
        "systemd" => Ok((unit_state(ctx, unit)?, dict! {"runtime" => "systemd", "own" => true})),
        "staticpod" => {
            let pod = Pod::of(process, None);
            let text =
                std::fs::read_to_string(&pod.manifest).or_else(|_| std::fs::read_to_string(pod.parked()));
            let state = if pod.manifest.exists() { "active" } else { "inactive" };
            let mut told = dict! {
                "runtime" => "staticpod", "exists" => text.is_ok(), "own" => false, "name" => named(process),
            };
            if let Some(text) = text.ok().or_else(|| likely_manifest(process)) {
                let argv = manifest_words(&text);
                described(&mut told, |flag| shape::flag(&argv, flag), |path| Some(path.to_owned()));
                told.insert("manifest", text);
            }
            Ok((Value::from(state), told))
        }
        program => {
            let mut told =
                dict! {"runtime" => program, "exists" => false, "own" => true, "name" => named(process)};
            let Some(path) = ctx.which(program) else { return Ok((Value::from("inactive"), told)) };
            let tool = Tool { ctx, program: path, name: named(process).to_owned() };
            let found = tool.found()?.map(|(_, found)| found);
            let running = found.as_ref().is_some_and(|found| found.running);
            if let Some(found) = &found {
                told.insert("exists", true);
                told.insert("started", found.started.clone());
            }
            // what is not there will be like another host's
            let likely = like(process).map(|like| Shape::of_dict(like).swapped(&pairs(process, "swap")));
            if let Some(shape) = found.map(|found| found.shape).or(likely) {
                told.insert("own", shape.is_ours());
                described(&mut told, |flag| shape.flag(flag), |path| shape.on_host(path));
                told.insert("shape", shape.to_dict());
            }
            Ok((Value::from(if running { "active" } else { "inactive" }), told))
        }
    }
}

/// What etcd's own flags say: the member's name, and where its data and its certificates are on the host.
fn described(
    told: &mut Dict,
    flag: impl Fn(&str) -> Option<String>,
    on_host: impl Fn(&str) -> Option<String>,
) {
    let path = |name: &str| flag(name).and_then(|inside| on_host(&inside));
    let all = |names: [&str; 2]| -> Value {
        let mut paths: Vec<String> = names.into_iter().filter_map(path).collect();
        paths.dedup();
        paths.iter().map(Value::from).collect()
    };
    told.insert("member", flag("name").unwrap_or_default());
    told.insert("data", path("data-dir").unwrap_or_default());
    let files = dict! {
        "ca" => all(["trusted-ca-file", "peer-trusted-ca-file"]), "cert" => all(["cert-file", "peer-cert-file"]),
        "key" => all(["key-file", "peer-key-file"]),
    };
    told.insert("files", files);
}

/// `ActiveState`; `inactive` where there is no systemd, null where it does not answer.
fn unit_state(ctx: &Ctx, unit: &str) -> Result<Value, Failure> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Ok(Value::from("inactive"));
    }
    let systemctl = ctx.program("systemctl")?;
    let command = ctx
        .command([systemctl.as_str(), "show", "-p", "ActiveState", "--value", "--", unit])
        .env("LC_ALL", "C");
    let output = ctx.run(&command)?;
    let state = output.stdout_text().trim().to_owned();
    Ok(if output.ok() && !state.is_empty() { Value::from(state) } else { Value::Null })
}

/// Notes what the process is about to be started with.
fn mark(ctx: &Ctx, process: &Args) -> Result<(), Failure> {
    let Some(command) = process.nonempty("mark") else { return Ok(()) };
    let text = format!("mkdir -p /run/etcd && {{ {command}; }} >/run/etcd/started");
    ctx.run_ok(&ctx.command(["sh", "-c", text.as_str()]), "cannot note what etcd is started with").map(drop)
}

/// Another host's process, where one was given.
fn like(process: &Args) -> Option<&Dict> {
    process.dict("like").filter(|like| !like.is_empty())
}

fn pairs(process: &Args, name: &str) -> Vec<(String, String)> {
    let dict = process.dict(name).cloned().unwrap_or_default();
    dict.iter().map(|(key, value)| (key.json_text().into_owned(), str_of(value))).collect()
}

/// podman or docker, and one container.
struct Tool<'a> {
    ctx: &'a Ctx,
    program: String,
    name: String,
}

impl Tool<'_> {
    fn call(&self, words: &[&str]) -> Result<Output, Failure> {
        let mut all = vec![self.program.as_str()];
        all.extend(words);
        self.ctx.run(&self.ctx.command(all).env("LC_ALL", "C"))
    }

    fn must(&self, words: &[&str]) -> Result<(), Failure> {
        let output = self.call(words)?;
        if output.ok() {
            return Ok(());
        }
        let said = output.stderr_text();
        let last =
            said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no word why").trim().to_owned();
        let what = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        Err(Failure::of_command(format!("{} {what}: {last}", self.program), &output))
    }

    fn inspect(&self, name: &str) -> Result<Option<Found>, Failure> {
        let output = self.call(&["container", "inspect", name])?;
        if !output.ok() {
            let said = output.stderr_text().to_lowercase();
            if said.contains("no such") || said.contains("not found") {
                return Ok(None);
            }
            return Err(Failure::of_command(format!("{} cannot be asked for {name}", self.program), &output));
        }
        match Found::parse(&output.stdout_text()) {
            Some(found) => Ok(Some(found)),
            None => Err(Failure::of_command(
                format!("{} says of {name} what nobody understands", self.program),
                &output,
            )),
        }
    }

    fn old(&self) -> String {
        format!("{}-old", self.name)
    }

    /// The container, or the one that an interrupted run had renamed.
    fn found(&self) -> Result<Option<(String, Found)>, Failure> {
        for name in [self.name.clone(), self.old()] {
            if let Some(found) = self.inspect(&name)? {
                return Ok(Some((name, found)));
            }
        }
        Ok(None)
    }

    /// What the container should be.
    fn wanted(&self, process: &Args, found: Option<&Found>) -> Result<Shape, Failure> {
        let image = process.nonempty("image");
        let ours = || Shape {
            image: image.unwrap_or_default().to_owned(),
            argv: process.strings("argv"),
            env: Vec::new(),
            mounts: process.strings("mounts"),
            network: process.text("network").to_owned(),
            restart: process.text("restart").to_owned(),
            options: process.strings("options"),
        };
        let mut shape = match (found, like(process)) {
            // what differs in what is ours is its image or its command; environment and the like are the image's
            (Some(found), _) if found.shape.is_ours() && !process.strings("argv").is_empty() => {
                let ours = ours();
                Shape { image: ours.image, argv: ours.argv, mounts: ours.mounts, ..found.shape.clone() }
            }
            (Some(found), _) => found.shape.clone(),
            (None, Some(like)) => Shape::of_dict(like).swapped(&pairs(process, "swap")),
            (None, None) => ours(),
        };
        if let Some(image) = image.filter(|image| !same_image(image, &shape.image)) {
            image.clone_into(&mut shape.image);
        }
        if shape.image.is_empty() {
            return Err(Failure::new(format!(
                "there is no container {}, and no image to make one of",
                self.name
            )));
        }
        if !shape.is_ours() {
            for (flag, value) in pairs(process, "flags") {
                shape.set_flag(&flag, &value);
            }
        }
        Ok(shape)
    }

    fn bring(&self, process: &Args, state: &str, enabled: Option<bool>) -> Result<Outcome, Failure> {
        let found = self.found()?;
        let told = |changed| {
            Outcome::changed_if(changed).with("name", self.name.clone()).with("state", state.to_owned())
        };
        if matches!(state, "stopped" | "absent") {
            return self.away(found, state, enabled).map(told);
        }
        let mut wanted = self.wanted(process, found.as_ref().map(|(_, found)| found))?;
        if let Some(enabled) = enabled {
            wanted.set_enabled(enabled);
        }
        let running = found.as_ref().is_some_and(|(name, found)| found.running && *name == self.name);
        if state == "started" && running {
            return Ok(told(false));
        }
        if self.ctx.check {
            return Ok(told(true));
        }
        let same =
            found.as_ref().is_some_and(|(name, found)| *name == self.name && found.shape.equals(&wanted));
        mark(self.ctx, process)?;
        if same {
            let wait = TO_END.to_string();
            let verb: &[&str] =
                if running { &["restart", "-t", wait.as_str(), &self.name] } else { &["start", &self.name] };
            self.must(verb)?;
        } else {
            self.anew(found, &wanted, true)?;
        }
        Ok(told(true).with("recreated", !same))
    }

    /// Another container in the place of the old one, which is deleted when the new one is there.
    fn anew(&self, found: Option<(String, Found)>, wanted: &Shape, start: bool) -> Result<(), Failure> {
        let old = self.old();
        if let Some((name, found)) = found {
            // before anything is stopped: an image that cannot be had is no reason to be without a member
            if !self.call(&["image", "inspect", &wanted.image])?.ok() {
                self.must(&["pull", &wanted.image])?;
            }
            if found.running {
                self.must(&["stop", "-t", &TO_END.to_string(), &name])?;
            }
            if name == self.name {
                if self.inspect(&old)?.is_some() {
                    self.must(&["rm", "-f", &old])?;
                }
                self.must(&["rename", &name, &old])?;
            }
        }
        let words = wanted.create(&self.program, &self.name);
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        self.must(&words)?;
        if start {
            self.must(&["start", &self.name])?;
        }
        if self.inspect(&old)?.is_some() {
            self.must(&["rm", "-f", &old])?;
        }
        Ok(())
    }

    fn away(
        &self,
        found: Option<(String, Found)>,
        state: &str,
        enabled: Option<bool>,
    ) -> Result<bool, Failure> {
        let Some((name, found)) = found else { return Ok(false) };
        let mut off = found.shape.clone();
        if let Some(enabled) = enabled {
            off.set_enabled(enabled);
        }
        let changes = state == "absent" || found.running || !off.equals(&found.shape);
        if self.ctx.check || !changes {
            return Ok(changes);
        }
        if found.running {
            self.must(&["stop", "-t", &TO_END.to_string(), &name])?;
        }
        if state == "absent" {
            self.must(&["rm", "-f", &name])?;
            if self.inspect(&self.old())?.is_some() {
                self.must(&["rm", "-f", &self.old()])?;
            }
            // RKE's companion, which makes snapshots of this very member
            if self.inspect("etcd-rolling-snapshots")?.is_some() {
                self.must(&["rm", "-f", "etcd-rolling-snapshots"])?;
            }
        } else if !off.equals(&found.shape) {
            self.anew(Some((name, Found { running: false, ..found })), &off, false)?;
        }
        Ok(true)
    }
}

/// A static pod: kubelet runs it while its manifest is where it looks.
struct Pod {
    manifest: PathBuf,
    data: Option<PathBuf>,
}

impl Pod {
    fn of(process: &Args, data: Option<&str>) -> Pod {
        let name = process.nonempty("name").unwrap_or("/etc/kubernetes/manifests/etcd.yaml");
        Pod { manifest: PathBuf::from(name), data: data.map(PathBuf::from) }
    }

    /// Beside the directory that kubelet watches, on the same file system.
    fn parked(&self) -> PathBuf {
        let name =
            self.manifest.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let above = self.manifest.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        above.join(format!("{name}.parked"))
    }

    fn bring(&self, ctx: &Ctx, process: &Args, state: &str) -> Result<Outcome, Failure> {
        let parked = self.parked();
        let trouble = |what: &str, error: &std::io::Error| {
            crate::system::files::trouble(what, &self.manifest.to_string_lossy(), error)
        };
        let told = |changed| {
            Outcome::changed_if(changed)
                .with("name", self.manifest.to_string_lossy().into_owned())
                .with("state", state.to_owned())
        };
        let there = self.manifest.exists();
        if matches!(state, "stopped" | "absent") {
            if there && !ctx.check {
                std::fs::rename(&self.manifest, &parked)
                    .map_err(|error| trouble("could not move", &error))?;
                self.gone(ctx)?;
            }
            return Ok(told(there));
        }
        if state == "started" && there {
            return Ok(told(false));
        }
        let from = if there { &self.manifest } else { &parked };
        let mut text = match (std::fs::read_to_string(from), like(process)) {
            (Ok(text), _) => text,
            (Err(_), Some(_)) => likely_manifest(process).unwrap_or_default(),
            (Err(_), None) => {
                return Err(Failure::new(format!(
                    "there is no manifest {}, nor {}: kubeadm (or whoever made the others) has to make it",
                    self.manifest.display(),
                    parked.display()
                )));
            }
        };
        if ctx.check {
            return Ok(told(true));
        }
        for (flag, value) in pairs(process, "flags") {
            text = manifest_with(&text, &flag, &value);
        }
        if let Some(image) = process.nonempty("image") {
            text = manifest_image(&text, image);
        }
        if there {
            std::fs::rename(&self.manifest, &parked).map_err(|error| trouble("could not move", &error))?;
            self.gone(ctx)?;
        }
        mark(ctx, process)?;
        // complete under a name that kubelet does not read, then at once
        let part = parked.with_extension("part");
        std::fs::write(&part, text).map_err(|error| trouble("could not write", &error))?;
        std::fs::rename(&part, &self.manifest).map_err(|error| trouble("could not move", &error))?;
        if parked.exists() {
            std::fs::remove_file(&parked).map_err(|error| trouble("could not remove", &error))?;
        }
        Ok(told(true))
    }

    /// Waits until kubelet has ended the pod.
    fn gone(&self, ctx: &Ctx) -> Result<(), Failure> {
        let Some(data) = &self.data else { return Ok(()) };
        let began = Instant::now();
        while super::etcd_facts::is_held(data) {
            if began.elapsed() > KUBELET {
                return Err(Failure::new(format!(
                    "{} s after its manifest was moved to {} the pod still runs: does kubelet?",
                    KUBELET.as_secs(),
                    self.parked().display()
                )));
            }
            ctx.sleep(Duration::from_millis(500))?;
        }
        Ok(())
    }
}

/// Another host's manifest, with this one's words.
fn likely_manifest(process: &Args) -> Option<String> {
    let text = like(process)?.get("manifest").map(str_of)?;
    let shape = Shape { argv: vec![text], ..Shape::default() };
    shape.swapped(&pairs(process, "swap")).argv.pop()
}

/// The items of a manifest's lists that are flags, in order.
fn manifest_words(text: &str) -> Vec<String> {
    let item = |line: &str| {
        let word = line.trim().strip_prefix("- ")?.trim().trim_matches(['"', '\'']).to_owned();
        word.starts_with("--").then_some(word)
    };
    text.lines().filter_map(item).collect()
}

/// A manifest with a flag set in its place, or behind the first flag.
fn manifest_with(text: &str, flag: &str, value: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let bare = |line: &str| {
        line.trim().strip_prefix("- ").map(|word| word.trim().trim_matches(['"', '\'']).to_owned())
    };
    let indent = |line: &str| line[..line.len() - line.trim_start().len()].to_owned();
    let set = |line: &str| format!("{}- --{flag}={value}", indent(line));
    let own = |line: &String| bare(line).is_some_and(|word| word.starts_with(&format!("--{flag}=")));
    if let Some(at) = lines.iter().position(own) {
        lines[at] = set(&lines[at]);
    } else if let Some(at) =
        lines.iter().position(|line| bare(line).is_some_and(|word| word.starts_with("--")))
    {
        let line = set(&lines[at]);
        lines.insert(at + 1, line);
    }
    lines.join("\n") + "\n"
}

fn manifest_image(text: &str, image: &str) -> String {
    let line = |line: &str| match line.trim().strip_prefix("image:") {
        Some(_) => format!("{}image: {image}", &line[..line.len() - line.trim_start().len()]),
        None => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As kubeadm writes it, shortened.
    const MANIFEST: &str = "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command:\n    - etcd\n    - --name=one\n    - \
         --data-dir=/var/lib/etcd\n    - --initial-cluster-state=new\n    image: registry/etcd:3.5.9-0\n  hostNetwork: true\n";

    #[test]
    fn flags_of_a_manifest() {
        let words = manifest_words(MANIFEST);
        assert_eq!(shape::flag(&words, "data-dir").as_deref(), Some("/var/lib/etcd"));
        let text = manifest_with(
            &manifest_with(MANIFEST, "initial-cluster-state", "existing"),
            "force-new-cluster",
            "true",
        );
        assert!(text.contains("    - --initial-cluster-state=existing\n"));
        assert!(!text.contains("state=new"));
        assert!(text.contains("    - --force-new-cluster=true\n"));
        assert!(manifest_image(&text, "etcd:2").contains("    image: etcd:2\n"));
    }

    #[test]
    fn a_manifest_is_parked_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let manifests = dir.path().join("manifests");
        std::fs::create_dir(&manifests).unwrap();
        let pod = Pod { manifest: manifests.join("etcd.yaml"), data: None };
        assert_eq!(pod.parked(), dir.path().join("etcd.yaml.parked"));
    }
}
