//! The stream to the server: dial, hello, reports until acknowledged, redial.
//!
//! [`Link::run`] holds one session after the other. What must survive a session is in the [`Ledger`]: the leases that the
//! worker holds and the reports that the server hasn't acknowledged. A lost stream ends no job.

mod dial;
mod ledger;
mod outlet;
mod refusal;
mod session;
mod transfer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moorline_proto::v1::{self, connect_request::Frame};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use self::{
    dial::Redial,
    session::{End, Session},
};
pub use self::{
    ledger::{Lease, Ledger},
    outlet::JobOutlet,
};

/// The version of the protocol that this worker speaks.
pub const PROTOCOL_VERSION: i32 = 1;

/// Frames and events that wait in a channel at most.
const QUEUE: usize = 1024;

/// Why the link can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server will never take this worker as it is.
    #[error("the server refused this worker ({reason}): {message}")]
    Refused {
        /// The server's name for it, such as `UNKNOWN_QUEUE`.
        reason: String,
        /// The server's own words.
        message: String,
    },
    /// The address of the server can't be used.
    #[error("MOORLINE_SERVER is `{server}`, which is no address of a server: set a URL such as http://127.0.0.1:7420")]
    Address {
        /// As given.
        server: String,
        /// Why not.
        #[source]
        source: tonic::transport::Error,
    },
}

/// What the server wants, in the order in which it said so.
#[derive(Debug)]
pub enum Event {
    /// A session has begun. All credit of the one before is void.
    Welcomed(Box<Welcomed>),
    /// A job is offered.
    Offer(Box<v1::Offer>),
    /// A job must stop, and its end be reported.
    Cancel(Lease, String),
    /// A lease has passed on: its job must stop, and its reports are forgotten.
    Fenced(Lease, String),
    /// The end of a job is acknowledged.
    Settled(Lease),
    /// Something that is no job.
    Command(v1::Command),
    /// The session has ended; the last sign of life was at this time.
    Lost(Instant),
}

/// The beginning of a session.
#[derive(Debug)]
pub struct Welcomed {
    /// The way to say something in this session only.
    pub voice: Voice,
    /// How long leases last without a sign of life.
    pub lease_duration: Duration,
}

/// Says things in one session. What can't be said any more is void with its session.
#[derive(Debug, Clone)]
pub struct Voice {
    frames: mpsc::Sender<Frame>,
    end: CancellationToken,
}

impl Voice {
    /// Queues a frame; never waits. A session that is so slow that its queue is full is ended: a new one starts afresh.
    pub fn say(&self, frame: Frame) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.frames.try_send(frame) {
            self.end.cancel();
        }
    }
}

/// What jobs and the loop hold of the link.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Leases and unacknowledged reports.
    pub ledger: Arc<Ledger>,
    hello: Arc<Mutex<v1::Hello>>,
    bulk: Channel,
}

impl Handle {
    /// Remembers the newest state of the volume for the next Hello.
    pub fn set_volume(&self, diagnostics: Option<v1::VolumeDiagnostics>, preflight: Option<v1::Preflight>) {
        if let Some(binding) = lock(&self.hello).volume.as_mut() {
            binding.diagnostics = diagnostics.or(binding.diagnostics.take());
            binding.preflight = preflight.or(binding.preflight.take());
        }
    }
}

/// The worker's end of the line.
#[derive(Debug)]
pub struct Link {
    endpoint: Endpoint,
    handle: Handle,
    events: mpsc::Sender<Event>,
    farewell: CancellationToken,
    redial: Redial,
}

impl Link {
    /// Prepares a link to `server`; nothing is dialled yet. The Hello is sent as it is, with the inventory filled in.
    pub fn new(server: &str, hello: v1::Hello) -> Result<(Self, Handle, mpsc::Receiver<Event>), Error> {
        let address = |source| Error::Address {
            server: server.to_owned(),
            source,
        };
        let endpoint = Endpoint::from_shared(server.to_owned()).map_err(address)?;
        let endpoint = endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true);
        let handle = Handle {
            ledger: Arc::new(Ledger::default()),
            hello: Arc::new(Mutex::new(hello)),
            // A connection of its own: a flood of output must not delay a sign of life.
            bulk: endpoint.connect_lazy(),
        };
        let (events, receiver) = mpsc::channel(QUEUE);
        let link = Self {
            endpoint,
            handle: handle.clone(),
            events,
            farewell: CancellationToken::new(),
            redial: Redial::default(),
        };
        Ok((link, handle, receiver))
    }

    /// What ends the link in good order: what is said by then is still sent.
    pub fn farewell(&self) -> CancellationToken {
        self.farewell.clone()
    }

    /// Holds sessions, one after the other, until the server refuses the worker for good or it says farewell.
    pub async fn run(mut self) -> Result<(), Error> {
        loop {
            let (end, steady) = self.session().await;
            if steady {
                self.redial = Redial::default();
            }
            let delay = match end {
                End::Refused(error) => return Err(error),
                End::Over => return Ok(()),
                End::Redirected { reason, after } => {
                    let delay = after.unwrap_or_else(|| self.redial.next_delay());
                    tracing::info!(%reason, delay_ms = delay.as_millis(), "the server asks this worker to dial again");
                    delay
                }
                End::Lost { reason, hint } => {
                    let delay = hint.unwrap_or_else(|| self.redial.next_delay());
                    tracing::warn!(%reason, delay_ms = delay.as_millis(), "no line to the server; running jobs go on, dialling again");
                    delay
                }
            };
            tokio::select! {
                () = self.farewell.cancelled() => return Ok(()),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// One session, and whether it was steady: one that lasted longer than its ping interval owes nothing to the failures before it.
    async fn session(&self) -> (End, bool) {
        let mut hello = lock(&self.handle.hello).clone();
        hello.inventory = self.handle.ledger.inventory();
        let opened = tokio::select! {
            () = self.farewell.cancelled() => return (End::Over, false),
            opened = Session::open(&self.endpoint, hello, &self.handle.ledger, &self.events) => opened,
        };
        match opened {
            Ok(session) => {
                let (began, interval) = (Instant::now(), session.ping_interval());
                let end = session.hold(&self.farewell).await;
                (end, began.elapsed() > interval)
            }
            Err(end) => (end, false),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
