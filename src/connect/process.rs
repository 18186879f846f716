//! A byte channel to something that runs elsewhere: three streams and a way to know how it ended.

use super::{ConnectError, RawOutput, Stage};
use std::pin::Pin;
use std::process::Stdio;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

/// How the far side ended: its exit status, if it could be learnt.
pub(crate) type Ending = Pin<Box<dyn Future<Output = Option<i32>> + Send>>;

/// How many bytes a command of its own, such as `raw`, may print; a host that prints without end fills no memory here.
const MOST_OUTPUT: u64 = 256 << 20;

/// Streams of a running command.
pub(crate) struct Channel {
    pub(crate) stdin: Pin<Box<dyn AsyncWrite + Send>>,
    pub(crate) stdout: Pin<Box<dyn AsyncRead + Send>>,
    pub(crate) stderr: Pin<Box<dyn AsyncRead + Send>>,
    /// Resolves when the command has ended. Dropping it does not end the command.
    pub(crate) ending: Ending,
}

/// Starts a program of the controller, with these variables beside those there are.
pub(crate) fn spawn(words: &[String], environment: &[(String, String)]) -> Result<Channel, ConnectError> {
    let mut child = tokio::process::Command::new(&words[0])
        .args(&words[1..])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C at the terminal is for us alone: what is in flight may be finished
        .process_group(0)
        .kill_on_drop(false)
        .spawn()
        .map_err(|e| {
            ConnectError::new(
                Stage::Helper,
                format!("cannot start `{}`: {}", words[0], crate::playbook::plain_io(&e)),
            )
            .help(format!("install `{}`, or choose another connection", words[0]))
        })?;
    Ok(Channel {
        stdin: Box::pin(child.stdin.take().expect("piped")),
        stdout: Box::pin(child.stdout.take().expect("piped")),
        stderr: Box::pin(child.stderr.take().expect("piped")),
        ending: Box::pin(async move { child.wait().await.ok().and_then(|status| status.code()) }),
    })
}

impl Channel {
    /// Runs to the end.
    pub(crate) async fn collect(mut self) -> Result<RawOutput, ConnectError> {
        drop(self.stdin);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut limited = ((&mut self.stdout).take(MOST_OUTPUT), (&mut self.stderr).take(MOST_OUTPUT));
        let (out, err) = tokio::join!(limited.0.read_to_end(&mut stdout), limited.1.read_to_end(&mut stderr));
        if limited.0.limit() == 0 || limited.1.limit() == 0 {
            return Err(ConnectError::new(Stage::Lost, "the host prints without end"));
        }
        let broken = out.is_err() || err.is_err();
        let rc = self.ending.await.unwrap_or(255);
        if broken && rc == 255 {
            return Err(ConnectError::new(Stage::Lost, "the connection broke while the command ran"));
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(RawOutput { rc, stdout: text(stdout), stderr: text(stderr) })
    }
}
