//! The guard in the scheduler: steps that take a member of an etcd cluster away happen one at a time, and only while
//! the cluster keeps its quorum without it.
//!
//! In: every task, just before it runs. Out: nothing (most tasks), a [`Permit`], or a [`Refusal`] with the facts.
//!
//! **Invariant:** the observation that a permit rests on is made while this run holds the cluster's turn, and the turn
//! ends only when the member was seen back for good (or seen gone, for steps that stop it). A step that was given up
//! half-way, or whose member does not come back, stops all further ones on that cluster for the rest of the run.
//!
//! Not here: the arithmetic (`quorate_etcd::guard`), which tasks matter ([`recognise`]), who the members are
//! ([`cluster`]) and how to reach them ([`reach`]).

mod change;
pub(crate) mod cluster;
mod gate;
pub(crate) mod lease;
mod pods;
pub(crate) mod reach;
mod recognise;
mod settle;
mod shell;

use super::actions::ActionCall;
use super::task::Failure;
use crate::report::Event;
use cluster::{Cluster, Ground};
pub(crate) use gate::Plan;
use quorate_etcd::guard::Note;
use quorate_etcd::{Claim, Claims, Effect, MemberId, Observation, Policy, Step, Target, Verdict, Why, may};
use quorate_value::{Dict, Value, dict};
use reach::{Memory, Reach, Through};
use recognise::Kind;
pub use settle::Permit;
use settle::{Afterwards, Watch};
use shell::Deed;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a reason that passes by itself is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a member that this run took away may look dead before that counts.
const COMING_UP: Duration = Duration::from_secs(3);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Between the end of a step and the next one: etcd itself trusts a connection between peers only after 5 s.
const REST: Duration = Duration::from_secs(5);
/// Waiting that long is worth a line.
const NOTEWORTHY: Duration = Duration::from_secs(3);

/// Who may take a member away, and when.
#[derive(Default)]
pub struct Guard {
    refused: AtomicBool,
    desk: Arc<Desk>,
    memory: Arc<Memory>,
    locks: lease::Locks,
}

/// What all permits of a run share.
#[derive(Default)]
struct Desk {
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    /// Slots in force, of all clusters.
    held: Mutex<Vec<Claim>>,
    /// What `etcd_guard` allowed, by host.
    gates: Mutex<HashMap<String, Gate>>,
}

/// What `etcd_guard` said yes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// This host's etcd goes, until it is started again.
    Purge,
    /// It may go away once. The whole cluster with it, if that was the question.
    Away {
        /// All voters were named.
        whole: bool,
    },
}

/// One cluster in this run.
#[derive(Default)]
struct Lane {
    turn: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A step that ended in a way nobody planned.
    poisoned: Option<String>,
    /// Hosts whose member this run stopped (false), or restarted or started (true: it is to come back).
    touched: HashMap<String, bool>,
    /// Whose turn it is, in words.
    holder: Option<String>,
    /// When the last turn ended.
    rested: Option<Instant>,
    /// What was seen last, to tell how long somebody has been silent.
    seen: Option<Observation>,
}

/// Why a step may not happen.
pub struct Refusal {
    /// For the terminal.
    pub text: String,
    /// One line.
    pub message: String,
    /// Stable code.
    pub code: String,
    /// Facts.
    pub facts: Vec<String>,
}

impl Refusal {
    fn new(why: &quorate_etcd::Refusal, trouble: Option<&str>) -> Self {
        let mut facts = why.facts();
        if let Some(trouble) = trouble {
            facts.insert(1.min(facts.len()), trouble.to_owned());
        }
        let (message, code) = (why.to_string(), why.code().to_owned());
        let mut text = format!("refused[{code}]: {message}");
        for line in facts.iter().map(String::as_str).chain(["nothing was changed"]) {
            text.push_str(&format!("\n  {line}"));
        }
        Refusal { text, message, code, facts }
    }

    /// What the operator's word stands above. There is no way out to tell: it was taken.
    fn overridden(why: &quorate_etcd::Refusal, trouble: Option<&str>) -> Self {
        let mut refusal =
            Refusal::new(&quorate_etcd::Refusal { way_out: Vec::new(), ..why.clone() }, trouble);
        refusal.text = format!(
            "GUARD OVERRIDDEN [{}]: {}\n  {}",
            refusal.code,
            refusal.message,
            refusal.facts.join("\n  ")
        );
        refusal
    }

    /// As a part of the result of a step that was done all the same.
    fn into_record(self) -> Dict {
        let facts: Value = self.facts.iter().map(Value::from).collect();
        dict! {"code" => self.code, "message" => self.message, "facts" => facts}
    }

    /// As the result of a task.
    pub(crate) fn into_failure(self) -> Failure {
        let facts: Value = self.facts.iter().map(Value::from).collect();
        let result = dict! {"changed" => false, "failed" => true, "msg" => self.message, "refused" => self.code, "facts" => facts};
        Failure { result, ..Failure::default() }
    }
}

/// Whether a module with these arguments takes a member of an etcd cluster away, as far as its text tells.
pub(crate) fn takes_away(module: &str, args: &Dict) -> bool {
    let deed = recognise::concerning(&recognise::of_module(module, args), &[], &[]);
    deed.is_some_and(|deed| deed.kind != Kind::Start)
}

impl Guard {
    /// Whether anything was refused.
    pub fn refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether a step can concern the guard at all. Asks nobody.
    pub fn is_interested(call: &ActionCall<'_>) -> bool {
        !recognise::deeds(call).is_empty()
    }

    /// Whether the step may happen now. Waits for its turn, and for reasons that pass by themselves.
    pub async fn ask(&self, call: &ActionCall<'_>) -> Result<Option<Permit>, Refusal> {
        let deeds = recognise::deeds(call);
        if deeds.is_empty() {
            return Ok(None);
        }
        let ground = Ground { run: call.run.clone(), play: call.play.clone(), step: call.step.clone() };
        // a command about pods is run anywhere
        let pod = pods::concerned(&ground, &deeds);
        let host = pod.as_ref().map_or(call.delegated.unwrap_or(call.host), |pod| pod.hosts[0].as_str());
        let Some(mut cluster) = Cluster::of(&ground, host) else { return Ok(None) };
        let deed = match &pod {
            Some(pod) => pod.deed.clone(),
            None => match recognise::concerning(&deeds, &cluster.units, &cluster.data) {
                Some(deed) => deed,
                None => return Ok(None),
            },
        };
        let lane = self.lane(cluster.name());
        if deed.kind == Kind::Start {
            self.open_again(host);
            lane.touch(host, true);
            return Ok(None);
        }
        let gate = self.gates().get(host).copied();
        if gate == Some(Gate::Purge) {
            return Ok(None);
        }
        if let Some(Gate::Away { whole }) = gate {
            cluster.policy.allow_degraded = true;
            cluster.policy.allow_outage |= whole;
        }
        let through = pod.is_none().then(|| Through::new(call.target.clone(), call.become_.cloned()));
        let mut case = Case {
            call,
            host: host.to_owned(),
            step: step(&deed, host),
            reach: Reach::new(&ground, &cluster, through),
            cluster,
            lane,
            gated: gate.is_some(),
        };
        if call.check {
            self.foretell(&mut case).await;
            return Ok(None);
        }
        // deleting what a member that is down had, takes nobody away
        if matches!(deed.subject, recognise::Subject::Path(_)) && !case.answers().await {
            return Ok(None);
        }
        let waits = |what| {
            if let Some(running) = call.run.running.get() {
                running.waits(call.step.id, call.host, what);
            }
        };
        waits(Some("guard"));
        let turn = case.turn().await?;
        let refused = |refusal| {
            self.refused.store(true, Ordering::Relaxed);
            refusal
        };
        if pod.is_some() {
            let hosts = case.reach.spec.members.iter().map(|member| member.host.as_str());
            reach::start_helpers(&ground, hosts).await;
        }
        case.alone(self).await.map_err(refused)?;
        if let Some(pod) = pod.as_ref().filter(|pod| pod.hosts.len() > 1) {
            pods::each(self, &mut case, pod).await.map_err(refused)?;
        }
        let mut decided = self.decide(&mut case).await.map_err(refused)?;
        let rest = case.lane.state().rested.map_or(Duration::ZERO, |at| REST.saturating_sub(at.elapsed()));
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
            decided = self.decide(&mut case).await.map_err(refused)?;
        }
        waits(None);
        let (verdict, seen) = decided;
        if gate.is_some() {
            self.gates().remove(host);
        }
        Ok(self.grant(case, &deed, turn, &verdict, &seen).await)
    }

    /// Which ways to members led nowhere lately.
    pub(crate) fn memory(&self) -> Arc<Memory> {
        self.memory.clone()
    }

    fn lane(&self, cluster: &str) -> Arc<Lane> {
        let mut lanes = self.desk.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(cluster.to_owned()).or_default().clone()
    }

    fn gates(&self) -> MutexGuard<'_, HashMap<String, Gate>> {
        self.desk.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A member that is started counts again, whatever was allowed before.
    fn open_again(&self, host: &str) {
        self.gates().remove(host);
    }

    /// Check mode: what would be said, as far as one look tells.
    async fn foretell(&self, case: &mut Case<'_>) {
        // a look before a step that asks in earnest
        if case.call.run.promise.get().is_some() {
            return;
        }
        let seen = case.look().await;
        if let Some(forecast) = case.call.run.forecast.get() {
            let absence = crate::forecast::Absence {
                title: case.call.title(),
                host: case.host.clone(),
                comes_back: matches!(case.step, Step::Restart(_)),
            };
            forecast.absence(&seen, case.cluster.policy.max_lag, absence);
        }
        if let Err(why) = case.may(&self.claims(&case.lane), &seen) {
            let refusal = Refusal::new(&why, case.reach.trouble.as_deref());
            let facts = refusal.facts.join("\n  ");
            let text = format!(
                "in a run without --check the guard would refuse [{}]: {}\n  {facts}",
                refusal.code, refusal.message
            );
            case.call.run.tell(Event::Warning(text));
        }
    }

    fn claims(&self, lane: &Lane) -> Claims {
        let held = self.desk.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Claims { held, poisoned: lane.state().poisoned.clone() }
    }

    /// Looks and decides, again and again while the reason is one that passes.
    async fn decide(&self, case: &mut Case<'_>) -> Result<(Verdict, Observation), Refusal> {
        let began = Instant::now();
        let mut told = false;
        loop {
            let seen = case.look().await;
            let why = match case.may(&self.claims(&case.lane), &seen) {
                Ok(verdict) => return Ok((verdict, seen)),
                Err(why) => why,
            };
            let waited = began.elapsed();
            if waited >= case.patience(&why.why, &seen) || case.call.run.is_interrupted() {
                return Err(Refusal::new(&why, case.reach.trouble.as_deref()));
            }
            if !told && waited >= NOTEWORTHY {
                told = true;
                let text =
                    format!("{}: {why}; waiting up to {} s for this to pass", case.host, PATIENCE.as_secs());
                case.call.run.tell(Event::Warning(text));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Yes: takes the slot, tells what has to be told, and hands leadership over.
    async fn grant(
        &self,
        case: Case<'_>,
        deed: &Deed,
        turn: tokio::sync::OwnedMutexGuard<()>,
        verdict: &Verdict,
        seen: &Observation,
    ) -> Option<Permit> {
        let member = seen.find(&Target::host(&case.host));
        let mut overridden = None;
        for note in &verdict.notes {
            match note {
                Note::Overridden(refusal) => {
                    let refusal = Refusal::overridden(refusal, case.reach.trouble.as_deref());
                    case.call.run.tell(Event::Warning(refusal.text.clone()));
                    overridden = Some(refusal.into_record());
                }
                Note::Degraded(_) | Note::Outage if !case.gated => {
                    case.call.run.tell(Event::Warning(format!("{}: {note}", case.step.describe(seen))));
                }
                note => case.tell(1, format!("{}: {note}", case.step.describe(seen))),
            }
        }
        case.lane.touch(&case.host, deed.kind != Kind::Stop);
        let served =
            member.is_some_and(|member| member.serves(case.cluster.policy.max_lag) && member.id.is_some());
        let Some(member) = member.filter(|_| served) else {
            // it serves nobody now: nothing to lose, nothing to wait for, and others may have to start meanwhile
            drop(turn);
            return overridden.map(|overridden| Permit { overridden: Some(overridden), watch: None });
        };
        if overridden.is_none() && seen.leader == member.id {
            case.hand_over(seen, member.id).await;
        }
        case.reach.start_nothing();
        let holder = format!("{} ({})", case.step.describe(seen), case.call.title());
        case.lane.state().holder = Some(holder.clone());
        let claim = Claim {
            cluster: case.cluster.name().to_owned(),
            member: member.id,
            host: Some(case.host.clone()),
            effect: Effect::Absence,
            holder,
        };
        self.desk.held.lock().unwrap_or_else(PoisonError::into_inner).push(claim.clone());
        let watch = Watch {
            turn,
            desk: self.desk.clone(),
            claim,
            host: case.host,
            step: case.step.describe(seen),
            id: member.id,
            role: member.role,
            max_lag: case.cluster.policy.max_lag,
            run: case.call.run.clone(),
            cluster: case.cluster.name().to_owned(),
            store: member.status.as_ref().map_or(0, |status| status.db_size),
            afterwards: Afterwards::of(deed, overridden.is_some(), verdict.during.has_quorum()),
            lane: case.lane,
            reach: case.reach,
        };
        Some(Permit { overridden, watch: Some(watch) })
    }
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self, host: &str, comes_back: bool) {
        self.state().touched.insert(host.to_owned(), comes_back);
    }

    fn poison(&self, what: String) {
        self.state().poisoned.get_or_insert(what);
    }
}

/// The step in the guard's words.
fn step(deed: &Deed, host: &str) -> Step {
    match deed.kind {
        Kind::Stop | Kind::Kill => Step::Stop(Target::host(host)),
        Kind::Restart | Kind::Start => Step::Restart(Target::host(host)),
    }
}

/// One question.
struct Case<'a> {
    call: &'a ActionCall<'a>,
    host: String,
    step: Step,
    cluster: Cluster,
    reach: Reach,
    lane: Arc<Lane>,
    /// `etcd_guard` has been asked before.
    gated: bool,
}

impl Case<'_> {
    fn tell(&self, level: u8, text: String) {
        self.call.run.tell(Event::Verbose(level, text));
    }

    /// This run's turn on the cluster.
    async fn turn(&self) -> Result<tokio::sync::OwnedMutexGuard<()>, Refusal> {
        let turn = match self.lane.turn.clone().try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => {
                let holder = self.lane.state().holder.clone().unwrap_or_else(|| "another step".into());
                self.tell(1, format!("{} waits: {holder} on cluster \"{}\"", self.host, self.cluster.name()));
                self.lane.turn.clone().lock_owned().await
            }
        };
        self.lane.state().holder = Some(format!("{} ({})", self.host, self.call.title()));
        if self.call.run.is_interrupted() {
            let message = "interrupted before this step began".to_owned();
            return Err(Refusal {
                text: format!("{}: {message}", self.host),
                message,
                code: "interrupted".into(),
                facts: vec![],
            });
        }
        Ok(turn)
    }

    async fn look(&mut self) -> Observation {
        let mut seen = self.reach.look().await;
        let mut state = self.lane.state();
        if let Some(before) = &state.seen {
            seen = seen.remembering(before);
        }
        self.call.run.saw(self.cluster.name(), &seen, self.cluster.policy.max_lag);
        state.seen = Some(seen.clone());
        seen
    }

    /// Whether this host's own member is up.
    async fn answers(&mut self) -> bool {
        let target = Target::host(&self.host);
        self.look()
            .await
            .find(&target)
            .is_some_and(|member| member.condition != quorate_etcd::Condition::Down)
    }

    fn may(&self, claims: &Claims, seen: &Observation) -> Result<Verdict, quorate_etcd::Refusal> {
        may(&self.step, seen, claims, &self.cluster.policy, Instant::now())
    }

    /// How long to go on looking for this reason.
    fn patience(&self, why: &Why, seen: &Observation) -> Duration {
        if why.passes_by_itself() {
            return PATIENCE;
        }
        if !matches!(why, Why::WouldLoseQuorum { .. } | Why::Degraded { .. } | Why::NoQuorumNow { .. }) {
            return Duration::ZERO;
        }
        // Members that this run itself restarted or started may still be on their way up; others are what they are.
        let state = self.lane.state();
        let broken = seen.voters().filter(|voter| {
            voter.host.as_deref() != Some(&self.host) && !voter.serves(self.cluster.policy.max_lag)
        });
        let mut patience = Duration::ZERO;
        for voter in broken {
            let comes_back = voter.host.as_ref().and_then(|host| state.touched.get(host)) == Some(&true);
            if !comes_back {
                return Duration::ZERO;
            }
            let dead = voter.condition == quorate_etcd::Condition::Down;
            patience = patience.max(if dead { COMING_UP } else { PATIENCE });
        }
        patience
    }

    /// Gives leadership to the voter that is furthest ahead, so that clients wait for no election. A courtesy: if it
    /// fails, etcd does it while it stops.
    async fn hand_over(&self, seen: &Observation, leader: Option<MemberId>) {
        let policy: &Policy = &self.cluster.policy;
        let others = seen.voters().filter(|voter| voter.id != leader && voter.serves(policy.max_lag));
        // whoever had its turn already keeps it; the others would have to hand it on
        let touched = self.lane.state().touched.clone();
        let ahead = |voter: &&quorate_etcd::SeenMember| {
            let had_its_turn = voter.host.as_ref().is_some_and(|host| touched.contains_key(host));
            (!had_its_turn, voter.lag.unwrap_or(u64::MAX))
        };
        let Some(heir) = others.min_by_key(ahead) else { return };
        let member = self.reach.spec.members.iter().find(|member| member.host == self.host);
        let (Some(id), Some(member)) = (heir.id, member) else { return };
        let moved = async {
            let client = quorate_etcd::MemberClient::connect(&member.client, &self.reach.access).await?;
            client.move_leader(id).await
        };
        match tokio::time::timeout(Duration::from_secs(3), moved).await {
            Ok(Ok(())) => self.tell(
                1,
                format!(
                    "leadership of cluster \"{}\" handed from {} to {}",
                    self.cluster.name(),
                    self.host,
                    heir.label()
                ),
            ),
            Ok(Err(error)) => self.tell(1, format!("{} keeps leadership: {error}", self.host)),
            Err(_) => self.tell(1, format!("{} keeps leadership: no answer within 3 s", self.host)),
        }
    }
}

/// Adds what the operator overrode to a result.
fn record(result: &mut Dict, overridden: Option<&Dict>) {
    if let Some(overridden) = overridden {
        result.insert("guard_overridden", overridden.clone());
    }
}
