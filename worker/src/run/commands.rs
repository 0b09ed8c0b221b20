//! Commands of servers: what is no job.
//!
//! A server that heard no answer, because a line or a server broke, gives the command again, with the same id. It is done once: one that is
//! at work is gone on with, and the answer to one that is done is said again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use moorline_proto::v1::{
    self, FailureClass, command::Command as Ask, command_progress::Progress, command_result::Result as Answer, connect_request::Frame,
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    holding::{Holding, Step, Way, not_held},
    sealing::SealingKey,
    stage::failure,
};

/// Answers that are remembered.
const REMEMBERED: usize = 64;
/// Steps that wait to be said.
const STEPS: usize = 16;

/// Commands at work, and those that were answered lately.
#[derive(Debug)]
pub(super) struct Commands {
    at_work: BTreeMap<String, AtWork>,
    answered: VecDeque<Answered>,
    tasks: JoinSet<(String, Answer)>,
    /// Checks that nobody asked for.
    checks: JoinSet<v1::VolumeReport>,
    steps: (mpsc::Sender<Stepped>, mpsc::Receiver<Stepped>),
}

#[derive(Debug)]
struct AtWork {
    stop: CancellationToken,
    /// The latest step, and when it was made.
    step: Option<(Step, Instant)>,
}

#[derive(Debug)]
struct Answered {
    id: String,
    answer: Answer,
    /// Whether there was a line when it was ready.
    said: bool,
}

type Stepped = (String, Step, Instant);

impl Default for Commands {
    fn default() -> Self {
        Self {
            at_work: BTreeMap::new(),
            answered: VecDeque::new(),
            tasks: JoinSet::new(),
            checks: JoinSet::new(),
            steps: mpsc::channel(STEPS),
        }
    }
}

impl Commands {
    /// Begins a command about a volume. Returns what is to be said at once: of one that is at work, or was answered, what is known of it.
    pub(super) fn begin(
        &mut self,
        id: String,
        ask: Ask,
        worker: &str,
        holding: Option<&Holding>,
        sealing_key: &Arc<SealingKey>,
    ) -> Option<Frame> {
        if let Some(answered) = self.answered.iter_mut().find(|answered| answered.id == id) {
            answered.said = true;
            return Some(result(id, answered.answer.clone()));
        }
        if let Some(at_work) = self.at_work.get(&id) {
            return at_work.progress(&id);
        }
        let Some(holding) = holding.cloned() else {
            return Some(result(id, Answer::Failure(not_held(worker, volume(&ask)))));
        };
        let (sealing_key, steps) = (sealing_key.clone(), self.steps.0.clone());
        let stop = CancellationToken::new();
        let at_work = AtWork {
            stop: stop.clone(),
            step: None,
        };
        self.at_work.insert(id.clone(), at_work);
        self.tasks.spawn(async move {
            let of = id.clone();
            let tell = move |step| {
                // A login has two steps, so there is room.
                let _ = steps.try_send((of.clone(), step, Instant::now()));
            };
            // In a task of its own, so that a panic is an answer and not silence.
            let carried = tokio::spawn(async move { holding.carry_out(&ask, &sealing_key, Way { tell, stop }).await });
            let answer = AbortOnDropHandle::new(carried).await.unwrap_or_else(|error| Some(broken(&error)));
            (id, answer.unwrap_or_else(unknown))
        });
        None
    }

    /// Checks the volume's login as soon as nothing else uses it, and reports it.
    pub(super) fn check_at_last(&mut self, holding: &Holding) {
        let holding = holding.clone();
        // One that waits for an agent's end since an earlier session does as well.
        if self.checks.is_empty() {
            self.checks.spawn(async move { holding.check_at_last().await });
        }
    }

    /// Stops one that is at work; what is over, or was never heard of, needs none.
    pub(super) fn stop(&self, id: &str) {
        if let Some(at_work) = self.at_work.get(id) {
            tracing::info!(command_id = %id, "a command is to stop");
            at_work.stop.cancel();
        }
    }

    /// Stops all that can be stopped.
    pub(super) fn stop_all(&self) {
        self.at_work.values().for_each(|at_work| at_work.stop.cancel());
    }

    /// The next thing to say. Without a line it is said in the next session.
    pub(super) async fn next(&mut self, line: bool) -> Frame {
        loop {
            let frame = tokio::select! {
                biased;
                Some((id, step, at)) = self.steps.1.recv() => self.stepped(id, step, at),
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => self.done(done, line),
                // One that broke is made again in the next session.
                Some(checked) = self.checks.join_next(), if !self.checks.is_empty() => checked.ok().map(Frame::VolumeReport),
            };
            if let Some(frame) = frame {
                return frame;
            }
        }
    }

    fn stepped(&mut self, id: String, step: Step, at: Instant) -> Option<Frame> {
        let at_work = self.at_work.get_mut(&id)?;
        at_work.step = Some((step, at));
        at_work.progress(&id)
    }

    fn done(&mut self, done: Result<(String, Answer), JoinError>, line: bool) -> Option<Frame> {
        let (id, answer) = done.inspect_err(|error| drop(broken(error))).ok()?;
        self.at_work.remove(&id);
        self.answered.truncate(REMEMBERED - 1);
        self.answered.push_front(Answered {
            id: id.clone(),
            answer: answer.clone(),
            said: line,
        });
        Some(result(id, answer))
    }

    /// What a new session is told: how commands get on, and what nobody has heard.
    pub(super) fn again(&mut self) -> Vec<Frame> {
        let progress: Vec<Frame> = self.at_work.iter().filter_map(|(id, at_work)| at_work.progress(id)).collect();
        let unsaid = self.answered.iter_mut().filter(|answered| !answered.said);
        let unsaid = unsaid.map(|answered| {
            answered.said = true;
            result(answered.id.clone(), answered.answer.clone())
        });
        progress.into_iter().chain(unsaid).collect()
    }

    /// Stops them all and waits for their ends, so long at most. Returns what is still to be said.
    pub(super) async fn end(&mut self, limit: Duration) -> Vec<Frame> {
        self.stop_all();
        let mut frames = Vec::new();
        let ending = async {
            while let Some(done) = self.tasks.join_next().await {
                frames.extend(self.done(done, true));
            }
        };
        if timeout(limit, ending).await.is_err() {
            tracing::warn!("commands did not end in time: the next start of this worker clears up after them");
        }
        frames
    }
}

impl AtWork {
    fn progress(&self, id: &str) -> Option<Frame> {
        let (step, at) = self.step.as_ref()?;
        let progress = match step {
            Step::Stored => Progress::LoginStored(v1::LoginStored {}),
            Step::Code(code) => Progress::DeviceCode(v1::DeviceCode {
                verification_url: code.verification_url.clone(),
                user_code: code.user_code.clone(),
                expires_in: code.expires_in.saturating_sub(at.elapsed()).try_into().ok(),
            }),
        };
        Some(Frame::CommandProgress(v1::CommandProgress {
            command_id: id.to_owned(),
            progress: Some(progress),
        }))
    }
}

/// The answer to a command.
pub(super) fn result(command_id: String, answer: Answer) -> Frame {
    Frame::CommandResult(v1::CommandResult {
        command_id,
        result: Some(answer),
    })
}

/// The answer to a command of a newer server.
pub(super) fn unknown() -> Answer {
    let message = "the worker doesn't know this command: use a worker of the server's version";
    Answer::Failure(failure("UNKNOWN_COMMAND", FailureClass::Environment, message))
}

fn broken(error: &JoinError) -> Answer {
    tracing::error!(%error, "a command broke");
    let message = "the command broke in the worker itself: try again, and report this with the worker's log";
    Answer::Failure(failure("INTERNAL", FailureClass::Environment, message))
}

fn volume(ask: &Ask) -> &str {
    match ask {
        Ask::CheckVolume(ask) => &ask.volume,
        Ask::LoginVolume(ask) => &ask.volume,
        Ask::LogoutVolume(ask) => &ask.volume,
        Ask::CleanVolume(ask) => &ask.volume,
        Ask::Drain(_) | Ask::Stop(_) => "",
    }
}
