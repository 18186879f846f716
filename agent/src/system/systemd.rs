//! systemd through its `systemctl`: which units there are, and in which state.
//!
//! In: a unit's name. Out: its properties, whether it is enabled, what `systemctl` said.
//!
//! **Invariant:** never decides what should be done; the modules `systemd_service` and `service` do.
//!
//! Not here: which service manager a host runs (`facts::service_manager`).

use crate::module::{Ctx, Failure};
use crate::system::process::Output;
use quorate_value::{Dict, Value};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// `systemctl` with the options that hold for all its calls.
pub struct Manager<'a> {
    ctx: &'a Ctx,
    program: String,
    options: Vec<&'static str>,
}

impl<'a> Manager<'a> {
    /// The manager of a scope: `system`, `user` or `global`.
    pub fn of(ctx: &'a Ctx, scope: &str, no_block: bool, force: bool) -> Result<Self, Failure> {
        let mut options = Vec::new();
        options.extend(match scope {
            "user" => Some("--user"),
            "global" => Some("--global"),
            _ => None,
        });
        options.extend(no_block.then_some("--no-block"));
        options.extend(force.then_some("--force"));
        Ok(Manager { ctx, program: ctx.program("systemctl")?, options })
    }

    /// The start of its command line, for messages.
    pub fn command_line(&self) -> String {
        let mut words = vec![self.program.as_str()];
        words.extend(&self.options);
        words.join(" ")
    }

    /// Runs `systemctl` with these arguments.
    pub fn call(&self, arguments: &[&str]) -> Result<Output, Failure> {
        let mut command = self.ctx.command([&self.program]).args(self.options.iter().copied());
        command = command.args(arguments.iter().copied()).env("LC_ALL", "C").env("SYSTEMD_COLORS", "0");
        if self.ctx.env("XDG_RUNTIME_DIR").is_none() {
            let uid = rustix::process::geteuid().as_raw();
            command = command.env("XDG_RUNTIME_DIR", format!("/run/user/{uid}"));
        }
        self.ctx.run(&command)
    }

    /// A call about one unit; its name is never taken for an option.
    pub fn call_on(&self, verb: &str, unit: &str, more: &[&str]) -> Result<Output, Failure> {
        let mut arguments = vec![verb];
        arguments.extend(more);
        if unit.starts_with('-') {
            arguments.push("--");
        }
        arguments.push(unit);
        self.call(&arguments)
    }
}

/// What `systemctl show` printed, by property. `Exec…` properties may span lines.
pub fn properties(text: &str) -> Dict {
    let mut found = Dict::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let mut value = value.to_owned();
        if key.starts_with("Exec") && value.trim_start().starts_with('{') {
            while !value.trim_end().ends_with('}') {
                let Some(more) = lines.next() else { break };
                value.push('\n');
                value.push_str(more);
            }
        }
        found.insert(key, value.trim());
    }
    found
}

/// One property as text; empty when unknown.
pub fn property<'a>(status: &'a Dict, name: &str) -> &'a str {
    status.get(name).and_then(Value::as_str).unwrap_or("")
}

/// In a chroot `systemctl` says so and does nothing.
pub fn was_ignored(output: &Output) -> bool {
    [output.stdout_text(), output.stderr_text()]
        .iter()
        .any(|text| text.contains("ignoring request") || text.contains("ignoring command"))
}

/// Whether `is-enabled -l` means that the unit starts at boot. Runtime links and bare aliases do not count.
pub fn says_enabled(rc: i32, printed: &str) -> bool {
    rc == 0 && printed.trim_end() != "alias" && printed.lines().next() != Some("enabled-runtime")
}

/// Whether there is a System V script of this name.
pub fn has_init_script(name: &str) -> bool {
    !name.is_empty()
        && !name.contains('/')
        && ["/etc/init.d", "/etc/rc.d/init.d"]
            .iter()
            .any(|directory| super::process::is_executable(&Path::new(directory).join(name)))
}

/// Whether a System V script has a start link in some runlevel.
pub fn script_is_enabled(name: &str, runlevel: Option<&str>) -> bool {
    let directories: Vec<String> = match runlevel {
        Some(level) => vec![format!("/etc/rc{level}.d"), format!("/etc/rc.d/rc{level}.d")],
        None => "0123456S"
            .chars()
            .flat_map(|level| [format!("/etc/rc{level}.d"), format!("/etc/rc.d/rc{level}.d")])
            .collect(),
    };
    directories.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten().any(
        |entry| {
            let file = entry.file_name();
            let file = file.to_string_lossy();
            file.strip_prefix('S').and_then(|rest| rest.get(2..)) == Some(name)
        },
    )
}

/// Whether this process lives in a chroot, as far as one can tell from inside.
pub fn is_chroot() -> bool {
    if std::env::var_os("debian_chroot").is_some_and(|value| !value.is_empty()) {
        return true;
    }
    let Ok(own) = std::fs::metadata("/") else { return false };
    match std::fs::metadata("/proc/1/root/.") {
        Ok(init) => (own.ino(), own.dev()) != (init.ino(), init.dev()),
        Err(_) => {
            // The inode that a file system's root has.
            let root = match rustix::fs::statfs("/").map(|fs| fs.f_type) {
                Ok(0x9123_683e) => 256,
                Ok(0x5846_5342) => 128,
                _ => 2,
            };
            own.ino() != root
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_properties() {
        let text = "Type=simple\nExecStart={ path=/bin/sh ; argv[]=/bin/sh -c echo a\n  echo b ; }\nAfter=x y\n\
                    Environment=A=1 B=2\nEmpty=\nnonsense\n";
        let found = properties(text);
        assert_eq!(property(&found, "Type"), "simple");
        assert_eq!(property(&found, "ExecStart"), "{ path=/bin/sh ; argv[]=/bin/sh -c echo a\n  echo b ; }");
        assert_eq!(property(&found, "After"), "x y");
        assert_eq!(property(&found, "Environment"), "A=1 B=2");
        assert_eq!((found.len(), property(&found, "Empty"), property(&found, "Gone")), (5, "", ""));
    }

    #[test]
    fn an_unfinished_block_ends_with_the_text() {
        assert_eq!(property(&properties("ExecStop={ path=/x ;\n"), "ExecStop"), "{ path=/x ;");
    }

    #[test]
    fn enabled_or_not() {
        for (rc, printed, expected) in [
            (0, "enabled\n  /etc/systemd/system/multi-user.target.wants/a.service\n", true),
            (0, "static\n", true),
            (0, "indirect\n", true),
            (0, "alias\n", false),
            (0, "alias\n  /etc/systemd/system/x.service\n", true),
            (0, "enabled-runtime\n  /run/systemd/system/multi-user.target.wants/a.service\n", false),
            (1, "disabled\n", false),
            (1, "masked\n", false),
        ] {
            assert_eq!(says_enabled(rc, printed), expected, "{rc} {printed}");
        }
    }
}
