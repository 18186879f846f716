//! Putting the helper on a host and starting it, in one command.
//!
//! The shell script below looks for the helper under its content hash in a directory that only the user can write,
//! takes it from standard input where it is missing, and becomes it. Nothing of it stays running afterwards.

use super::link::Link;
use super::process::Channel;
use super::{Become, ConnectError, Stage, Target};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The helper as gzip; made by `build.rs`.
const HELPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/helper.gz"));
/// Its machine as `uname -m` says it.
const HELPER_ARCH: &str = env!("QUORATE_HELPER_ARCH");

/// What the helper is called on hosts.
pub(super) fn helper_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        use sha2::Digest as _;
        quorate_agent::protocol::hex(&sha2::Sha256::digest(HELPER)[..12])
    })
}

/// One word for a POSIX shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn script() -> String {
    // a noexec or read-only directory is passed over; `-O` refuses what somebody else could have put there
    format!(
        r#"m=$(umask); umask 077; h={hash}; u=$(id -u)
try() {{ [ -x "$1/agent-$h" ] && [ -O "$1/agent-$h" ] && [ -O "$1" ]; }}
set -- "${{XDG_CACHE_HOME:-${{HOME:-/nonexistent}}/.cache}}/quorate" "/var/tmp/quorate-$u" "/tmp/quorate-$u" "/dev/shm/quorate-$u"
for d; do try "$d" && {{ echo QUORATE-HAVE; umask "$m"; exec "$d/agent-$h"; }}; done
echo "QUORATE-NEED $(uname -m)"
g=; tried=
for d; do
  mkdir -p "$d" 2>/dev/null && [ -O "$d" ] && [ ! -L "$d" ] || {{ tried="$tried $d(not ours)"; continue; }}
  chmod 700 "$d"
  if [ -z "$g" ]; then
    head -c {size} >"$d/.up-$$" || {{ rm -f "$d/.up-$$"; tried="$tried $d(cannot write: disk full?)"; echo "QUORATE-FAIL$tried"; exit 96; }}
    g="$d/.up-$$"
  fi
  gzip -dc <"$g" >"$d/.new-$$" 2>/dev/null && chmod 700 "$d/.new-$$" && "$d/.new-$$" --version >/dev/null 2>&1 && mv "$d/.new-$$" "$d/agent-$h" || {{ rm -f "$d/.new-$$"; tried="$tried $d(cannot execute there)"; continue; }}
  rm -f "$g"; for o in "$d"/agent-*; do [ "$o" = "$d/agent-$h" ] || rm -f "$o"; done
  echo QUORATE-HAVE; umask "$m"; exec "$d/agent-$h"
done
[ -z "$g" ] || rm -f "$g"
echo "QUORATE-FAIL$tried"; exit 96"#,
        hash = helper_hash(),
        size = HELPER.len(),
    )
}

/// The text that a `sudo` prompt has, so that it can be told from other output.
const PROMPT: &str = "[quorate] password: ";

/// `command` as another user, through the become method.
pub(crate) fn become_command(become_: &Become, command: &str) -> String {
    let exe = become_.exe.clone().unwrap_or_else(|| become_.method.clone());
    let user = quote(&become_.user);
    match become_.method.as_str() {
        "su" => {
            let flags = become_.flags.clone().unwrap_or_default();
            format!("{exe} {flags} {user} -c {}", quote(command))
        }
        "doas" => {
            let flags = become_.flags.clone().unwrap_or_default();
            let batch = if become_.password.is_none() { "-n" } else { "" };
            format!("{exe} {flags} {batch} -u {user} sh -c {}", quote(command))
        }
        _ => {
            let flags = become_.flags.clone().unwrap_or_else(|| "-H -S -n".into());
            let flags = if become_.password.is_some() {
                let kept: Vec<&str> = flags.split_whitespace().filter(|flag| *flag != "-n").collect();
                format!("{} -p {}", kept.join(" "), quote(PROMPT))
            } else {
                flags
            };
            // a login shell reads the words a second time, with `$` as it stands and without ends of lines
            let command = if flags.split_whitespace().any(|flag| matches!(flag, "-i" | "--login")) {
                read_twice(command)
            } else {
                command.to_owned()
            };
            format!("{exe} {flags} -u {user} sh -c {}", quote(&command))
        }
    }
}

/// A script that says the same when a shell has read it once more.
fn read_twice(script: &str) -> String {
    let mut out = String::from("eval \"`printf %b '");
    for c in script.chars() {
        match c {
            '$' | '\n' | '\'' | '"' | '`' | '\\' => out.push_str(&format!("\\0{:03o}", c as u32)),
            other => out.push(other),
        }
    }
    out + "'`\""
}

/// Talks a command of its own (`raw`) through becoming somebody else, and runs it to the end.
pub(crate) async fn became(
    mut channel: Channel,
    becoming: &Become,
    target: &Target,
) -> Result<super::RawOutput, ConnectError> {
    let mark = format!("{}\n", super::BECAME);
    let (mut out, mut err) = (Vec::new(), String::new());
    let mut said_password = false;
    let patience = becoming.patience;
    let limit = tokio::time::sleep(patience.unwrap_or(Duration::from_hours(1)));
    tokio::pin!(limit);
    let (mut byte, mut bytes) = ([0u8; 1], [0u8; 512]);
    let mut err_open = true;
    while !out.ends_with(mark.as_bytes()) {
        tokio::select! {
            read = channel.stdout.read(&mut byte) => match read {
                Ok(n) if n > 0 && out.len() < 64 * 1024 => out.push(byte[0]),
                _ => {
                    let rest = channel.collect().await?;
                    err.push_str(&rest.stderr);
                    return Err(explain(&err, Some(becoming), said_password, target));
                }
            },
            read = channel.stderr.read(&mut bytes), if err_open => match read {
                Ok(n) if n > 0 => {
                    err.push_str(&String::from_utf8_lossy(&bytes[..n]));
                    if (err.contains(PROMPT) || becoming.asks(&err)) && let Some(password) = &becoming.password {
                        if said_password {
                            return Err(explain("incorrect password", Some(becoming), true, target));
                        }
                        said_password = true;
                        err.clear();
                        let line = format!("{}\n", password.as_str());
                        channel.stdin.write_all(line.as_bytes()).await.map_err(|_| lost(target))?;
                        channel.stdin.flush().await.map_err(|_| lost(target))?;
                    }
                }
                _ => err_open = false,
            },
            () = &mut limit => return Err(becoming.too_long(target, patience.unwrap_or_default())),
        }
    }
    out.truncate(out.len() - mark.len());
    let rest = channel.collect().await?;
    Ok(super::RawOutput {
        stdout: String::from_utf8_lossy(&out).into_owned() + &rest.stdout,
        stderr: err.trim_start_matches('\n').to_owned() + &rest.stderr,
        ..rest
    })
}

/// The command line that starts the helper, as the login shell of the host reads it.
pub(crate) fn command(becoming: Option<&Become>) -> String {
    match becoming {
        None => format!("exec sh -c {}", quote(&script())),
        Some(become_) => format!("exec sh -c {}", quote(&become_command(become_, &script()))),
    }
}

/// Talks the script through until the helper answers.
pub(crate) async fn run(
    channel: Channel,
    becoming: Option<&Become>,
    target: &Target,
) -> Result<Link, ConnectError> {
    Link::over(ready(channel, becoming, target).await?, &target.host).await
}

/// Talks the script through until the helper is there and waits for its greeting.
pub(crate) async fn ready(
    mut channel: Channel,
    becoming: Option<&Become>,
    target: &Target,
) -> Result<Channel, ConnectError> {
    let password = becoming.and_then(|b| b.password.clone());
    let mut said_password = false;
    let mut err_text = String::new();
    let mut line = Vec::new();
    let mut skipped = 0usize;
    let limit = tokio::time::sleep(target.timeout.max(Duration::from_secs(10)) + Duration::from_secs(50));
    tokio::pin!(limit);
    let patience = becoming.and_then(|become_| become_.patience);
    let becomes = tokio::time::sleep(patience.unwrap_or(Duration::from_hours(1)));
    tokio::pin!(becomes);
    let mut begun = patience.is_none();
    let mut out_byte = [0u8; 1];
    let mut err_bytes = [0u8; 512];
    let mut err_open = true;
    loop {
        tokio::select! {
            read = channel.stdout.read(&mut out_byte) => match read {
                Ok(n) if n > 0 => {
                    if out_byte[0] != b'\n' {
                        line.push(out_byte[0]);
                        if line.len() > 64 * 1024 {
                            line.clear();
                            skipped += 1;
                        }
                        continue;
                    }
                    let text = String::from_utf8_lossy(&line).trim().to_owned();
                    line.clear();
                    begun |= text.contains("QUORATE-");
                    if text.ends_with("QUORATE-HAVE") {
                        break;
                    } else if let Some(arch) = text.split("QUORATE-NEED ").nth(1) {
                        send_helper(&mut channel, arch.trim(), target).await?;
                    } else if let Some(tried) = text.split("QUORATE-FAIL").nth(1) {
                        return Err(no_place(tried, target));
                    } else {
                        // greetings of login scripts
                        skipped += 1;
                        if skipped > 1000 {
                            return Err(ConnectError::new(Stage::Helper, format!("login scripts on {} write without end to standard output", target.host))
                                .help("make them silent for sessions without a terminal"));
                        }
                    }
                }
                _ => {
                    // drain what is left on stderr: it says why
                    let mut rest = Vec::new();
                    tokio::time::timeout(Duration::from_secs(2), channel.stderr.read_to_end(&mut rest)).await.ok();
                    err_text.push_str(&String::from_utf8_lossy(&rest));
                    return Err(explain(&err_text, becoming, said_password, target));
                }
            },
            read = channel.stderr.read(&mut err_bytes), if err_open => match read {
                Ok(n) if n > 0 => {
                    err_text.push_str(&String::from_utf8_lossy(&err_bytes[..n]));
                    let wants = err_text.contains(PROMPT) || becoming.is_some_and(|become_| become_.asks(&err_text));
                    if wants && let Some(password) = &password {
                        if said_password {
                            return Err(explain("incorrect password", becoming, true, target));
                        }
                        said_password = true;
                        err_text.clear();
                        let line = format!("{}\n", password.as_str());
                        channel.stdin.write_all(line.as_bytes()).await.map_err(|_| lost(target))?;
                        channel.stdin.flush().await.map_err(|_| lost(target))?;
                    }
                }
                _ => err_open = false,
            },
            () = &mut becomes, if !begun => {
                if let Some(become_) = becoming {
                    return Err(become_.too_long(target, patience.unwrap_or_default()));
                }
                begun = true;
            }
            () = &mut limit => {
                return Err(ConnectError::new(Stage::Helper, format!("the helper on {} did not start in time", target.host))
                    .help("look for a login script or a become prompt that waits for input"));
            }
        }
    }
    Ok(channel)
}

async fn send_helper(channel: &mut Channel, arch: &str, target: &Target) -> Result<(), ConnectError> {
    if arch != HELPER_ARCH {
        return Err(ConnectError::new(
            Stage::Helper,
            format!(
                "{} is a {arch} machine; this controller carries a helper for {HELPER_ARCH} only",
                target.host
            ),
        )
        .help("`raw` works there; build quorate on that kind of machine for the rest"));
    }
    channel.stdin.write_all(HELPER).await.map_err(|_| lost(target))?;
    channel.stdin.flush().await.map_err(|_| lost(target))
}

fn lost(target: &Target) -> ConnectError {
    ConnectError::new(
        Stage::Lost,
        format!("the connection to {} broke while the helper started", target.host),
    )
}

fn no_place(tried: &str, target: &Target) -> ConnectError {
    ConnectError::new(Stage::Helper, format!("the helper cannot run on {}: tried{tried}", target.host)).help(
        "free some space, or give the user one directory of these that is writable and not mounted noexec",
    )
}

/// What a failed start means.
fn explain(stderr: &str, becoming: Option<&Become>, said_password: bool, target: &Target) -> ConnectError {
    let text = stderr.trim();
    let lower = text.to_lowercase();
    let last = text.lines().last().unwrap_or("no message").trim();
    if let Some(become_) = becoming {
        let method = &become_.method;
        if said_password
            && (lower.contains("incorrect")
                || lower.contains("try again")
                || lower.contains("authentication fail")
                || lower.contains("sorry"))
        {
            return ConnectError::new(
                Stage::Become,
                format!("Incorrect {method} password on {}", target.host),
            )
            .help("check the password given by -K or `ansible_become_password`");
        }
        if lower.contains("password is required")
            || lower.contains("a terminal is required")
            || lower.contains("authentication required")
        {
            return ConnectError::new(Stage::Become, format!("Missing {method} password: {method} on {} wants one to become {}", target.host, become_.user))
                .help("give it with -K (asks) or `ansible_become_password` (vaulted), or allow NOPASSWD for this user");
        }
        if lower.contains("not in the sudoers") || lower.contains("not allowed to") {
            return ConnectError::new(
                Stage::Become,
                format!(
                    "{} may not become {} on {}: {last}",
                    target.user.as_deref().unwrap_or("the remote user"),
                    become_.user,
                    target.host
                ),
            )
            .help(format!("add the user to sudoers on {}", target.host));
        }
        if lower.contains("not found") || lower.contains("no such file") {
            return ConnectError::new(
                Stage::Become,
                format!("`{method}` is not there on {}: {last}", target.host),
            )
            .help("install it, choose another `become_method`, or log in as the user itself");
        }
        if lower.contains("unknown user") || lower.contains("does not exist") {
            return ConnectError::new(Stage::Become, format!("{}: {last}", target.host));
        }
        if lower.contains("authentication failure") {
            return ConnectError::new(Stage::Become, format!("{method} on {} refused: {last}", target.host));
        }
        return ConnectError::new(
            Stage::Become,
            format!("becoming {} by {method} on {} failed: {last}", become_.user, target.host),
        );
    }
    if lower.contains("no space left") {
        return ConnectError::new(Stage::Helper, format!("no space left on {} for the helper", target.host))
            .help(format!("free some space on {} (the helper needs about 5 MB)", target.host));
    }
    let failed =
        ConnectError::new(Stage::Helper, format!("the helper did not start on {}: {last}", target.host));
    match target.kind.program() {
        Some(_) if lower.contains("executable file not found") || lower.contains("\"sh\"") => failed.help(
            "its image has no `sh`. The etcd modules reach its etcd from any other host, with `endpoints`",
        ),
        Some(program) => failed.help(format!("try `{program} exec` there by hand, with the same name")),
        None => failed,
    }
}
