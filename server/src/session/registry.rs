//! Who is connected to this server: one live stream per worker name.
//!
//! A second instance of a live name never evicts the first, or two copies would evict each other for ever. The first is asked for a sign
//! of life; only when it gives none is it replaced.

mod reach;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    domain::{Error, command::Order},
    flow::{names, register::Hello},
};

/// How long the holder of a name has to answer.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

/// How long a replaced session has to get out of the way.
const REPLACE_DEADLINE: Duration = Duration::from_secs(10);

/// When to dial again while an earlier session is still on its way out.
const BUSY_RETRY: Duration = Duration::from_millis(500);

/// What the registry asks of a session.
#[derive(Debug)]
pub enum Control {
    /// Is your worker alive? Answer when it has answered.
    Probe(oneshot::Sender<()>),
    /// End: a newer stream of your worker is here.
    Replace,
    /// Pass this command on to your worker.
    Command(Uuid, Order),
    /// Send your worker to another server, for this reason, as one of so many.
    Redirect(&'static str, usize),
}

#[derive(Debug)]
struct Entry {
    seat: Uuid,
    instance_id: Uuid,
    hostname: String,
    control: mpsc::Sender<Control>,
    gone: CancellationToken,
}

/// See the module. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    entries: Arc<Mutex<HashMap<String, Entry>>>,
    /// How many streams there were when the server began to go.
    at_farewell: Arc<OnceLock<usize>>,
    renewed: Arc<Mutex<Option<Instant>>>,
}

impl Registry {
    /// Takes the seat of a worker's name.
    ///
    /// # Errors
    ///
    /// `WORKER_NAME_TAKEN`, naming host and instance of the one that has it and is alive.
    pub async fn enter(&self, hello: &Hello) -> Result<(Seat, mpsc::Receiver<Control>), Error> {
        loop {
            let (instance_id, hostname, control, gone) = match self.try_enter(hello) {
                Ok(taken) => return Ok(taken),
                Err(holder) => holder,
            };
            // The same process again: its old line is dead, or it wouldn't dial.
            if instance_id != hello.instance_id && is_alive(&control).await {
                return Err(names::taken(&hello.worker_name, instance_id, &hostname));
            }
            drop(control.try_send(Control::Replace));
            if tokio::time::timeout(REPLACE_DEADLINE, gone.cancelled()).await.is_err() {
                let message = "the worker's earlier stream is still being taken out: dial again in a moment";
                return Err(Error::already_exists("WORKER_NAME_TAKEN", message)
                    .with("worker", hello.worker_name.as_str())
                    .retry_after(BUSY_RETRY));
            }
        }
    }

    /// When the leases of all who were connected then were last renewed.
    pub fn renewed(&self) -> Option<Instant> {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a renewal of the leases of all who were connected at a time.
    pub fn note_renewal(&self, at: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Instances of all live streams, for the renewal of their leases.
    pub fn instances(&self) -> Vec<Uuid> {
        self.lock().values().map(|entry| entry.instance_id).collect()
    }

    #[allow(clippy::type_complexity, reason = "the parts of the entry that stands in the way, used once")]
    fn try_enter(
        &self,
        hello: &Hello,
    ) -> Result<(Seat, mpsc::Receiver<Control>), (Uuid, String, mpsc::Sender<Control>, CancellationToken)> {
        let mut entries = self.lock();
        if let Some(entry) = entries.get(&hello.worker_name) {
            return Err((entry.instance_id, entry.hostname.clone(), entry.control.clone(), entry.gone.clone()));
        }
        let (control, receiver) = mpsc::channel(4);
        let gone = CancellationToken::new();
        let seat = Uuid::now_v7();
        let entry = Entry {
            seat,
            instance_id: hello.instance_id,
            hostname: hello.hostname.clone(),
            control,
            gone: gone.clone(),
        };
        entries.insert(hello.worker_name.clone(), entry);
        Ok((
            Seat {
                registry: self.clone(),
                name: hello.worker_name.clone(),
                seat,
                gone,
            },
            receiver,
        ))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn is_alive(control: &mpsc::Sender<Control>) -> bool {
    let (answer, answered) = oneshot::channel();
    if control.try_send(Control::Probe(answer)).is_err() {
        return false;
    }
    matches!(tokio::time::timeout(PROBE_DEADLINE, answered).await, Ok(Ok(())))
}

/// The right to be the one live stream of a name; ends when dropped.
#[derive(Debug)]
pub struct Seat {
    registry: Registry,
    name: String,
    seat: Uuid,
    gone: CancellationToken,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut entries = self.registry.lock();
        if entries.get(&self.name).is_some_and(|entry| entry.seat == self.seat) {
            entries.remove(&self.name);
        }
        drop(entries);
        self.gone.cancel();
    }
}
