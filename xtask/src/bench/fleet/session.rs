//! One stream of a scripted worker, from Hello to its end.

use std::{sync::Arc, time::Duration};

use moorline_proto::v1::{
    self, ConnectRequest, ConnectResponse, connect_request::Frame, connect_response, worker_service_client::WorkerServiceClient,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;

use super::{
    Line, Offered, Script, Tally,
    desk::{self, Desk},
    hello::hello,
};

/// Within this time a server must have answered Hello.
const WELCOME_DEADLINE: Duration = Duration::from_secs(15);
/// Frames on their way. Slots bound them: three for each.
const OUTBOUND: usize = 1024;

/// How a stream ended.
pub struct Ended {
    /// Whether the server had welcomed the worker.
    pub welcomed: bool,
    /// Why.
    pub reason: String,
    /// When to dial again, where the server says so.
    pub hint: Option<Duration>,
}

/// Dials, and holds the stream to its end.
pub async fn hold(script: &Script, line: &Line, desk: &mut Desk, mut opened: watch::Receiver<bool>, tally: &Arc<Tally>) -> Ended {
    let (mut session, mut inbound, ping) = match tokio::time::timeout(WELCOME_DEADLINE, open(script, line, desk, tally)).await {
        Ok(Ok(session)) => session,
        Ok(Err(refused)) => return refused,
        Err(_) => return ended("no Welcome in time".to_owned()),
    };
    let mut ping = tokio::time::interval_at(Instant::now() + ping.mul_f64(fastrand::f64()), ping);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut credited = false;
    let reason = loop {
        if !credited && *opened.borrow() {
            credited = true;
            session.credit_free_slots(desk);
        }
        let next_end = desk.next_end();
        let step = tokio::select! {
            message = inbound.message() => match message {
                Ok(Some(ConnectResponse { frame: Some(frame) })) => session.heard(frame, desk, tally, credited).await,
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err("the server ended the stream".to_owned()),
                Err(status) => Err(status.message().to_owned()),
            },
            () = async { tokio::time::sleep_until(next_end.unwrap_or_else(Instant::now)).await }, if next_end.is_some() => {
                desk.end_next().map_or(Ok(()), |report| session.send(Frame::Report(report)))
            }
            _ = ping.tick() => session.send(Frame::Ping(v1::Ping { nonce: 1 })),
            changed = opened.changed(), if !credited => changed.map_err(|_| "the fleet is gone".to_owned()),
        };
        if let Err(reason) = step {
            break reason;
        }
    };
    Ended {
        welcomed: true,
        reason,
        hint: None,
    }
}

struct Session<'a> {
    script: &'a Script,
    outbound: mpsc::Sender<ConnectRequest>,
}

async fn open<'a>(
    script: &'a Script,
    line: &Line,
    desk: &mut Desk,
    tally: &Tally,
) -> Result<(Session<'a>, Streaming<ConnectResponse>, Duration), Ended> {
    let channel = match line {
        Line::Shared(channel) => channel.clone(),
        Line::Own(endpoint) => endpoint.connect().await.map_err(|error| ended(error.to_string()))?,
    };
    let (outbound, requests) = mpsc::channel(OUTBOUND);
    let session = Session { script, outbound };
    // Hello waits in the channel before the call is made: the server reads it before it answers.
    session.send(Frame::Hello(hello(script, desk))).map_err(ended)?;
    let call = WorkerServiceClient::new(channel).connect(ReceiverStream::new(requests)).await;
    let mut inbound = call.map_err(|status| refused(&status))?.into_inner();
    let first = inbound.message().await.map_err(|status| refused(&status))?;
    let Some(connect_response::Frame::Welcome(welcome)) = first.and_then(|response| response.frame) else {
        return Err(ended("the server did not begin with Welcome".to_owned()));
    };
    session.take_stock(&welcome, desk, tally).map_err(ended)?;
    let ping = welcome.ping_interval.and_then(|interval| Duration::try_from(interval).ok());
    Ok((session, inbound, ping.unwrap_or(Duration::from_secs(10))))
}

impl Session<'_> {
    fn send(&self, frame: Frame) -> Result<(), String> {
        self.outbound
            .try_send(ConnectRequest { frame: Some(frame) })
            .map_err(|error| error.to_string())
    }

    /// What the server says of the jobs in hand.
    fn take_stock(&self, welcome: &v1::Welcome, desk: &mut Desk, tally: &Tally) -> Result<(), String> {
        for job in &welcome.acknowledged {
            if let Some(held) = desk.drop_job(&job.job_id, job.lease_token) {
                tally.finish(&held);
            }
        }
        for job in &welcome.kill {
            desk.drop_job(&job.job_id, job.lease_token);
        }
        tally.welcome(&self.script.name, welcome.keep.len(), welcome.kill.len());
        for held in desk.inventory().filter(|held| held.finished) {
            self.send(Frame::Report(desk::report(held)))?;
        }
        Ok(())
    }

    fn credit_free_slots(&self, desk: &Desk) {
        let held = i32::try_from(desk.len()).unwrap_or(i32::MAX);
        // A stream that is gone shows at the next frame.
        let _ = self.credit((self.script.slots - held).max(0));
    }

    fn credit(&self, jobs: i32) -> Result<(), String> {
        self.send(Frame::Credit(v1::Credit {
            queue: self.script.queue.clone(),
            jobs,
        }))
    }

    async fn heard(&mut self, frame: connect_response::Frame, desk: &mut Desk, tally: &Tally, credited: bool) -> Result<(), String> {
        use connect_response::Frame as Heard;
        match frame {
            Heard::Offer(offer) => {
                let at = Instant::now();
                self.send(Frame::Accept(v1::Accept {
                    job_id: offer.job_id.clone(),
                    lease_token: offer.lease_token,
                }))?;
                if let Some(report) = desk.take(&offer, self.script.pace) {
                    self.send(Frame::Report(report))?;
                }
                let offered = Offered {
                    at,
                    run_id: offer.run_id,
                    job_id: offer.job_id,
                    lease_token: offer.lease_token,
                    stage: offer.stage,
                };
                tally.offer(&self.script.name, offered).await;
                Ok(())
            }
            Heard::Ack(ack) => {
                let Some(held) = desk.drop_job(&ack.job_id, ack.lease_token) else {
                    return Ok(());
                };
                tally.finish(&held);
                if credited { self.credit(1) } else { Ok(()) }
            }
            Heard::Fenced(fenced) => {
                tally.count(|counts| counts.fenced += 1);
                let held = desk.drop_job(&fenced.job_id, fenced.lease_token);
                if held.is_some() && credited { self.credit(1) } else { Ok(()) }
            }
            Heard::Ping(ping) => self.send(Frame::Pong(v1::Pong {
                nonce: ping.nonce,
                lease_age: None,
            })),
            Heard::Redirect(redirect) => Err(format!("redirected: {}", redirect.reason)),
            Heard::Pong(_) | Heard::Cancel(_) | Heard::Command(_) | Heard::Welcome(_) => Ok(()),
        }
    }
}

fn ended(reason: String) -> Ended {
    Ended {
        welcomed: false,
        reason,
        hint: None,
    }
}

fn refused(status: &Status) -> Ended {
    Ended {
        hint: status.get_details_retry_info().and_then(|info| info.retry_delay),
        ..ended(status.message().to_owned())
    }
}
