//! What a job does: one module per stage.

mod attempt;
mod course;
mod discard;
pub mod discover;
mod fault;
mod folder;
mod leg;
mod lines;
mod message;
mod owner;
pub mod publish;
mod running;
mod shadow;
mod site;
mod skilled;
mod space;
pub mod submit;
mod way;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use moorline_proto::v1;
use tokio_util::sync::CancellationToken;

pub use self::{
    course::{AgentEnded, Course},
    folder::hand_over,
    leg::Leg,
    owner::Owner,
    running::clear,
    way::Way,
};
pub(crate) use self::{
    discard::{owner_of, set_aside, trash},
    fault::{Fault, of_engine, unusable},
    lines::Lines,
    running::{End, Running, STILL_RUNNING, end, went_with_its_engine},
    submit::labels,
    way::needs_a_skill,
};
use crate::{config::Config, engine::Engine, holding::Holding, redact::one_line, skill};

/// Folders of one run on the worker: `<work root>/runs/<run id>`.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The run's own folder: all that its containers see of the host.
    pub root: PathBuf,
    /// The checkout that the agent works in.
    pub repo: PathBuf,
    /// `HOME` of the agent.
    pub home: PathBuf,
    /// What becomes artifacts.
    pub artifacts: PathBuf,
    /// The worker's own git directory of the run, outside `root`: an agent can't plant hooks or filters in it.
    pub git_dir: PathBuf,
}

/// What a stage works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The worker's settings.
    pub config: Arc<Config>,
    /// Where containers run.
    pub engine: Arc<dyn Engine>,
    /// The worker's hold on its volume, if it serves a shard.
    pub holding: Option<Holding>,
    /// The skills of the worker's root.
    pub skills: Arc<skill::Registry>,
    /// The job.
    pub offer: v1::Offer,
    /// Where it works.
    pub folder: RunFolder,
    /// The way back to the server.
    pub outlet: Arc<dyn Outlet>,
    /// Cancelled when the job must stop: the run was cancelled, or the lease has passed on.
    pub stop: CancellationToken,
    /// Cancelled when the worker's process ends: what runs in a container is left to the next process of its name.
    pub leaving: CancellationToken,
    /// Cancelled before that, when the worker takes nothing new any more: no shadow is begun or waited for.
    pub going: CancellationToken,
    /// Whether the agent has ended by itself: what is left of the stage then has no deadline, since the agent's work is paid for.
    pub agent_ended: AgentEnded,
    /// What is known of the way that the attempt takes.
    pub course: Course,
}

/// How a stage fails.
#[derive(Debug)]
pub enum Error {
    /// With a failure for the server to record.
    Failed(v1::Failure),
    /// Because `Context::stop` was cancelled; what it took: `not_started`, `stopped`, `killed`, or `still_running` where nothing helped.
    Stopped(&'static str),
}

/// The way from a stage to the server. Everything sent here is kept and sent again until it is acknowledged.
#[async_trait]
pub trait Outlet: Send + Sync + std::fmt::Debug {
    /// One line of progress for people.
    async fn progress(&self, message: &str);
    /// A login check made for this job.
    async fn preflight(&self, preflight: v1::Preflight);
    /// The run's credentials, before they are needed.
    async fn credential_audit(&self, audit: v1::CredentialAudit);
    /// The volume as it is now.
    async fn volume_diagnostics(&self, diagnostics: v1::VolumeDiagnostics);
    /// Stores a file as an artifact of the run.
    async fn upload_artifact(
        &self,
        kind: v1::ArtifactType,
        file: &std::path::Path,
        content_type: &str,
    ) -> Result<v1::Artifact, v1::Failure>;
    /// Writes an artifact of the run to a file.
    async fn download_artifact(&self, artifact_id: &str, to: &std::path::Path) -> Result<(), v1::Failure>;
    /// Sends a file that is still being written, from its beginning, as the job's output, until `done` is cancelled and its end is reached.
    async fn follow_output(&self, file: &std::path::Path, done: CancellationToken) -> Result<(), v1::Failure>;
    /// Keeps the end that the job is to have if the worker's process ends before it. Returns whether it is on the disk.
    async fn foresee(&self, finished: v1::Finished) -> bool;
}

/// Longest time that a job is given to stop by itself.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// Does what the offer asks for; where the decision wants it, the other way as well, without effect.
///
/// # Errors
///
/// Those of the stage; `UNKNOWN_STAGE` for one that this worker doesn't know.
pub async fn run(ctx: Context) -> Result<v1::JobResult, Error> {
    use v1::job_result::Result as Done;
    let mut published = None;
    let done = match ctx.offer.stage() {
        v1::Stage::Discover => Box::pin(discover::run(&ctx)).await.map(Done::Discover),
        v1::Stage::Publish => Box::pin(publish::run(&ctx)).await.map(|(done, texts)| {
            published = Some(texts);
            Done::Publish(done)
        }),
        v1::Stage::Submit => Box::pin(submit::run(&ctx)).await.map(Done::Submit),
        v1::Stage::Unspecified => {
            let message = "the worker doesn't know this stage: use a worker of the server's version";
            Err(Error::Failed(failure("UNKNOWN_STAGE", v1::FailureClass::Environment, message)))
        }
    };
    let done = done.map(|done| v1::JobResult { result: Some(done) });
    Box::pin(shadow::beside(&ctx, &done, published)).await;
    done
}

/// Goes on with a job whose agent another process of this worker has started.
///
/// # Errors
///
/// Those of the stage.
pub async fn resume(ctx: Context, adopted: submit::Adopted) -> Result<v1::JobResult, Error> {
    let done = Box::pin(submit::resume(&ctx, adopted)).await.map(|done| v1::JobResult {
        result: Some(v1::job_result::Result::Submit(done)),
    });
    Box::pin(shadow::beside(&ctx, &done, None)).await;
    done
}

/// Whether an id may be part of a path.
pub fn valid_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The plain name of a value of an enum of the protocol: `submit` for `STAGE_SUBMIT`.
pub fn plain(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

/// Longest message of a failure, in characters.
const MESSAGE: usize = 2000;
/// Longest name of a file in a message or in details, in characters.
const NAME: usize = 200;
/// Most files in the details of a failure.
pub const FILES: usize = 50;

/// Names of files, which an agent or a repository has chosen, on one line: the first `most` of them, and how many more there are.
pub fn named(files: &[String], most: usize, separator: &str) -> String {
    let first: Vec<String> = files.iter().take(most).map(|file| one_line(file, NAME)).collect();
    match files.len().saturating_sub(most) {
        0 => first.join(separator),
        more => format!("{} and {more} more", first.join(separator)),
    }
}

/// A failure for the server to record: a stable upper-case code, whose it is, and one line that says what to do.
pub fn failure(code: &str, class: v1::FailureClass, message: impl Into<String>) -> v1::Failure {
    v1::Failure {
        code: code.to_owned(),
        // Parts of it may be the agent's or the repository's words: a report that the server refuses would be sent again for ever.
        message: one_line(&message.into(), MESSAGE),
        class: class.into(),
        details: std::collections::HashMap::new(),
    }
}

#[cfg(test)]
mod tests;
