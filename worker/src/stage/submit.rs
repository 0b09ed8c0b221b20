//! The agent works on a checkout; its log and its patch become artifacts.
//!
//! The way has five steps: prepare (`check_out`) → preflight → start → watch → collect. A worker that is killed in the first three has
//! started no agent, and its job begins anew. From the end of `start` on all that must be known is on disk or with the engine: the
//! container with its labels, the agent's output, the checkout, [`AtWork`] and the offer. Whoever has these goes on with `watch`, and
//! may do all of `collect` again: what is stored already is stored once.

mod at_work;
mod container;
mod fault;
mod lines;
mod log;
mod progress;
mod prompt;
mod running;
mod settle;
mod space;
mod told;
mod watch;

use std::sync::Arc;

use moorline_proto::v1::{self, ArtifactType, FailureClass, PreflightStatus};

use self::running::Running;
pub(crate) use self::running::{STILL_RUNNING, end};
pub use self::{at_work::AtWork, container::AFTERWARDS, running::clear};
use super::{Context, Error, Owner, discover::check_feature_key, failure};
use crate::{
    agent::{self, Agent, Transcript},
    audit,
    boot::Moment,
    engine::Container,
    git::{Base, Blob, Checkout, Git},
    holding::{Holding, Share},
    preflight,
    redact::Redactor,
    tasks::{self, TaskList},
    told::{begin, done, step},
    volume::{self, Place},
};

/// An agent that an earlier process of this worker has started.
#[derive(Debug, Clone)]
pub struct Adopted {
    /// Its container, running or ended.
    pub container: Container,
    /// What was noted at its start.
    pub at_work: AtWork,
    /// Its share of the volume, if the worker's gate knows of it already.
    pub share: Option<Share>,
}

/// Checks the login, checks the base commit out, lets the agent work in a container, and takes its patch. The container has ended when this
/// returns, but for `Stopped("still_running")`; [`clear`] removes it.
///
/// # Errors
///
/// The rungs of a failed login check (`NOT_LOGGED_IN`, …), before the agent is started; `AGENT_UNSUPPORTED`, `VOLUME_NOT_HELD`,
/// `VOLUME_IN_USE`, `FENCED`, `POLICY_NOT_MERGED`, `FEATURE_KEY_INVALID`, the codes of [`crate::git::Error`] and [`crate::tasks::Error`]; `IMAGE_MISSING`,
/// `ENGINE_UNREACHABLE`, `ENGINE_FAILED`; the agent's faults (`AGENT_FAILED`, `AGENT_NO_OUTPUT`, `AGENT_TIMED_OUT`, `AGENT_DISK_FULL`, `RATE_LIMITED`,
/// `REVOKED`, …); `NO_CHANGES`.
pub async fn run(ctx: &Context) -> Result<v1::SubmitResult, Error> {
    let mut submit = Submit::new(ctx)?;
    submit.merge_policy().await?;
    let share = submit.share().await?;
    let capacity = step(ctx, "preflight", submit.claim_volume()).await?;
    submit.know_login().await;
    let (base, phase) = step(ctx, "checkout", submit.check_out()).await?;
    // The container's life, for whose parts the agent may know spans of its own.
    let life = begin(ctx, "agent");
    let place = life.place();
    let work = async {
        let (running, at_work) = submit.start(&base, &phase, capacity, &place).await?;
        let transcript = submit.watch(running, false).await?;
        Ok((at_work, transcript))
    };
    let (at_work, transcript) = done("agent", life, work).await?;
    drop(share);
    step(ctx, "patch", submit.collect(&at_work, &transcript)).await
}

/// Goes on with an agent that an earlier process of this worker has started, whether it still works or not. Its login isn't checked again:
/// the agent has it in hand.
///
/// # Errors
///
/// Those of [`run`] that come after the start.
pub async fn resume(ctx: &Context, adopted: Adopted) -> Result<v1::SubmitResult, Error> {
    let running = Running::new(ctx, adopted.container);
    let of_adopted = |holding: &Holding| holding.share_of_adopted(&Owner::from(&ctx.offer));
    let share = adopted.share.or_else(|| ctx.holding.as_ref().map(of_adopted));
    let mut submit = Submit::new(ctx)?;
    submit.know_login().await;
    ctx.outlet
        .progress("the worker has started anew, and goes on with the agent where it is")
        .await;
    let transcript = step(ctx, "agent", submit.watch(running, true)).await?;
    drop(share);
    step(ctx, "patch", submit.collect(&adopted.at_work, &transcript)).await
}

/// One job of this stage.
struct Submit<'a> {
    ctx: &'a Context,
    spec: v1::JobSpec,
    agent: Arc<dyn Agent>,
    /// The auth volume; `None` where none is configured.
    volume: Option<String>,
    git: Git,
    redactor: Redactor,
    began: Moment,
}

impl<'a> Submit<'a> {
    fn new(ctx: &'a Context) -> Result<Self, Error> {
        let spec = ctx.offer.spec.clone().unwrap_or_default();
        check_feature_key(&spec.feature_key).map_err(Error::Failed)?;
        let config = &ctx.config;
        let agent = agent::of(spec.agent(), config);
        // One agent's login is nothing for another.
        if config.login_queue().is_some() && agent.name() != agent::of_worker(config).name() {
            let message = format!(
                "the worker {} holds a login for another agent than {}: route the run to a queue of its agent",
                config.name,
                agent.name()
            );
            return Err(Error::Failed(failure("AGENT_UNSUPPORTED", FailureClass::Environment, message)));
        }
        // Only the volume that this worker holds: another's may be in use there, and two users of one login log each other out.
        if !spec.volume.is_empty() && config.volume.as_deref() != Some(&spec.volume) {
            let message = format!(
                "the worker {} doesn't hold the volume {}: set {} on the worker of {}",
                config.name,
                spec.volume,
                agent.volume_variable(),
                ctx.offer.queue
            );
            return Err(Error::Failed(failure("VOLUME_NOT_HELD", FailureClass::Environment, message)));
        }
        Ok(Self {
            ctx,
            agent,
            volume: config.volume.clone(),
            git: Git::new(config),
            redactor: Redactor::of(config),
            began: Moment::now(),
            spec,
        })
    }

    /// Merges the policy into the agent's settings, if somebody was at work in the volume when this worker started.
    async fn merge_policy(&self) -> Result<(), Error> {
        let Some(holding) = &self.ctx.holding else { return Ok(()) };
        let alone = tokio::select! {
            biased;
            () = self.ctx.stop.cancelled() => return Err(Error::Stopped("not_started")),
            alone = holding.alone_for_policy() => alone,
        };
        let Some(alone) = alone else { return Ok(()) };
        self.free_volume().await?;
        holding.merge_policy(&alone, self.generation()).await.map_err(Error::Failed)
    }

    /// A share of the volume: the agent waits while something else has it alone, such as a login, or while as many work as may.
    async fn share(&self) -> Result<Option<Share>, Error> {
        let Some(holding) = &self.ctx.holding else { return Ok(None) };
        if let Some(busy) = holding.busy() {
            let waits = format!("waiting for the volume {}: {busy} has it in use", holding.volume());
            self.ctx.outlet.progress(&waits).await;
        }
        let owner = Owner::from(&self.ctx.offer);
        tokio::select! {
            biased;
            () = self.ctx.stop.cancelled() => Err(Error::Stopped("not_started")),
            share = holding.share(&owner) => Ok(Some(share)),
        }
    }

    /// Frees the volume from what was left in it, and checks its login. Returns how many jobs may use that at once.
    async fn claim_volume(&self) -> Result<u32, Error> {
        // The worker's other jobs are spared where it knows them.
        if self.ctx.config.api_key_capacity == 1 || self.ctx.holding.is_some() {
            self.free_volume().await?;
            return self.preflight().await;
        }
        // Others may be at work with an API key: only who keeps them all out is one too many.
        match self.preflight().await {
            Err(Error::Failed(failure)) if failure.code == "VOLUME_IN_USE" => {
                self.free_volume().await?;
                self.preflight().await
            }
            checked => checked,
        }
    }

    /// Generation of the volume's lease: the offer's, or a later one that this process was told of.
    fn generation(&self) -> i64 {
        let held = self.ctx.holding.as_ref().map_or(0, Holding::generation);
        held.max(self.spec.volume_generation)
    }

    /// Checks the login and reports what was found. The agent isn't started on a login that fails.
    async fn preflight(&self) -> Result<u32, Error> {
        let ctx = self.ctx;
        let volume = self.volume.as_deref().unwrap_or("none");
        ctx.outlet
            .progress(&format!("checking the {} login in volume {volume}", self.agent.name()))
            .await;
        let generation = self.generation();
        let ask = preflight::Ask {
            queue: &ctx.offer.queue,
            volume: self.volume.as_deref(),
            generation,
            probe: false,
        };
        let check = async {
            match &ctx.holding {
                Some(holding) => holding.check(generation, false).await,
                None => preflight::check(ctx.engine.as_ref(), self.agent.as_ref(), &ctx.config, &ask).await,
            }
        };
        let checked = tokio::select! {
            biased;
            () = ctx.stop.cancelled() => return Err(Error::Stopped("not_started")),
            checked = check => checked,
        };
        if let Some(blocked) = checked.blocked {
            return Err(Error::Failed(blocked));
        }
        ctx.outlet.preflight(checked.preflight.clone()).await;
        if self.volume.is_some() {
            ctx.outlet.volume_diagnostics(checked.diagnostics.clone()).await;
        }
        let audit = audit::look(&ctx.config, &self.spec.repository, self.volume.as_ref().map(|_| &checked)).await;
        ctx.outlet.credential_audit(audit).await;
        match checked.preflight.status() {
            PreflightStatus::Passed | PreflightStatus::Skipped => Ok(checked.capacity),
            _ => Err(Error::Failed(preflight::failure(&checked))),
        }
    }

    /// Learns what must not be shown of the login, which the agent may print.
    async fn know_login(&mut self) {
        let (engine, agent) = (self.ctx.engine.as_ref(), self.agent.as_ref());
        let Some(volume) = &self.volume else { return };
        let Ok(Some(place)) = Place::find(engine, agent, volume).await else {
            return;
        };
        let file = volume::read(engine, &place, place.credential).await;
        self.redactor = std::mem::take(&mut self.redactor).with(agent.secrets(&file));
    }

    /// Makes the run's folders anew, since what an earlier attempt's agent left can't be trusted, and fills the checkout.
    async fn check_out(&self) -> Result<(Base, v1::TaskPhase), Error> {
        let (ctx, folder) = (self.ctx, &self.ctx.folder);
        let (anew, job_user, owner) = (folder.clone(), ctx.config.job_user.clone(), Owner::from(&ctx.offer));
        let made = tokio::task::spawn_blocking(move || anew.create_shared(&job_user, &owner));
        made.await
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| self.unusable(&error))?;
        ctx.outlet.progress("checking the repository out").await;
        let discover = self.spec.discover.as_ref();
        let commit = discover.map(|found| found.base_commit.as_str()).filter(|commit| !commit.is_empty());
        let base_ref = discover
            .map(|found| found.base_ref.as_str())
            .filter(|base_ref| !base_ref.is_empty());
        let checkout = Checkout {
            repository: &self.spec.repository,
            base_ref: base_ref.unwrap_or(&self.spec.base_ref),
            commit,
            git_dir: &folder.git_dir,
            work_tree: &folder.repo,
            owner: &ctx.config.job_user,
        };
        let base = self.git.checkout(&checkout, &ctx.stop).await?;
        let phase = match discover.and_then(|found| found.phase.clone()) {
            Some(phase) => phase,
            None => self.find_phase(&base).await?,
        };
        Ok((base, phase))
    }

    /// The next phase, where no discover stage came before.
    async fn find_phase(&self, base: &Base) -> Result<v1::TaskPhase, Error> {
        let path = format!("specs/{}/tasks.md", self.spec.feature_key);
        let refused = |error: tasks::Error| Error::Failed(error.failure());
        let content = match self.git.file(&self.ctx.folder.git_dir, &base.commit, &path, &self.ctx.stop).await? {
            Blob::Content(content) => content,
            Blob::NotAFile(what) => return Err(refused(tasks::Error::NotAFile { path, what })),
            Blob::Missing => {
                let branch = base.branch.clone();
                return Err(refused(tasks::Error::Missing { path, branch }));
            }
        };
        TaskList::parse(&content).map_err(refused)?.next_phase().ok_or_else(|| {
            let message = format!("every task in {path} is done: add tasks, or take the run back");
            Error::Failed(failure("NO_WORK", FailureClass::Job, message))
        })
    }

    /// Takes the patch, and says what came of the job.
    async fn collect(&self, at_work: &AtWork, transcript: &Transcript) -> Result<v1::SubmitResult, Error> {
        let (patch, stat) = self.take_patch(&at_work.base_commit).await?;
        Ok(v1::SubmitResult {
            codex_task_id: self.redactor.text(&transcript.thread_id),
            base_commit: at_work.base_commit.clone(),
            patch_artifact_id: patch.artifact_id,
            files_changed: stat.files,
            insertions: stat.insertions,
            deletions: stat.deletions,
            input_tokens: transcript.input_tokens,
            output_tokens: transcript.output_tokens,
            tasks_done: Vec::new(),
        })
    }

    /// Takes everything between the base commit and what the agent left.
    async fn take_patch(&self, base_commit: &str) -> Result<(v1::Artifact, crate::git::PatchStat), Error> {
        let (ctx, folder) = (self.ctx, &self.ctx.folder);
        let patch = folder.private().join("codex.patch");
        let taken = self.git.patch(&folder.git_dir, &folder.repo, base_commit, &patch, &ctx.stop);
        let stat = taken.await?;
        if stat.files == 0 {
            let message =
                "the agent ended without changing anything: read its log, then say more in the phase's tasks or in the feature's plan";
            return Err(Error::Failed(failure("NO_CHANGES", FailureClass::Job, message)));
        }
        let files = if stat.files == 1 { "file" } else { "files" };
        let summary = format!("{} {files} changed, +{} −{}", stat.files, stat.insertions, stat.deletions);
        ctx.outlet.progress(&summary).await;
        let upload = ctx.outlet.upload_artifact(ArtifactType::CodexPatch, &patch, "text/x-diff");
        Ok((upload.await.map_err(Error::Failed)?, stat))
    }

    fn unusable(&self, error: &std::io::Error) -> Error {
        let folder = self.ctx.folder.root.display();
        let message = format!("the worker can't use its folder {folder} ({error}): set MOORLINE_WORK_ROOT to a folder that it may write");
        Error::Failed(failure("WORK_ROOT_UNUSABLE", FailureClass::Environment, message))
    }
}
