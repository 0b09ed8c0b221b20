//! One stream of a scripted worker, from its Hello to its end.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use moorline_proto::v1::{
    self, ConnectRequest, ConnectResponse, connect_request, connect_response::Frame, worker_service_client::WorkerServiceClient,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

use super::{
    super::journal::{Accepted, Entry},
    Worker, frames,
    held::Held,
};

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// There was none.
    Refused,
    /// It was, and its line broke or was ended.
    Welcomed,
    /// The worker has done its work and goes.
    Goodbye,
}

/// How often jobs are looked after.
const TICK: Duration = Duration::from_millis(20);
/// Longest time for a line, and for the answer to Hello.
const PATIENCE: Duration = Duration::from_secs(3);

/// The stream while it lasts.
struct Stream {
    out: mpsc::Sender<ConnectRequest>,
    heard: Instant,
    pinged: Instant,
    ping_interval: Duration,
    ping_timeout: Duration,
    draining: bool,
}

impl Worker {
    pub(super) async fn session(&mut self) -> anyhow::Result<End> {
        let Some((out, mut frames)) = self.dial().await else {
            return Ok(End::Refused);
        };
        let Ok(Ok(Some(ConnectResponse {
            frame: Some(Frame::Welcome(welcome)),
        }))) = timeout(PATIENCE, frames.message()).await
        else {
            return Ok(End::Refused);
        };
        let mut stream = Stream {
            out,
            heard: Instant::now(),
            pinged: Instant::now(),
            ping_interval: span(welcome.ping_interval)?,
            ping_timeout: span(welcome.ping_timeout)?,
            draining: false,
        };
        self.welcome(&stream, welcome).await?;
        let mut tick = tokio::time::interval(TICK);
        loop {
            let alive = tokio::select! {
                message = frames.message() => match message {
                    Ok(Some(ConnectResponse { frame: Some(frame) })) => {
                        stream.heard = Instant::now();
                        self.take(&stream, frame).await?
                    }
                    _ => false,
                },
                _ = tick.tick() => self.tick(&mut stream).await?,
            };
            if stream.draining && self.held.is_empty() {
                // Its side is closed in order, and the server ends the other.
                drop(stream);
                drop(timeout(PATIENCE, async { while let Ok(Some(_)) = frames.message().await {} }).await);
                return Ok(End::Goodbye);
            }
            if !alive {
                return Ok(End::Welcomed);
            }
        }
    }

    async fn dial(&self) -> Option<(mpsc::Sender<ConnectRequest>, Streaming<ConnectResponse>)> {
        let address = fastrand::choice(&self.args.server)?;
        let endpoint = Endpoint::from_shared(address.clone()).ok()?.connect_timeout(PATIENCE);
        let channel = endpoint.connect().await.ok()?;
        let (out, requests) = mpsc::channel(256);
        out.send(frames::hello(&self.args, self.instance, self.held.values())).await.ok()?;
        let mut client = WorkerServiceClient::new(channel);
        let called = timeout(PATIENCE, client.connect(ReceiverStream::new(requests))).await;
        Some((out, called.ok()?.ok()?.into_inner()))
    }

    async fn welcome(&mut self, stream: &Stream, welcome: v1::Welcome) -> anyhow::Result<()> {
        let session = welcome.session_id.parse().context("a session id")?;
        self.journal.write(&Entry::Welcomed { session })?;
        for held in welcome.acknowledged {
            self.acknowledged(held.lease_token, held.last_sequence)?;
        }
        for held in welcome.kill {
            self.fenced(held.lease_token)?;
        }
        for held in welcome.keep {
            self.acknowledged(held.lease_token, held.last_sequence)?;
        }
        for job in self.held.values() {
            for (sequence, news) in (1..).zip(&job.reports).skip(usize::try_from(job.acknowledged)?) {
                stream.send(frames::report(&job.accepted, sequence, *news)).await;
            }
        }
        let room = self.args.slots - i32::try_from(self.held.len())?;
        if room > 0 {
            stream.send(frames::credit(&self.args, room)).await;
        }
        Ok(())
    }

    /// Takes a frame in; `false` ends the session.
    async fn take(&mut self, stream: &Stream, frame: Frame) -> anyhow::Result<bool> {
        match frame {
            Frame::Ping(ping) => {
                let pong = connect_request::Frame::Pong(v1::Pong {
                    nonce: ping.nonce,
                    lease_age: None,
                });
                stream.send(frames::frame(pong)).await;
            }
            Frame::Offer(offer) => self.offer(stream, &offer).await?,
            Frame::Ack(ack) => {
                if self.acknowledged(ack.lease_token, ack.sequence)? {
                    stream.send(frames::credit(&self.args, 1)).await;
                }
            }
            Frame::Fenced(fenced) => {
                if self.fenced(fenced.lease_token)? {
                    stream.send(frames::credit(&self.args, 1)).await;
                }
            }
            Frame::Cancel(cancel) => {
                if let Some(job) = self.held.get_mut(&cancel.lease_token) {
                    job.cancelled = true;
                }
            }
            Frame::Redirect(_) => return Ok(false),
            Frame::Pong(_) | Frame::Welcome(_) | Frame::Command(_) => {}
        }
        Ok(true)
    }

    async fn offer(&mut self, stream: &Stream, offer: &v1::Offer) -> anyhow::Result<()> {
        let accepted = Accepted {
            job: offer.job_id.parse().context("a job id")?,
            run: offer.run_id.parse().context("a run id")?,
            token: offer.lease_token,
            stage: offer.stage().as_str_name().trim_start_matches("STAGE_").to_lowercase(),
            attempt: offer.attempt,
        };
        match fastrand::u32(..100) {
            0..3 => {
                stream.send(frames::reject(&accepted)).await;
                stream.send(frames::credit(&self.args, 1)).await;
            }
            // No answer at all: it lapses, and another gets it.
            3..5 => stream.send(frames::credit(&self.args, 1)).await,
            // Around the deadline, or when another has it already.
            5..12 => {
                let at = Instant::now() + Duration::from_millis(fastrand::u64(500..4000));
                self.late.push((at, accepted));
            }
            _ => self.accept(stream, accepted).await?,
        }
        Ok(())
    }

    async fn accept(&mut self, stream: &Stream, accepted: Accepted) -> anyhow::Result<()> {
        self.journal.write(&Entry::Accepted(accepted.clone()))?;
        stream.send(frames::accept(&accepted)).await;
        self.held.insert(accepted.token, Held::new(accepted));
        Ok(())
    }

    /// Returns whether the job is done with.
    fn acknowledged(&mut self, token: i64, sequence: i64) -> anyhow::Result<bool> {
        let Some(job) = self.held.get_mut(&token) else {
            return Ok(false);
        };
        if sequence > 0 {
            self.journal.write(&Entry::Acknowledged { token, sequence })?;
        }
        job.acknowledged = sequence;
        Ok(job.finished() && sequence >= job.last() && self.forget(token))
    }

    /// Returns whether the lease was one of this worker's.
    fn fenced(&mut self, token: i64) -> anyhow::Result<bool> {
        if self.held.contains_key(&token) {
            self.journal.write(&Entry::Fenced { token })?;
        }
        Ok(self.forget(token))
    }

    /// Pings, and lets jobs say what they have to; `false` when the line is dead.
    async fn tick(&mut self, stream: &mut Stream) -> anyhow::Result<bool> {
        if stream.heard.elapsed() > stream.ping_timeout {
            return Ok(false);
        }
        if stream.pinged.elapsed() > stream.ping_interval {
            stream.pinged = Instant::now();
            stream
                .send(frames::frame(connect_request::Frame::Ping(v1::Ping { nonce: 1 })))
                .await;
        }
        if self.stop.is_cancelled() && !stream.draining {
            stream.draining = true;
            let draining = v1::Draining { reason: "soak".to_owned() };
            stream.send(frames::frame(connect_request::Frame::Draining(draining))).await;
        }
        let (due, late) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= Instant::now());
        self.late = late;
        for (_, accepted) in due {
            self.accept(stream, accepted).await?;
        }
        for job in self.held.values_mut().filter(|job| !job.finished() && job.next <= Instant::now()) {
            let (news, token, sequence) = (job.say(), job.accepted.token, job.last());
            self.journal.write(&Entry::Reported { token, sequence, news })?;
            let frame = frames::report(&job.accepted, sequence, news);
            for _ in 0..1 + u32::from(fastrand::u32(..20) == 0) {
                stream.send(frame.clone()).await;
            }
        }
        // Something that is long over is said again: it must be fenced, or be known already.
        if fastrand::u32(..200) == 0
            && let Some(past) = fastrand::choice(&self.past)
        {
            stream.send(frames::accept(past)).await;
            stream
                .send(frames::report(past, fastrand::i64(1..9), super::super::journal::News::Failed))
                .await;
        }
        Ok(true)
    }
}

impl Stream {
    /// Sends a frame. What a line that is gone, or doesn't take it, loses is sent again on the next.
    async fn send(&self, frame: ConnectRequest) {
        drop(timeout(self.ping_timeout, self.out.send(frame)).await);
    }
}

fn span(duration: Option<prost_types::Duration>) -> anyhow::Result<Duration> {
    let duration = duration.context("a time in Welcome")?;
    Duration::try_from(duration).context("a time in Welcome")
}
