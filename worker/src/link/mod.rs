//! The stream to the server: dial, hello, reports until acknowledged, redial.
//!
//! [`Link::run`] holds one session after the other. What must survive a session is in the [`Ledger`]: the leases that the
//! worker holds and the reports that the server hasn't acknowledged. A lost stream ends no job.

mod dial;
mod ledger;
mod outlet;
mod refusal;
mod session;
mod status;
mod transfer;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use moorline_proto::v1::{self, connect_request::Frame};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use self::{
    dial::Redial,
    session::{End, Session},
    transfer::Bulk,
};
pub use self::{
    ledger::{Lease, Ledger},
    outlet::JobOutlet,
    status::{Line, Status},
};
use crate::{config::Timers, fingerprint, holding::Holding, metrics};

/// The version of the protocol that this worker speaks.
pub const PROTOCOL_VERSION: i32 = 1;

/// Frames and events that wait in a channel at most.
const QUEUE: usize = 1024;

/// How often a connection that transfers something is asked whether it is still there.
const BULK_PING: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const BULK_PING_TIMEOUT: Duration = Duration::from_secs(20);

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
    /// The server has told when it last renewed the worker's lease.
    Renewed(Instant),
    /// The session has ended.
    Lost,
}

/// The beginning of a session.
#[derive(Debug)]
pub struct Welcomed {
    /// The way to say something in this session only.
    pub voice: Voice,
    /// How long leases last without a sign of life.
    pub lease_duration: Duration,
    /// When this session's Hello was sent: the server has renewed the worker's lease no earlier than that.
    pub renewed: Instant,
    /// Leases that the server lets the worker keep, and that are not over.
    pub kept: Vec<Lease>,
    /// Generation of the volume's lease; 0 where the worker presents none.
    pub volume_generation: i64,
    /// Key of the fleet's fingerprints.
    pub fingerprint_key: Option<fingerprint::Key>,
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
            tracing::warn!("too much waits to be sent: the session is ended");
            self.end.cancel();
        }
    }

    /// Ends the session; a new one starts afresh.
    pub fn hang_up(&self) {
        self.end.cancel();
    }
}

/// What jobs and the loop hold of the link.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Leases and unacknowledged reports.
    pub ledger: Arc<Ledger>,
    /// The worker's hold on its volume, if it serves a shard.
    holding: Option<Holding>,
    bulk: Bulk,
    status: Arc<watch::Sender<Status>>,
}

impl Handle {
    /// The volume that the worker holds, as it is known.
    pub fn binding(&self) -> Option<v1::VolumeBinding> {
        self.holding.as_ref().map(Holding::binding)
    }

    /// How it stands with the line.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The same, whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    fn set_line(&self, line: Line) {
        self.status.send_modify(|status| status.set(line));
    }
}

/// The worker's end of the line.
#[derive(Debug)]
pub struct Link {
    endpoint: Endpoint,
    hello: v1::Hello,
    handle: Handle,
    events: mpsc::Sender<Event>,
    farewell: CancellationToken,
    timers: Timers,
    redial: Redial,
    /// When it was last said that this worker stands by.
    said_standing_by: Option<Instant>,
}

/// How often a worker that stands by says so.
const STANDING_BY: Duration = Duration::from_secs(600);

impl Link {
    /// Prepares a link to `server`; nothing is dialled yet. The Hello is sent as it is, with the inventory of the ledger and
    /// the volume of the holding filled in.
    pub fn new(
        server: &str,
        hello: v1::Hello,
        ledger: Ledger,
        holding: Option<Holding>,
        timers: &Timers,
    ) -> Result<(Self, Handle, mpsc::Receiver<Event>), Error> {
        let address = |source| Error::Address {
            server: server.to_owned(),
            source,
        };
        let endpoint = Endpoint::from_shared(server.to_owned()).map_err(address)?;
        let endpoint = endpoint.connect_timeout(timers.connect).tcp_nodelay(true);
        let handle = Handle {
            ledger: Arc::new(ledger),
            holding,
            bulk: Bulk {
                channel: kept_alive(endpoint.clone()).connect_lazy(),
                call: timers.transfer,
            },
            status: Arc::default(),
        };
        let (events, receiver) = mpsc::channel(QUEUE);
        let link = Self {
            endpoint,
            hello,
            handle: handle.clone(),
            events,
            farewell: CancellationToken::new(),
            timers: timers.clone(),
            redial: Redial::new(timers),
            said_standing_by: None,
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
                self.redial = Redial::new(&self.timers);
            }
            metrics::DIALS.count([end.name().into()]);
            let delay = match end {
                End::Refused(error) => return Err(error),
                End::Over => return Ok(()),
                End::Redirected { reason, after } => {
                    let delay = after.unwrap_or_else(|| self.redial.next_delay());
                    tracing::info!(%reason, delay_ms = delay.as_millis(), "the server asks this worker to dial again");
                    self.handle.set_line(Line::Down { why: reason });
                    delay
                }
                End::Held { reason, hint } => {
                    let delay = hint.unwrap_or_else(|| self.redial.next_delay());
                    self.say_standing_by(&reason, delay);
                    self.handle.set_line(Line::StandingBy { why: reason });
                    if let Some(holding) = self.handle.holding.as_ref().filter(|_| self.handle.status().is_volume_held()) {
                        holding.lose();
                    }
                    delay
                }
                End::Lost { reason, hint } => {
                    let delay = hint.unwrap_or_else(|| self.redial.next_delay());
                    tracing::warn!(%reason, delay_ms = delay.as_millis(), "no line to the server; running jobs go on, dialling again");
                    self.handle.set_line(Line::Down { why: reason });
                    delay
                }
            };
            tokio::select! {
                () = self.farewell.cancelled() => return Ok(()),
                () = tokio::time::sleep(delay) => {}
            }
        }
    }

    /// A worker may stand by for weeks: it says so once, then rarely.
    fn say_standing_by(&mut self, reason: &str, delay: Duration) {
        let standing = matches!(self.handle.status.borrow().line, Line::StandingBy { .. });
        if standing && self.said_standing_by.is_some_and(|said| said.elapsed() < STANDING_BY) {
            tracing::debug!(%reason, delay_ms = delay.as_millis(), "still standing by");
            return;
        }
        self.said_standing_by = Some(Instant::now());
        tracing::info!(%reason, delay_ms = delay.as_millis(), "standing by: this worker asks again until its place is free");
    }

    /// One session, and whether it was steady: one that lasted longer than its ping interval owes nothing to the failures before it.
    async fn session(&self) -> (End, bool) {
        let mut hello = self.hello.clone();
        hello.inventory = self.handle.ledger.inventory();
        hello.volume = self.handle.holding.as_ref().map(Holding::binding);
        let opened = tokio::select! {
            () = self.farewell.cancelled() => return (End::Over, false),
            opened = Session::open(&self.endpoint, hello, &self.handle, &self.events, &self.timers) => opened,
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

/// Transfers have no pings of their own: without these a line that is gone would be noticed only after the time of a whole call.
fn kept_alive(endpoint: Endpoint) -> Endpoint {
    endpoint
        .http2_keep_alive_interval(BULK_PING)
        .keep_alive_timeout(BULK_PING_TIMEOUT)
        .tcp_keepalive(Some(BULK_PING))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
