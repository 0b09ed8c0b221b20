//! Answers to what a worker says of its jobs: they come from the database, group by group, while the stream is read on.

use std::collections::VecDeque;

use moorline_proto::v1::{self, connect_response};
use tracing::info;
use uuid::Uuid;

use super::{End, Session};
use crate::{
    domain::error::Kind,
    flow::{Error, group::Answer},
    metrics, wire,
};

/// A frame that waits for its answer.
#[derive(Debug)]
pub(super) struct Awaited {
    pub(super) job_id: Uuid,
    pub(super) lease_token: i64,
    pub(super) what: What,
    pub(super) answer: Answer<i64>,
}

/// What was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// An Accept: only a refusal is answered.
    Accept,
    /// A Report: it is acknowledged.
    Report,
}

/// An answer that has come.
pub(super) struct Answered {
    job_id: Uuid,
    lease_token: i64,
    what: What,
    outcome: Result<i64, Error>,
}

impl Awaited {
    /// Waits for the answer to the first frame; without any, for ever.
    pub(super) async fn first(awaited: &mut VecDeque<Self>) -> Answered {
        let Some(first) = awaited.front_mut() else {
            return std::future::pending().await;
        };
        let outcome = (&mut first.answer).await.map_err(|_| Error::Busy).flatten();
        let answered = Answered {
            job_id: first.job_id,
            lease_token: first.lease_token,
            what: first.what,
            outcome,
        };
        awaited.pop_front();
        answered
    }
}

impl Answered {
    fn count(&self) {
        let frame = match self.what {
            What::Accept => "accept",
            What::Report => "report",
        };
        let outcome = match &self.outcome {
            Ok(_) => "stored",
            Err(Error::Refused(refusal)) if refusal.kind == Kind::Fenced => "fenced",
            Err(_) => "failed",
        };
        metrics::FRAMES.count([frame.into(), outcome.into()]);
    }
}

impl Session {
    /// Answers: a report is acknowledged, a lease that has passed on is fenced; anything else the worker sends again.
    pub(super) async fn answer(&mut self, answered: Answered) -> Result<(), End> {
        let (job_id, lease_token) = (answered.job_id.to_string(), answered.lease_token);
        answered.count();
        match answered.outcome {
            Ok(_) if answered.what == What::Accept => Ok(()),
            Ok(sequence) => {
                let ack = v1::Ack {
                    job_id,
                    lease_token,
                    sequence,
                };
                self.send(connect_response::Frame::Ack(ack)).await
            }
            Err(Error::Refused(refusal)) if refusal.kind == Kind::Fenced => {
                info!(job_id, lease_token, "fenced");
                let fenced = v1::Fenced {
                    job_id,
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
