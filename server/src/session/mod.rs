//! One worker's stream, from its Hello to its end.
//!
//! The stream is the only sign of life of a worker. Each frame is taken in order; each turn of the loop does one thing.

mod admission;
mod answer;
mod control;
mod dispatch;
mod entrance;
mod registry;
mod turn;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt as _};
use moorline_proto::v1::{ConnectRequest, ConnectResponse, connect_request, connect_response};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Status;
use tracing::{Instrument as _, debug, info_span, warn};

use answer::Awaited;
use dispatch::{CLAIM_MAX, Desk};

pub use admission::{Admission, Limits};
pub use dispatch::Dispatcher;
pub use registry::{Control, Registry, Seat};

use crate::{
    domain,
    flow::{
        Flow, Topic,
        leave::{self, Left},
        register::Hello,
    },
    metrics,
    wire::{status, worker},
};

/// Frames that may wait for a slow worker. A worker that lets them wait for longer than [`SEND_DEADLINE`] has a dead line.
pub const OUTBOUND_CAPACITY: usize = 64;
const SEND_DEADLINE: Duration = Duration::from_secs(10);

/// The way to the worker. Boxed, since the channel of an idle stream has room for many: most of a stream's memory would be empty frames.
pub type Outbound = mpsc::Sender<Box<Result<ConnectResponse, Status>>>;

/// What every session works with. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    /// The use cases.
    pub flow: Flow,
    /// Who is connected to this server.
    pub registry: Registry,
    /// How many Hellos are worked on at once.
    pub admission: Arc<Admission>,
    /// Hands out jobs.
    pub dispatcher: Dispatcher,
    /// Every session is a task of this tracker, so that a shutdown can wait for them.
    pub tasks: TaskTracker,
    /// Cancelled when this server shuts down.
    pub shutdown: CancellationToken,
}

/// Why a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The worker said that it would go, and closed its side in order: it has nothing left to do.
    Goodbye,
    /// The worker closed it, or the line broke.
    Closed(String),
    /// Nothing was heard for too long.
    Silent,
    /// The worker didn't take what was sent.
    Stalled,
    /// A newer stream of the same worker took its place.
    Replaced,
    /// The worker was sent to another server, for this reason.
    Redirected(&'static str),
    /// The worker broke the protocol.
    Protocol(Box<domain::Error>),
}

impl End {
    /// As a label.
    fn name(&self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Closed(_) => "closed",
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Replaced => "replaced",
            Self::Redirected(_) => "redirected",
            Self::Protocol(_) => "protocol",
        }
    }
}

/// A session at work.
pub(crate) struct Session {
    sessions: Sessions,
    hello: Hello,
    outbound: Outbound,
    /// Where the dispatcher finds this session.
    desk: Desk,
    /// When the lease of the worker's instance was renewed at its registration.
    registered: Instant,
    /// What the worker has said of its jobs and not yet been answered, in order.
    awaited: VecDeque<Awaited>,
    /// When the worker was last heard.
    heard: Instant,
    /// Whether the worker has said that it will go.
    draining: bool,
    /// Numbers of the pings that this side has sent, and who waits for the answer.
    probes: HashMap<i64, tokio::sync::oneshot::Sender<()>>,
    next_nonce: i64,
}

/// Serves one stream to its end, which takes the session out of the database; where that fails, [`crate::flow::servers::take_out_ghosts`] does.
pub async fn serve(sessions: Sessions, mut inbound: impl Stream<Item = Result<ConnectRequest, Status>> + Unpin + Send, outbound: Outbound) {
    let hello = match first_frame(&sessions, &mut inbound).await {
        Ok(hello) => hello,
        Err(refusal) => return turn_away(&outbound, refusal).await,
    };
    let span = info_span!("session", worker = hello.worker_name, instance_id = %hello.instance_id);
    run(sessions, hello, inbound, outbound).instrument(span).await;
}

async fn first_frame(
    sessions: &Sessions,
    inbound: &mut (impl Stream<Item = Result<ConnectRequest, Status>> + Unpin),
) -> Result<Hello, Status> {
    let deadline = sessions.flow.timers.hello_deadline;
    let first = tokio::select! {
        biased;
        () = sessions.shutdown.cancelled() => return Err(status::refused(&entrance::leaving())),
        first = tokio::time::timeout(deadline, inbound.next()) => first,
    };
    let frame = match first {
        Ok(Some(Ok(request))) => request.frame,
        Ok(Some(Err(status))) => return Err(status),
        Ok(None) => None,
        Err(_) => None,
    };
    match frame {
        Some(connect_request::Frame::Hello(hello)) => worker::hello(hello).map_err(|refusal| status::refused(&refusal)),
        _ => {
            let message = format!("a stream begins with Hello, within {} s: send it first", deadline.as_secs());
            Err(status::refused(&domain::Error::precondition("HELLO_EXPECTED", message)))
        }
    }
}

async fn run(
    sessions: Sessions,
    hello: Hello,
    inbound: impl Stream<Item = Result<ConnectRequest, Status>> + Unpin + Send,
    outbound: Outbound,
) {
    // A worker that waits no longer has dialled again, and its old Hello must not take the place of its new one.
    let seated = tokio::select! {
        () = outbound.closed() => return,
        seated = sessions.registry.enter(&hello) => seated,
    };
    let (seat, control) = match seated {
        Ok(taken) => taken,
        Err(refusal) => return turn_away(&outbound, status::refused(&refusal)).await,
    };
    // Interest is registered before the database is looked at, so that nothing between the two goes unseen.
    let subscription = sessions.flow.hints.subscribe([Topic::Instance(hello.instance_id)]);
    let began = Instant::now();
    // Boxed, as everything that is large and over soon: an idle stream must be small.
    let registered = match Box::pin(entrance::register(&sessions, &hello, &outbound)).await {
        Ok(registered) => registered,
        Err(refusal) => return turn_away(&outbound, refusal).await,
    };
    let (offers, offered) = mpsc::channel(CLAIM_MAX);
    let desk = Desk {
        session_id: registered.session_id,
        instance_id: hello.instance_id,
        worker_name: Arc::from(hello.worker_name.as_str()),
        skills: Arc::from(hello.skills.as_slice()),
        offers,
    };
    let mut session = Session {
        hello,
        outbound,
        desk,
        registered: began,
        awaited: VecDeque::new(),
        heard: Instant::now(),
        draining: false,
        probes: HashMap::new(),
        next_nonce: 1,
        sessions,
    };
    metrics::HELLOS.count(["welcomed".into()]);
    let welcome = worker::welcome(&registered, &session.sessions.flow.timers);
    let end = match session.send(connect_response::Frame::Welcome(welcome)).await {
        Ok(()) => session.turns(inbound, offered, subscription, control).await,
        Err(end) => end,
    };
    Box::pin(session.leave(end, seat)).await;
}

impl Session {
    /// Sends a frame, or finds that the worker doesn't take it.
    pub(crate) async fn send(&self, frame: connect_response::Frame) -> Result<(), End> {
        let message = Box::new(Ok(ConnectResponse { frame: Some(frame) }));
        match self.outbound.send_timeout(message, SEND_DEADLINE).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(End::Stalled),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(End::Closed("the worker is gone".to_owned())),
        }
    }

    async fn leave(self, end: End, seat: Seat) {
        if let End::Protocol(refusal) = &end {
            refuse(&self.outbound, status::refused(refusal)).await;
        }
        for queue in &self.hello.queues {
            self.sessions.dispatcher.revoke(self.desk.session_id, queue).await;
        }
        metrics::STREAM_ENDS.count([end.name().into()]);
        let goodbye = end == End::Goodbye;
        let redirected = matches!(end, End::Redirected(_));
        let reason = match end {
            End::Goodbye => "the worker said goodbye".to_owned(),
            End::Closed(how) => how,
            End::Silent => "nothing was heard for too long".to_owned(),
            End::Stalled => "the worker did not take what was sent".to_owned(),
            End::Replaced => "a newer stream of the worker took its place".to_owned(),
            End::Redirected(why) => why.to_owned(),
            End::Protocol(refusal) => refusal.to_string(),
        };
        let shard_queue = self.hello.volume.map(|binding| binding.queue);
        let left = Left {
            session_id: self.desk.session_id,
            instance_id: self.hello.instance_id,
            worker_name: self.hello.worker_name,
            shard_queue,
            reason,
            goodbye,
        };
        let stored = if redirected {
            leave::redirect(&self.sessions.flow, &left).await
        } else {
            leave::leave(&self.sessions.flow, &left).await
        };
        if let Err(error) = stored {
            warn!(%error, "the end of a session could not be stored; this server takes it out at its next look");
        }
        // The seat is given up last: whoever waits for it must find the database as this session has left it.
        drop(seat);
        debug!("session over");
    }
}

/// A worker that is not let in.
async fn turn_away(outbound: &Outbound, refusal: Status) {
    metrics::HELLOS.count(["refused".into()]);
    refuse(outbound, refusal).await;
}

async fn refuse(outbound: &Outbound, refusal: Status) {
    warn!(code = ?refusal.code(), message = refusal.message(), "worker refused");
    // A worker that is gone doesn't miss the reason.
    drop(outbound.send_timeout(Box::new(Err(refusal)), SEND_DEADLINE).await);
}
