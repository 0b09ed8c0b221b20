//! One stream, from Hello to its end.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use moorline_proto::v1::{
    self, ConnectRequest, ConnectResponse, connect_request::Frame, connect_response, worker_service_client::WorkerServiceClient,
};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming, transport::Endpoint};

use super::{Error, Event, Handle, Lease, Line, QUEUE, Voice, Welcomed, refusal};
use crate::{config::Timers, fingerprint, redact::chain};

/// What a server is given to end the stream in good order.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a session, or the attempt to open one, ended.
pub(super) enum End {
    /// The worker is not wanted, and waiting won't help.
    Refused(Error),
    /// The line broke, or the server refused for now.
    Lost { reason: String, hint: Option<Duration> },
    /// Another worker holds the name or the volume.
    Held { reason: String, hint: Option<Duration> },
    /// The server asks to dial again, after this time where it names one.
    Redirected { reason: String, after: Option<Duration> },
    /// The worker has said farewell, or nobody listens for events any more.
    Over,
}

impl End {
    /// As a label.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Lost { .. } => "lost",
            Self::Held { .. } => "held",
            Self::Redirected { .. } => "redirected",
            Self::Over => "over",
        }
    }
}

/// What a session does next.
enum Turn {
    Heard(Box<ConnectResponse>),
    Say(Box<Frame>),
    Sent,
    Look,
    Ping,
}

/// A session that the server has welcomed.
pub(super) struct Session<'a> {
    handle: &'a Handle,
    events: &'a mpsc::Sender<Event>,
    inbound: Streaming<ConnectResponse>,
    outbound: mpsc::Sender<ConnectRequest>,
    /// What the loop says.
    said: mpsc::Receiver<Frame>,
    end: CancellationToken,
    /// Frames on their way, signs of life first; reports are drawn only when it is empty.
    queue: VecDeque<Frame>,
    sent: BTreeMap<Lease, i64>,
    ping: Interval,
    ping_timeout: Duration,
    last_pong: Instant,
    nonce: i64,
    /// Pings that wait for their pong, and when they were made.
    pings: VecDeque<(i64, Instant)>,
}

/// Pings whose pongs are still of interest.
const PINGS: usize = 64;

impl<'a> Session<'a> {
    /// Dials, says hello, and waits for the welcome.
    pub(super) async fn open(
        endpoint: &Endpoint,
        hello: v1::Hello,
        handle: &'a Handle,
        events: &'a mpsc::Sender<Event>,
        timers: &Timers,
    ) -> Result<Self, End> {
        let said_hello = Instant::now();
        let opening = async {
            let channel = endpoint.connect().await.map_err(|error| lost(chain(&error)))?;
            let (outbound, requests) = mpsc::channel(64);
            // Hello waits in the channel before the call is made: the server reads it before it answers.
            let first = ConnectRequest {
                frame: Some(Frame::Hello(hello)),
            };
            outbound.try_send(first).map_err(|error| lost(error.to_string()))?;
            let refused = |status: Status| refusal::end(&status);
            let call = WorkerServiceClient::new(channel).connect(ReceiverStream::new(requests)).await;
            let mut inbound = call.map_err(refused)?.into_inner();
            match inbound.message().await.map_err(refused)?.and_then(|response| response.frame) {
                Some(connect_response::Frame::Welcome(welcome)) => Ok((inbound, outbound, welcome)),
                Some(connect_response::Frame::Redirect(redirect)) => Err(redirected(redirect)),
                _ => Err(lost("the server did not begin with Welcome".to_owned())),
            }
        };
        let opened = tokio::time::timeout(timers.welcome, opening).await;
        let (inbound, outbound, welcome) = opened.unwrap_or_else(|_| Err(lost("the server did not answer Hello in time".to_owned())))?;

        let (frames, said) = mpsc::channel(QUEUE);
        let end = CancellationToken::new();
        let interval = duration(welcome.ping_interval, Duration::from_secs(10));
        let mut ping = tokio::time::interval_at(Instant::now() + interval, interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let session = Self {
            handle,
            events,
            inbound,
            outbound,
            said,
            end: end.clone(),
            queue: VecDeque::new(),
            sent: BTreeMap::new(),
            ping,
            ping_timeout: duration(welcome.ping_timeout, Duration::from_secs(30)),
            last_pong: Instant::now(),
            nonce: 0,
            pings: VecDeque::new(),
        };
        let lease_duration = duration(welcome.lease_duration, Duration::from_secs(600));
        for misfit in timers.misfits(interval, session.ping_timeout, lease_duration) {
            tracing::error!("{misfit}");
        }
        let kept = session.take_stock(&welcome).await?;
        session.renewed(said_hello);
        session.handle.set_line(Line::Live {
            session_id: welcome.session_id,
        });
        let welcomed = Welcomed {
            voice: Voice { frames, end },
            lease_duration,
            renewed: said_hello,
            kept,
            volume_generation: welcome.volume_generation,
            fingerprint_key: fingerprint::Key::new(&welcome.fingerprint_key),
        };
        session.tell(Event::Welcomed(Box::new(welcomed))).await?;
        Ok(session)
    }

    /// What the server says of the inventory. Returns what is kept and not over.
    async fn take_stock(&self, welcome: &v1::Welcome) -> Result<Vec<Lease>, End> {
        tracing::info!(session_id = %welcome.session_id, "the server has welcomed this worker");
        for job in &welcome.acknowledged {
            let lease = Lease::new(&job.job_id, job.lease_token);
            if self.handle.ledger.acknowledge(&lease, job.last_sequence) {
                self.tell(Event::Settled(lease)).await?;
            }
        }
        for job in &welcome.kill {
            let lease = Lease::new(&job.job_id, job.lease_token);
            self.handle.ledger.forget(&lease);
            self.tell(Event::Fenced(lease, "its lease has passed on while the line was down".to_owned()))
                .await?;
        }
        let mut kept = Vec::new();
        for job in &welcome.keep {
            let lease = Lease::new(&job.job_id, job.lease_token);
            // The server may have all of a job that has ended, and only its word for that got lost.
            match self.handle.ledger.kept(&lease, job.last_sequence) {
                true => self.tell(Event::Settled(lease)).await?,
                false => kept.push(lease),
            }
        }
        Ok(kept)
    }

    /// How often the worker gives a sign of life.
    pub(super) fn ping_interval(&self) -> Duration {
        self.ping.period()
    }

    /// Holds the session to its end.
    pub(super) async fn hold(mut self, farewell: &CancellationToken) -> End {
        let end = loop {
            let step = tokio::select! {
                biased;
                () = farewell.cancelled() => return self.leave().await,
                step = self.step() => step,
            };
            if let Err(end) = step {
                break end;
            }
        };
        match self.tell(Event::Lost).await {
            Ok(()) => end,
            Err(over) => over,
        }
    }

    /// Sends what was said, ends the worker's half of the stream, and gives the server a moment to end its own.
    async fn leave(mut self) -> End {
        while let Ok(frame) = self.said.try_recv() {
            self.queue.push_back(frame);
        }
        let leaving = async {
            for frame in self.queue {
                if self.outbound.send(ConnectRequest { frame: Some(frame) }).await.is_err() {
                    return;
                }
            }
            drop(self.outbound);
            while let Ok(Some(_)) = self.inbound.message().await {}
        };
        // A server that doesn't answer is left all the same.
        let _ = tokio::time::timeout(FAREWELL, leaving).await;
        End::Over
    }

    async fn step(&mut self) -> Result<(), End> {
        // By the clock, before anything else: a process that was stopped for long must say nothing more on this stream.
        if self.last_pong.elapsed() > self.ping_timeout {
            return Err(lost("the server did not answer pings".to_owned()));
        }
        // What the loop has said goes before reports: an Accept before the first report of its job.
        while let Ok(frame) = self.said.try_recv() {
            self.queue.push_back(frame);
        }
        if self.queue.is_empty() {
            self.queue.extend(self.handle.ledger.next(&mut self.sent).map(Frame::Report));
        }
        let lost = |reason: &str| lost(reason.to_owned());
        let turn = tokio::select! {
            response = self.inbound.message() => match response {
                Ok(Some(response)) => Turn::Heard(Box::new(response)),
                Ok(None) => return Err(lost("the server ended the stream")),
                Err(status) => return Err(refusal::after_welcome(&status)),
            },
            permit = self.outbound.reserve(), if !self.queue.is_empty() => match permit {
                Ok(permit) => {
                    permit.send(ConnectRequest { frame: self.queue.pop_front() });
                    Turn::Sent
                }
                Err(_) => return Err(lost("the stream is closed")),
            },
            Some(frame) = self.said.recv(), if self.queue.len() < QUEUE => Turn::Say(Box::new(frame)),
            () = self.handle.ledger.changed(), if self.queue.is_empty() => Turn::Look,
            _ = self.ping.tick() => Turn::Ping,
            () = tokio::time::sleep_until(self.last_pong + self.ping_timeout) => return Err(lost("the server did not answer pings")),
            () = self.end.cancelled() => return Err(lost("the worker ended the session")),
            () = self.events.closed() => return Err(End::Over),
        };
        match turn {
            // A frame that isn't known is one of a newer protocol; the version in Hello keeps away those that matter.
            Turn::Heard(response) => self.heard(response.frame).await?,
            Turn::Say(frame) => self.queue.push_back(*frame),
            Turn::Ping => self.ping(),
            Turn::Sent | Turn::Look => {}
        }
        Ok(())
    }

    fn ping(&mut self) {
        // One that still waits says as much as two.
        if !matches!(self.queue.front(), Some(Frame::Ping(_))) {
            self.nonce += 1;
            self.queue.push_front(Frame::Ping(v1::Ping { nonce: self.nonce }));
            self.pings.push_back((self.nonce, Instant::now()));
            if self.pings.len() > PINGS {
                self.pings.pop_front();
            }
        }
    }

    /// The lease is counted from when the ping was made, less its age: the pong may have waited in a buffer while this process was stopped.
    async fn pong(&mut self, pong: v1::Pong) -> Result<(), End> {
        self.last_pong = Instant::now();
        self.handle.status.send_modify(|status| status.last_pong = Some(self.last_pong));
        let pinged = self.pings.iter().find(|(nonce, _)| *nonce == pong.nonce).map(|(_, pinged)| *pinged);
        self.pings.retain(|(nonce, _)| *nonce > pong.nonce);
        let Some(pinged) = pinged else {
            return Ok(());
        };
        let age = pong.lease_age.and_then(|age| Duration::try_from(age).ok()).unwrap_or_default();
        let Some(renewed) = pinged.checked_sub(age) else {
            return Ok(());
        };
        self.renewed(renewed);
        self.tell(Event::Renewed(renewed)).await
    }

    fn renewed(&self, at: Instant) {
        self.handle
            .status
            .send_modify(|status| status.renewed = status.renewed.max(Some(at)));
    }

    async fn heard(&mut self, frame: Option<connect_response::Frame>) -> Result<(), End> {
        use connect_response::Frame as Heard;
        let Some(frame) = frame else {
            return Ok(());
        };
        match frame {
            Heard::Ping(ping) => self.queue.push_front(Frame::Pong(v1::Pong {
                nonce: ping.nonce,
                lease_age: None,
            })),
            Heard::Pong(pong) => return self.pong(pong).await,
            Heard::Offer(offer) => return self.tell(Event::Offer(Box::new(offer))).await,
            Heard::Ack(ack) => {
                let lease = Lease::new(ack.job_id, ack.lease_token);
                if self.handle.ledger.acknowledge(&lease, ack.sequence) {
                    return self.tell(Event::Settled(lease)).await;
                }
            }
            Heard::Fenced(fenced) => {
                let lease = Lease::new(fenced.job_id, fenced.lease_token);
                self.handle.ledger.forget(&lease);
                return self.tell(Event::Fenced(lease, fenced.reason)).await;
            }
            Heard::Cancel(cancel) => {
                return self
                    .tell(Event::Cancel(Lease::new(cancel.job_id, cancel.lease_token), cancel.reason))
                    .await;
            }
            Heard::Command(command) => return self.tell(Event::Command(command)).await,
            Heard::Redirect(redirect) => return Err(redirected(redirect)),
            Heard::Welcome(_) => tracing::warn!("the server welcomed this worker twice; the second is ignored"),
        }
        Ok(())
    }

    /// The loop never waits for the session, so this wait is short.
    async fn tell(&self, event: Event) -> Result<(), End> {
        self.events.send(event).await.map_err(|_| End::Over)
    }
}

fn lost(reason: String) -> End {
    End::Lost { reason, hint: None }
}

fn redirected(redirect: v1::Redirect) -> End {
    End::Redirected {
        after: named(redirect.retry_after),
        reason: redirect.reason,
    }
}

/// A time that the server names, or the default where it names none.
fn duration(given: Option<prost_types::Duration>, default: Duration) -> Duration {
    named(given).unwrap_or(default)
}

fn named(given: Option<prost_types::Duration>) -> Option<Duration> {
    given
        .and_then(|given| Duration::try_from(given).ok())
        .filter(|given| !given.is_zero())
}
