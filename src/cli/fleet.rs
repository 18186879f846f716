//! `quorate fleet`: several controllers share one run through etcd.
//!
//! `play` leads a run, `join` works for whoever leads, `status` shows who is there.

use super::common::{self, Cannot};
use super::play;
use crate::connect::fleet::{self, Lead, Meeting, Offer, Picture};
use crate::report::display;
use crate::run::Run;
use clap::{Parser, Subcommand};
use quorate_etcd::{Access, ClientIdentity, Endpoint, Login};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Share one run among several controllers, through etcd: one leads, the others hold the connections to its hosts.
#[derive(Debug, Parser)]
#[command(
    name = "quorate fleet",
    disable_version_flag = true,
    after_help = "Examples:\n  quorate fleet join --etcd https://10.10.10.10:2379 --cacert ca.crt --cert fleet.crt --key fleet.key\n  quorate fleet play site.yml -i hosts.yml --etcd https://10.10.10.10:2379 --cacert ca.crt --cert fleet.crt --key fleet.key\n  quorate fleet status --etcd https://10.10.10.10:2379 --cacert ca.crt --cert fleet.crt --key fleet.key"
)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lead a run: everything that `quorate play` takes
    Play {
        #[command(flatten)]
        way: Way,
        /// What this controller is called
        #[arg(long, value_name = "NAME", help_heading = "Fleet")]
        name: Option<String>,
        /// Take no hosts itself
        #[arg(long, help_heading = "Fleet")]
        only_lead: bool,
        /// Wait where somebody else leads
        #[arg(long, help_heading = "Fleet")]
        wait: bool,
        #[command(flatten)]
        play: Box<play::Args>,
    },
    /// Work for whoever leads, until Ctrl-C
    Join {
        #[command(flatten)]
        way: Way,
        /// What this controller is called
        #[arg(long, value_name = "NAME", help_heading = "Fleet")]
        name: Option<String>,
        /// Where to listen for the lead
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:0", help_heading = "Fleet")]
        listen: std::net::SocketAddr,
        /// Where the lead reaches this controller, if not at the address from which it reaches etcd
        #[arg(long, value_name = "HOST[:PORT]", help_heading = "Fleet")]
        address: Option<String>,
        /// How many hosts it takes in relation to the others
        #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Fleet")]
        carries: u32,
    },
    /// Who is there, and who has which hosts
    Status {
        #[command(flatten)]
        way: Way,
    },
}

/// Where the controllers meet.
#[derive(Debug, Clone, clap::Args)]
struct Way {
    /// Client URLs of the etcd cluster through which they meet, with commas between
    #[arg(long, value_name = "URL", value_delimiter = ',', required = true, help_heading = "Fleet")]
    etcd: Vec<String>,
    /// The authority of the cluster's certificates
    #[arg(long, value_name = "FILE", help_heading = "Fleet")]
    cacert: Option<PathBuf>,
    /// The client certificate
    #[arg(long, value_name = "FILE", requires_all = ["key", "cacert"], help_heading = "Fleet")]
    cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Fleet")]
    key: Option<PathBuf>,
    /// The user of etcd, where the certificate does not say so
    #[arg(long, value_name = "USER", requires = "etcd_password_file", help_heading = "Fleet")]
    etcd_user: Option<String>,
    /// File with the user's password
    #[arg(long, value_name = "FILE", requires = "etcd_user", help_heading = "Fleet")]
    etcd_password_file: Option<PathBuf>,
    /// The fleet, where one cluster serves several
    #[arg(long, value_name = "FLEET", default_value = "main", help_heading = "Fleet")]
    fleet: String,
}

impl Way {
    fn meeting(&self) -> Result<Meeting, Cannot> {
        let mut endpoints = Vec::new();
        for url in &self.etcd {
            endpoints
                .push(url.parse::<Endpoint>().map_err(|e| Cannot::start(format!("error: --etcd: {e}")))?);
        }
        if self.fleet.is_empty() || self.fleet.contains(['/', ' ']) {
            return Err(Cannot::start("error: --fleet: a name has no slash and no space"));
        }
        let read = |path: &PathBuf| {
            std::fs::read(path).map(Zeroizing::new).map_err(|e| {
                Cannot::start(format!("error: {}: {}", path.display(), crate::playbook::plain_io(&e)))
            })
        };
        let unusable = |e: &dyn std::fmt::Display| Cannot::start(format!("error: the certificates: {e}"));
        let identity = match (&self.cacert, &self.cert, &self.key) {
            (Some(ca), Some(cert), Some(key)) => {
                let made = ClientIdentity::new(&read(ca)?, &read(cert)?, Zeroizing::new(read(key)?.to_vec()));
                Some(made.map_err(|e| unusable(&e))?)
            }
            (Some(ca), ..) => Some(ClientIdentity::trust_only(&read(ca)?).map_err(|e| unusable(&e))?),
            _ => None,
        };
        let tls = endpoints.iter().find(|endpoint| endpoint.to_string().starts_with("https"));
        if let (Some(endpoint), None) = (tls, &identity) {
            return Err(Cannot::start(format!(
                "error: {endpoint} speaks TLS: say whom to believe with --cacert FILE (and who you are with --cert and --key)"
            )));
        }
        let mut access = Access::direct(identity);
        if let (Some(user), Some(file)) = (&self.etcd_user, &self.etcd_password_file) {
            let text = Zeroizing::new(
                String::from_utf8_lossy(&read(file)?).trim_end_matches(['\n', '\r']).to_owned(),
            );
            access.login = Some(Login::new(user.clone(), text));
        }
        Ok(Meeting { endpoints, access, name: self.fleet.clone() })
    }
}

/// Its command line.
pub(super) fn command() -> clap::Command {
    <Args as clap::CommandFactory>::command()
}

/// Runs the command; gives its exit status.
pub(super) fn main(args: &[String]) -> u8 {
    let args = match super::parsed::<Args>("quorate fleet", args, false) {
        Ok(args) => args,
        Err(status) => return status,
    };
    match args.what {
        What::Play { way, name, only_lead, wait, mut play } => {
            let meeting = match way.meeting() {
                Ok(meeting) => meeting,
                Err(cannot) => return super::ended(Err::<(), _>(cannot), false),
            };
            let name = name.unwrap_or_else(fleet::own_name);
            let leading = Leading { meeting, name, works: (!only_lead).then_some(1), wait };
            play::taken(&mut play, false, Some(leading))
        }
        What::Join { way, name, listen, address, carries } => {
            let name = name.unwrap_or_else(fleet::own_name);
            super::ended(join(&way, name, listen, address.as_deref(), carries), false)
        }
        What::Status { way } => super::ended(status(&way), false),
    }
}

/// A run that is to be led.
pub(super) struct Leading {
    meeting: Meeting,
    name: String,
    works: Option<u32>,
    wait: bool,
}

impl Leading {
    /// Takes the lead for a run that is about to begin.
    pub(super) async fn lead(&self, run: &Arc<Run>) -> Result<(), Cannot> {
        let say = Box::new(|text: &str| display::warning(text));
        let lead =
            Lead::take(&self.meeting, &self.name, self.works, self.wait, say).await.map_err(|why| {
                Cannot {
                    text: format!("error: {why}\nno host was touched"),
                    status: super::status::OUT_OF_DATE,
                }
            })?;
        run.pool.led_by(lead.clone());
        let watched = Arc::downgrade(run);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let Some(run) = watched.upgrade() else { return };
                if lead.is_over() {
                    return;
                }
                if lead.is_lost() {
                    display::err(
                        "the etcd of the fleet does not answer any more: somebody else may lead, so nothing more is begun",
                    );
                    run.interrupt();
                    return;
                }
            }
        });
        Ok(())
    }
}

fn join(
    way: &Way,
    name: String,
    listen: std::net::SocketAddr,
    address: Option<&str>,
    carries: u32,
) -> Result<(), Cannot> {
    let meeting = way.meeting()?;
    let cwd = std::env::current_dir()
        .map_err(|e| Cannot::start(format!("error: the working directory is gone: {e}")))?;
    let settings = crate::settings::Settings::load(&crate::environment, &cwd).map_err(Cannot::start)?;
    let runtime = common::runtime()?;
    let done = runtime.block_on(async {
        let cannot = |e: std::io::Error| {
            Cannot::start(format!("error: cannot listen at {listen}: {}", crate::playbook::plain_io(&e)))
        };
        let listener = tokio::net::TcpListener::bind(listen).await.map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let address = match address {
            Some(address) if has_port(address) => address.to_owned(),
            Some(address) => format!("{address}:{port}"),
            None if !listen.ip().is_unspecified() => std::net::SocketAddr::new(listen.ip(), port).to_string(),
            None => std::net::SocketAddr::new(own_address(&meeting).await?, port).to_string(),
        };
        let offer = Offer { name, listener, address, carries };
        let stop = async {
            let term = async {
                match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                    Ok(mut term) => drop(term.recv().await),
                    Err(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                () = term => {}
            }
        };
        let pool = Arc::new(common::pool(&settings));
        fleet::work(&meeting, offer, pool, &|text| display::out(text), stop)
            .await
            .map_err(|why| Cannot::start(format!("error: {why}")))
    });
    runtime.shutdown_timeout(Duration::from_millis(200));
    done
}

/// `host:port`, or `[v6]:port`; an address of IPv6 alone has colons, too.
fn has_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
}

/// The address of this machine from which it reaches etcd.
async fn own_address(meeting: &Meeting) -> Result<std::net::IpAddr, Cannot> {
    for endpoint in &meeting.endpoints {
        let to = endpoint.address();
        if let Ok(Ok(stream)) = tokio::time::timeout(
            Duration::from_secs(3),
            tokio::net::TcpStream::connect((to.host.as_str(), to.port)),
        )
        .await
            && let Ok(own) = stream.local_addr()
        {
            return Ok(own.ip());
        }
    }
    Err(Cannot::start("error: the etcd of the fleet does not answer: no endpoint can be connected to"))
}

fn status(way: &Way) -> Result<String, Cannot> {
    let meeting = way.meeting()?;
    let runtime = common::runtime()?;
    let picture =
        runtime.block_on(fleet::look(&meeting)).map_err(|why| Cannot::start(format!("error: {why}")))?;
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(shown(&meeting.name, &picture))
}

/// What `status` says.
fn shown(name: &str, picture: &Picture) -> String {
    let mut out = match &picture.lead {
        Some(lead) => format!("fleet {name}: {} leads run {}\n", lead.name, lead.run),
        None => format!("fleet {name}: nobody leads\n"),
    };
    if picture.workers.is_empty() {
        out.push_str("\nno controller is there; `quorate fleet join` makes one\n");
    }
    for (id, worker) in &picture.workers {
        let hosts: Vec<&str> = picture
            .hosts
            .iter()
            .filter(|(_, by)| by.as_ref() == Some(id))
            .map(|(host, _)| host.as_str())
            .collect();
        let place = worker.address.as_deref().unwrap_or("(the lead itself)");
        let mut notes = String::new();
        if picture.shunned.contains(id) {
            notes.push_str(", cut off from the lead");
        }
        if picture.lead.as_ref().is_some_and(|lead| lead.helper != worker.helper) {
            notes.push_str(", another build: takes no hosts");
        }
        let count = hosts.len();
        let some: Vec<&str> = hosts.into_iter().take(8).collect();
        let more =
            if count > some.len() { format!(" and {} more", count - some.len()) } else { String::new() };
        out.push_str(&format!(
            "\n{} at {place}, carries {}{notes}\n  {count} hosts{}{}{more}\n",
            worker.name,
            worker.carries,
            if count > 0 { ": " } else { "" },
            some.join(", ")
        ));
    }
    let free = picture.hosts.iter().filter(|(_, by)| by.is_none()).count();
    if free > 0 {
        out.push_str(&format!("\n{free} hosts wait for a controller\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::fleet::{Leads, Worker};

    #[test]
    fn ports_are_told_from_the_colons_of_ipv6() {
        for (text, has) in
            [("a:7077", true), ("a", false), ("::1", false), ("[::1]:7077", true), ("[::1]", false)]
        {
            assert_eq!(has_port(text), has, "{text}");
        }
    }

    #[test]
    fn status_says_who_has_what() {
        let worker = |name: &str, address: Option<&str>, helper: &str| Worker {
            name: name.into(),
            address: address.map(str::to_owned),
            key: String::new(),
            carries: 1,
            helper: helper.into(),
        };
        let picture = Picture {
            lead: Some(Leads { name: "a".into(), run: "7f".into(), key: String::new(), helper: "x".into() }),
            workers: vec![
                ("1".into(), worker("a", None, "x")),
                ("2".into(), worker("b", Some("10.0.0.2:7077"), "x")),
                ("3".into(), worker("c", Some("10.0.0.3:7077"), "y")),
            ],
            hosts: vec![
                ("h1".into(), Some("2".into())),
                ("h2".into(), Some("1".into())),
                ("h3".into(), None),
            ],
            shunned: vec!["2".into()],
        };
        let said = shown("main", &picture);
        assert_eq!(
            said,
            "fleet main: a leads run 7f\n\na at (the lead itself), carries 1\n  1 hosts: h2\n\n\
             b at 10.0.0.2:7077, carries 1, cut off from the lead\n  1 hosts: h1\n\n\
             c at 10.0.0.3:7077, carries 1, another build: takes no hosts\n  0 hosts\n\n1 hosts wait for a controller\n"
        );
        let nobody = Picture { lead: None, workers: Vec::new(), hosts: Vec::new(), shunned: Vec::new() };
        assert!(shown("main", &nobody).contains("nobody leads"));
    }
}
