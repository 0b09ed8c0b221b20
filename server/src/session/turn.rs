//! The loop of a session: frames in, offers and cancels out, and its one way to end.

use futures::{Stream, StreamExt as _};
use moorline_proto::v1::{self, ConnectRequest, connect_request::Frame, connect_response};
use tokio::sync::mpsc;
use tonic::Status;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{
    Control, End, Session,
    answer::{Awaited, What},
    control::ANSWERS,
};
use crate::{
    domain,
    flow::{
        cancel,
        claim::{self, Claimed},
        frame::{self, Said},
        hints::Subscription,
    },
    metrics,
    wire::{self, worker},
};

/// Frames about jobs that may wait for their answers; a worker that sends more is read no further.
const AWAITED_MAX: usize = 256;

impl Session {
    pub(super) async fn turns(
        &mut self,
        mut inbound: impl Stream<Item = Result<ConnectRequest, Status>> + Unpin,
        mut offered: mpsc::Receiver<Box<Claimed>>,
        subscription: Subscription,
        mut control: mpsc::Receiver<Control>,
    ) -> End {
        let shutdown = self.sessions.shutdown.clone();
        let end = loop {
            let silent = self.heard + self.sessions.flow.timers.ping_timeout;
            let turn = tokio::select! {
                // Boxed, since an idle stream must be small, and there are thousands. In this order: a turn that took long must not let a
                // worker be dropped whose frames are waiting to be read.
                biased;
                () = shutdown.cancelled() => Err(Box::pin(self.farewell(&mut inbound, "this server is shutting down")).await),
                answer = Awaited::first(&mut self.awaited) => Box::pin(self.answer(answer)).await,
                frame = inbound.next(), if self.awaited.len() < AWAITED_MAX => Box::pin(self.take(frame)).await,
                Some(job) = offered.recv() => Box::pin(self.offer(&job)).await,
                () = subscription.woken() => Box::pin(self.cancels()).await,
                Some(request) = control.recv() => Box::pin(self.obey(request)).await,
                () = tokio::time::sleep_until(silent) => Err(End::Silent),
            };
            if let Err(end) = turn {
                break end;
            }
        };
        // What the worker has said counts before its end does: a result on its way must not lose to the loss of its job.
        let said = async {
            while !self.awaited.is_empty() {
                drop(Awaited::first(&mut self.awaited).await)
            }
        };
        drop(tokio::time::timeout(ANSWERS, said).await);
        // What was claimed for this session and not sent is offered again at once.
        offered.close();
        while let Ok(job) = offered.try_recv() {
            self.give_back(&job).await;
        }
        end
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
            Some(Frame::Ping(ping)) => self.pong(ping.nonce).await,
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
                Box::pin(self.drains(&draining.reason)).await;
                Ok(())
            }
            Some(Frame::CommandResult(result)) => Box::pin(self.answered(result)).await,
            Some(Frame::CommandProgress(progress)) => Box::pin(self.progressed(progress)).await,
            Some(Frame::VolumeReport(report)) => Box::pin(self.reported(report)).await,
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
        if more > 0 && !self.draining {
            self.sessions.dispatcher.grant(&self.desk, &credit.queue, more).await;
        }
        Ok(())
    }

    /// Says that the worker is heard, and for how long its lease has gone unrenewed.
    async fn pong(&self, nonce: i64) -> Result<(), End> {
        let renewed = self
            .sessions
            .registry
            .renewed()
            .map_or(self.registered, |at| at.max(self.registered));
        let pong = v1::Pong {
            nonce,
            lease_age: Some(wire::duration(renewed.elapsed())),
        };
        self.send(connect_response::Frame::Pong(pong)).await
    }

    async fn offer(&self, job: &Claimed) -> Result<(), End> {
        if self.draining {
            self.give_back(job).await;
            return Ok(());
        }
        self.send(connect_response::Frame::Offer(worker::offer(job))).await
    }

    async fn give_back(&self, job: &Claimed) {
        if let Err(error) = claim::give_back(&self.sessions.flow, job).await {
            warn!(%error, job_id = %job.job.id, "an offer could not be given back; it lapses by itself");
        }
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
        self.bring(job_id, frame.lease_token, Said::Accept, What::Accept).await
    }

    async fn reject(&mut self, frame: v1::Reject) -> Result<(), End> {
        let job_id = parse(&frame.job_id)?;
        metrics::REJECTIONS.count([]);
        info!(%job_id, reason = frame.reason, "offer rejected");
        let rejected = claim::reject(&self.sessions.flow, self.hello.instance_id, job_id, frame.lease_token).await;
        rejected.map_err(|error| End::Closed(wire::status::status(error).message().to_owned()))
    }

    async fn report(&mut self, frame: v1::Report) -> Result<(), End> {
        let (job_id, lease_token, sequence, news) = worker::report(frame).map_err(|refusal| End::Protocol(Box::new(refusal)))?;
        self.bring(job_id, lease_token, Said::Report(sequence, Box::new(news)), What::Report)
            .await
    }

    /// Brings what was said to its group; the answer comes in its turn.
    async fn bring(&mut self, job_id: Uuid, lease_token: i64, said: Said, what: What) -> Result<(), End> {
        let frame = frame::Frame::new(Some(self.hello.instance_id), job_id, lease_token, said);
        match self.sessions.flow.frames.bring(frame).await {
            Ok(answer) => {
                self.awaited.push_back(Awaited {
                    job_id,
                    lease_token,
                    what,
                    answer,
                });
                Ok(())
            }
            Err(error) => Err(End::Closed(wire::status::status(error).message().to_owned())),
        }
    }
}

fn parse(job_id: &str) -> Result<Uuid, End> {
    wire::id("job_id", job_id).map_err(|refusal| End::Protocol(Box::new(refusal)))
}

fn protocol(reason: &'static str, message: &'static str) -> End {
    End::Protocol(Box::new(domain::Error::precondition(reason, message)))
}
