//! The worker's hold on its volume: one for each worker of a queue that needs a login.
//!
//! Whatever uses the volume goes through its gate: agents take a share, and checks, logins, logouts and clean-ups have the volume alone.
//! What they find of it is kept here, for the next Hello, for reports, and for the credits of the shard's queue.

mod command;
mod gate;
mod known;
mod settings;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use moorline_proto::v1;
use tokio::sync::watch;

pub(crate) use self::command::not_held;
pub use self::{
    command::{Step, Way},
    gate::{Alone, InUse, Share},
};
use self::{gate::Gate, known::Known};
use crate::{
    agent::{self, Agent},
    config::Config,
    engine::Engine,
    fingerprint::Key,
    preflight::{self, Checked},
    stage::Owner,
};

/// How long what wants the volume alone waits for another that has it alone: longer than a check, and shorter than a login.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause before a volume that others have is looked at again.
const AGAIN: Duration = Duration::from_secs(10);

/// The volume that the worker holds. Clones are the same hold.
#[derive(Debug, Clone)]
pub struct Holding(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Arc<Config>,
    engine: Arc<dyn Engine>,
    agent: Arc<dyn Agent>,
    queue: String,
    volume: String,
    generation: AtomicI64,
    gate: Arc<Gate>,
    known: Mutex<Known>,
    capacity: watch::Sender<u32>,
    /// Whether the policy is still to be merged into the agent's settings.
    policy_owed: AtomicBool,
}

impl Holding {
    /// The hold on the volume of the settings' login queue; `None` where there is no such queue or no volume.
    pub fn new(config: &Arc<Config>, engine: &Arc<dyn Engine>) -> Option<Self> {
        let (queue, volume) = (config.login_queue()?.to_owned(), config.volume.clone()?);
        Some(Self(Arc::new(Inner {
            agent: agent::of_worker(config),
            config: config.clone(),
            engine: engine.clone(),
            queue,
            volume,
            generation: AtomicI64::new(0),
            gate: Gate::new(),
            known: Mutex::default(),
            capacity: watch::Sender::new(1),
            policy_owed: AtomicBool::new(false),
        })))
    }

    /// Name of the volume.
    pub fn volume(&self) -> &str {
        &self.0.volume
    }

    /// The shard's queue.
    pub fn queue(&self) -> &str {
        &self.0.queue
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.0.config
    }

    pub(crate) fn agent(&self) -> &dyn Agent {
        self.0.agent.as_ref()
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.0.engine
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Generation of the volume's lease, as far as this worker was told; 0 before the first Welcome.
    pub fn generation(&self) -> i64 {
        self.0.generation.load(Ordering::SeqCst)
    }

    /// Takes note of a generation that a server has named. Generations never fall.
    pub fn raise(&self, generation: i64) {
        self.0.generation.fetch_max(generation, Ordering::SeqCst);
    }

    /// Another worker has the volume for now: what is known of its login is worth nothing afterwards.
    pub fn lose(&self) {
        self.known().doubt();
    }

    /// A session has begun. Returns what is to be told at once; `None` where the login must be checked before.
    pub fn welcomed(&self, generation: i64, key: Option<Key>) -> Option<v1::VolumeReport> {
        let before = self.generation();
        self.raise(generation);
        let mut known = self.known();
        if before > 0 && generation > before {
            tracing::info!(
                volume = self.volume(),
                before,
                generation,
                "the volume's lease has a new generation: its login is looked at anew"
            );
            known.doubt();
        }
        known.key = key.or(known.key.take());
        let fresh = known.welcome();
        drop(known);
        fresh.then(|| self.report())
    }

    /// Jobs that may use the login at once.
    pub fn capacity(&self) -> u32 {
        *self.0.capacity.borrow()
    }

    /// The same, whenever it changes.
    pub fn capacities(&self) -> watch::Receiver<u32> {
        self.0.capacity.subscribe()
    }

    /// What an agent's share must wait for, if anything.
    pub fn busy(&self) -> Option<String> {
        self.0.gate.busy()
    }

    /// A share for an agent, as soon as there is one.
    pub async fn share(&self, owner: &Owner) -> Share {
        self.0.gate.share(owner).await
    }

    /// A share for an agent that an earlier process has left at work with it.
    pub fn share_of_adopted(&self, owner: &Owner) -> Share {
        self.0.gate.share_of_adopted(owner)
    }

    /// Jobs whose agents have a share.
    pub fn agents(&self) -> Vec<Owner> {
        self.0.gate.agents()
    }

    /// The volume alone, for `what`.
    ///
    /// # Errors
    ///
    /// At once where an agent works with it; after a while where something else has it alone.
    pub async fn alone(&self, what: &'static str) -> Result<Alone, InUse> {
        self.0.gate.alone(what, PATIENCE).await
    }

    /// The volume alone at once; `None` where it is in use.
    pub fn alone_now(&self, what: &'static str) -> Option<Alone> {
        self.0.gate.alone_now(what)
    }

    /// Checks the login under a generation of the lease, for whoever has the volume alone or a share of it; with one small real call if it is
    /// to be a `probe`. What is found is kept for the next report.
    pub async fn check(&self, generation: i64, probe: bool) -> Checked {
        let inner = &self.0;
        let ask = preflight::Ask {
            queue: &inner.queue,
            volume: Some(&inner.volume),
            generation,
            probe,
        };
        let checked = preflight::check(inner.engine.as_ref(), self.agent(), &inner.config, &ask).await;
        self.note(checked)
    }

    /// Checks the login once nobody else uses it, unless it was checked meanwhile. Returns what is to be told.
    pub async fn check_at_last(&self) -> v1::VolumeReport {
        loop {
            let alone = self.0.gate.alone_at_last("a check of its login").await;
            if !self.known().is_stale() {
                return self.report();
            }
            let checked = self.check(self.generation(), false).await;
            drop(alone);
            let Some(blocked) = checked.blocked else { return self.report() };
            tracing::warn!(volume = self.volume(), "the login can't be looked at yet: {}", blocked.message);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Takes note of a check. What it says of the volume comes back with fingerprints. One that could not have the volume says nothing.
    fn note(&self, mut checked: Checked) -> Checked {
        if checked.blocked.is_some() {
            return checked;
        }
        let mut known = self.known();
        known.check(checked.preflight.clone());
        known.identity = checked.identity.clone();
        known.diagnostics = Some(checked.diagnostics);
        checked.diagnostics = known.stamped().unwrap_or_default();
        let capacity = known.capacity(self.0.config.api_key_capacity);
        drop(known);
        if let Some(capacity) = capacity {
            self.set_capacity(capacity);
        }
        checked
    }

    /// Takes note of the volume after a clean-up, which leaves the login as it is.
    fn note_cleaned(&self, diagnostics: v1::VolumeDiagnostics) -> v1::VolumeDiagnostics {
        let mut known = self.known();
        known.diagnostics = Some(diagnostics);
        known.stamped().unwrap_or_default()
    }

    fn set_capacity(&self, capacity: u32) {
        self.0.gate.set_capacity(capacity);
        let set = |now: &mut u32| std::mem::replace(now, capacity) != capacity;
        if self.0.capacity.send_if_modified(set) {
            tracing::info!(
                volume = self.volume(),
                capacity,
                "so many jobs may use the login at once from now on"
            );
        }
    }

    /// Takes note of what a job says of the login, such as that it was refused: its report tells the server.
    pub fn note_preflight(&self, preflight: v1::Preflight) {
        self.known().check(preflight);
    }

    /// What a Hello presents.
    pub fn binding(&self) -> v1::VolumeBinding {
        let known = self.known();
        v1::VolumeBinding {
            volume: self.0.volume.clone(),
            queue: self.0.queue.clone(),
            diagnostics: known.stamped(),
            preflight: known.preflight(),
            capacity: self.capacity_told(),
        }
    }

    /// The volume as it is now.
    pub fn report(&self) -> v1::VolumeReport {
        let known = self.known();
        v1::VolumeReport {
            diagnostics: known.stamped(),
            preflight: known.preflight(),
            capacity: self.capacity_told(),
        }
    }

    pub(crate) fn capacity_told(&self) -> i32 {
        i32::try_from(self.capacity()).unwrap_or(i32::MAX)
    }
}
