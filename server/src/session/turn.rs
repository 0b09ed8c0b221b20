//! The loop of a session: frames in, offers and cancels out, and its one way to end.

use futures::{Stream, StreamExt as _};
use moorline_proto::v1::{self, ConnectRequest, connect_request::Frame, connect_response};
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tonic::Status;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{Control, End, Session};
use crate::{
    domain,
    flow::{Error, accept, cancel, claim, hints::Subscription, report},
    wire::{self, worker},
};

/// Most jobs that one claim takes, whatever the credit: the next look takes more.
const CLAIM_MAX: u32 = 64;

impl Session {
    pub(super) async fn turns(
        &mut self,
        mut inbound: impl Stream<Item = Result<ConnectRequest, Status>> + Unpin,
        subscription: Subscription,
        mut control: mpsc::Receiver<Control>,
    ) -> End {
        let mut poll = tokio::time::interval(self.sessions.flow.timers.poll);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.sessions.shutdown.clone();
        loop {
            let silent = self.heard + self.sessions.flow.timers.ping_timeout;
            let turn = tokio::select! {
                // In this order: a turn that took long must not let a worker be dropped whose frames are waiting to be read.
                biased;
                () = shutdown.cancelled() => Err(self.farewell(&mut inbound, "this server is shutting down").await),
                frame = inbound.next() => self.take(frame).await,
                () = subscription.woken() => self.look().await,
                _ = poll.tick() => self.look().await,
                Some(request) = control.recv() => self.obey(request).await,
                () = tokio::time::sleep_until(silent) => Err(End::Silent),
            };
            if let Err(end) = turn {
                return end;
            }
        }
    }

    /// Takes one frame in. Any frame is a sign of life.
    pub(super) async fn take(&mut self, frame: Option<Result<ConnectRequest, Status>>) -> Result<(), End> {
        self.heard = tokio::time::Instant::now();
        let frame = match frame {
            Some(Ok(request)) => request.frame,
            Some(Err(status)) => return Err(End::Closed(status.message().to_owned())),
            None if self.draining => return Err(End::Goodbye),
            None => return Err(End::Closed("the worker closed the stream".to_owned())),
        };
        match frame {
            Some(Frame::Ping(ping)) => {
                self.send(connect_response::Frame::Pong(v1::Pong {
                    nonce: ping.nonce,
                    lease_age: None,
                }))
                .await
            }
            Some(Frame::Pong(pong)) => {
                if let Some(waiting) = self.probes.remove(&pong.nonce) {
                    let asked = waiting.send(());
                    debug!(in_time = asked.is_ok(), "the worker is alive");
                }
                Ok(())
            }
            Some(Frame::Credit(credit)) => self.credit(credit).await,
            Some(Frame::Accept(accept)) => self.accept(accept).await,
            Some(Frame::Reject(reject)) => self.reject(reject).await,
            Some(Frame::Report(report)) => self.report(report).await,
            Some(Frame::Draining(draining)) => {
                self.drains(&draining.reason).await;
                Ok(())
            }
            Some(Frame::CommandResult(result)) => self.answered(result).await,
            Some(Frame::Hello(_)) => Err(protocol("HELLO_TWICE", "a stream has one Hello: dial again for another")),
            // A frame of a newer protocol; the version in Hello says that it isn't needed.
            None => Ok(()),
        }
    }

    async fn credit(&mut self, credit: v1::Credit) -> Result<(), End> {
        if !self.hello.queues.contains(&credit.queue) {
            return Err(protocol(
                "CREDIT_FOR_OTHER_QUEUE",
                "credits are for the queues of the worker's Hello only",
            ));
        }
        let more = u32::try_from(credit.jobs).unwrap_or_default();
        let credits = self.credits.entry(credit.queue).or_default();
        *credits = credits.saturating_add(more);
        self.look().await
    }

    /// Looks for what there is to do: work for the worker's credits, and jobs to cancel.
    async fn look(&mut self) -> Result<(), End> {
        self.cancels().await?;
        if self.draining {
            return Ok(());
        }
        let wanted: Vec<(String, u32)> = self
            .credits
            .iter()
            .filter(|(_, credits)| **credits > 0)
            .map(|(queue, credits)| (queue.clone(), *credits))
            .collect();
        for (queue, credits) in wanted {
            let claimed = claim::claim(
                &self.sessions.flow,
                &queue,
                credits.min(CLAIM_MAX),
                self.hello.instance_id,
                &self.hello.worker_name,
            )
            .await;
            let claimed = match claimed {
                Ok(claimed) => claimed,
                // The next look tries again; what was claimed and not offered lapses by itself.
                Err(error) => {
                    warn!(%error, queue, "no claim");
                    continue;
                }
            };
            let spent = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
            self.credits
                .entry(queue)
                .and_modify(|credits| *credits = credits.saturating_sub(spent));
            for job in &claimed {
                self.send(connect_response::Frame::Offer(worker::offer(job))).await?;
            }
        }
        Ok(())
    }

    /// Tells the worker which of its jobs to stop; again at every look until it has.
    async fn cancels(&mut self) -> Result<(), End> {
        match cancel::pending(&self.sessions.flow, self.hello.instance_id).await {
            Ok(jobs) => {
                for job in jobs {
                    let frame = v1::Cancel {
                        job_id: job.id.to_string(),
                        lease_token: job.lease_token.unwrap_or_default(),
                        reason: job.cancel_reason.unwrap_or_default(),
                    };
                    self.send(connect_response::Frame::Cancel(frame)).await?;
                }
            }
            Err(error) => warn!(%error, "no look for cancelled jobs"),
        }
        Ok(())
    }

    async fn accept(&mut self, frame: v1::Accept) -> Result<(), End> {
        let job_id = parse(&frame.job_id)?;
        let accepted = accept::accept(&self.sessions.flow, job_id, frame.lease_token).await;
        self.answer(job_id, frame.lease_token, accepted).await
    }

    async fn reject(&mut self, frame: v1::Reject) -> Result<(), End> {
        let job_id = parse(&frame.job_id)?;
        info!(%job_id, reason = frame.reason, "offer rejected");
        let rejected = claim::reject(&self.sessions.flow, self.hello.instance_id, job_id, frame.lease_token).await;
        self.answer(job_id, frame.lease_token, rejected).await
    }

    async fn report(&mut self, frame: v1::Report) -> Result<(), End> {
        let (job_id, lease_token, sequence, news) = worker::report(frame).map_err(|refusal| End::Protocol(Box::new(refusal)))?;
        match report::report(&self.sessions.flow, job_id, lease_token, sequence, news).await {
            Ok(acknowledged) => {
                let ack = v1::Ack {
                    job_id: job_id.to_string(),
                    lease_token,
                    sequence: acknowledged,
                };
                self.send(connect_response::Frame::Ack(ack)).await
            }
            Err(error) => self.answer(job_id, lease_token, Err(error)).await,
        }
    }

    /// Answers what failed: a lease that has passed on is fenced; anything else the worker sends again.
    async fn answer(&mut self, job_id: Uuid, lease_token: i64, outcome: Result<(), Error>) -> Result<(), End> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Error::Refused(refusal)) if refusal.kind == domain::error::Kind::Fenced => {
                info!(%job_id, lease_token, "fenced");
                let fenced = v1::Fenced {
                    job_id: job_id.to_string(),
                    lease_token,
                    reason: refusal.to_string(),
                };
                self.send(connect_response::Frame::Fenced(fenced)).await
            }
            Err(error) => {
                // The frame is lost; without an acknowledgement the worker sends it again, on a new stream.
                let status = wire::status::status(error);
                Err(End::Closed(status.message().to_owned()))
            }
        }
    }
}

fn parse(job_id: &str) -> Result<Uuid, End> {
    wire::id("job_id", job_id).map_err(|refusal| End::Protocol(Box::new(refusal)))
}

fn protocol(reason: &'static str, message: &'static str) -> End {
    End::Protocol(Box::new(domain::Error::precondition(reason, message)))
}
