//! What a session does at the word of others: answer a probe, pass a command on, end, or send its worker elsewhere.

use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use moorline_proto::v1::{self, ConnectRequest, connect_request, connect_response::Frame};
use tonic::Status;
use tracing::{info, warn};

use super::{Control, End, Session, answer::Awaited};
use crate::{
    domain::command::Answer,
    flow::{command, fleet, report},
    wire,
};

/// Dials per second that a fleet is spread to when it is sent elsewhere.
const DIALS_PER_SECOND: f64 = 500.0;

/// Most frames that are still taken in before a session says farewell; the worker sends the rest again.
const FAREWELL_FRAMES: usize = 256;

/// How long the answers to them may take.
pub(super) const ANSWERS: Duration = Duration::from_secs(3);

impl Session {
    pub(super) async fn obey(&mut self, request: Control) -> Result<(), End> {
        match request {
            Control::Replace => Err(End::Replaced),
            Control::Redirect(reason, streams) => Err(self.redirect(reason, streams).await),
            Control::Probe(answer) => {
                let nonce = self.next_nonce;
                self.next_nonce += 1;
                self.probes.insert(nonce, answer);
                self.send(Frame::Ping(v1::Ping { nonce })).await
            }
            Control::Command(id, order) => match wire::command::frame(id, &order) {
                Some(frame) => self.send(Frame::Command(frame)).await,
                None => Ok(()),
            },
        }
    }

    /// Stores the worker's answer to a command.
    pub(super) async fn answered(&mut self, result: v1::CommandResult) -> Result<(), End> {
        let (id, answer) = wire::command::answer(result).map_err(|refusal| End::Protocol(Box::new(refusal)))?;
        if matches!(answer, Answer::Drains { .. }) {
            self.drains("told to").await;
        }
        if let Err(error) = command::finish(&self.sessions.flow, id, self.hello.instance_id, &answer).await {
            warn!(%error, command_id = %id, "the answer to a command could not be stored; whoever asked is told that nobody answered");
        }
        Ok(())
    }

    /// Stores how far a command has come.
    pub(super) async fn progressed(&mut self, progress: v1::CommandProgress) -> Result<(), End> {
        let step = wire::command::step(progress).map_err(|refusal| End::Protocol(Box::new(refusal)))?;
        if let Some((id, step)) = step
            && let Err(error) = command::progress(&self.sessions.flow, id, self.hello.instance_id, step).await
        {
            warn!(%error, command_id = %id, "how far a command has come could not be stored; whoever asked waits on");
        }
        Ok(())
    }

    /// Stores what the worker says of its own volume. What it says of another counts for nothing.
    pub(super) async fn reported(&mut self, report: v1::VolumeReport) -> Result<(), End> {
        let Some(binding) = &self.hello.volume else { return Ok(()) };
        let (volume, instance_id) = (binding.volume.clone(), self.hello.instance_id);
        let (check, seen) = wire::worker::volume_report(report, &volume);
        if let Err(error) = report::volume(&self.sessions.flow, instance_id, &volume, check, seen).await {
            warn!(%error, volume, "what a worker said of its volume could not be stored; it says it again on its next stream");
        }
        Ok(())
    }

    /// The worker takes nothing new from now on.
    pub(super) async fn drains(&mut self, reason: &str) {
        info!(reason, "worker drains");
        self.draining = true;
        for queue in &self.hello.queues {
            self.sessions.dispatcher.revoke(self.desk.session_id, queue).await;
        }
        if let Err(error) = fleet::draining(&self.sessions.flow, self.desk.session_id).await {
            warn!(%error, "that the worker drains could not be stored; operators don't see it");
        }
    }

    /// Takes in what has arrived already, so that it is answered, and sends the worker to another server.
    pub(super) async fn farewell(
        &mut self,
        mut inbound: impl Stream<Item = Result<ConnectRequest, Status>> + Unpin,
        reason: &'static str,
    ) -> End {
        for _ in 0..FAREWELL_FRAMES {
            let Some(frame) = inbound.next().now_or_never() else { break };
            let credit = matches!(&frame, Some(Ok(request)) if matches!(request.frame, Some(connect_request::Frame::Credit(_))));
            if !credit && let Err(end) = self.take(frame).await {
                return end;
            }
        }
        let answers = async {
            while !self.awaited.is_empty() {
                let answer = Awaited::first(&mut self.awaited).await;
                self.answer(answer).await?;
            }
            Ok(())
        };
        // What is not answered in time the worker says again, to another server.
        if let Ok(Err(end)) = tokio::time::timeout(ANSWERS, answers).await {
            return end;
        }
        let streams = self.sessions.registry.count_at_farewell();
        self.redirect(reason, streams).await
    }

    /// Sends the worker elsewhere, at a moment of its own: a whole fleet must not dial at once.
    async fn redirect(&mut self, reason: &'static str, streams: usize) -> End {
        let redirect = v1::Redirect {
            reason: reason.to_owned(),
            retry_after: Some(wire::duration(spread(streams, self.sessions.flow.timers.server_timeout / 2))),
        };
        // Whether it arrives or not, the stream ends, and the worker dials again.
        drop(self.send(Frame::Redirect(redirect)).await);
        End::Redirected(reason)
    }
}

/// A moment within which all of these dial; who has not come back some time after that is taken out.
fn spread(streams: usize, most: Duration) -> Duration {
    let seconds = (streams.saturating_sub(1) as f64 / DIALS_PER_SECOND).min(most.as_secs_f64());
    Duration::from_secs_f64(seconds * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_dials_at_once_and_a_thousand_within_two_seconds() {
        let most = Duration::from_secs(10);
        assert_eq!(spread(1, most), Duration::ZERO);
        let delays: Vec<Duration> = (0..1000).map(|_| spread(1000, most)).collect();
        assert!(delays.iter().all(|delay| *delay < Duration::from_secs(2)));
        let early = delays.iter().filter(|delay| **delay < Duration::from_secs(1)).count();
        assert!((300..700).contains(&early), "{early} in the first half");
        assert!((0..100).all(|_| spread(1_000_000, most) <= most));
    }
}
