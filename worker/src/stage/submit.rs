//! The agent works on a checkout; its log and its patch become artifacts.
//!
//! The way has five steps: prepare (`check_out`) → preflight → start → watch → collect. A worker that is killed in the first three has
//! started no agent, and its job begins anew. From the end of `start` on all that must be known is on disk or with the engine: the
//! container with its labels, the agent's output, the checkout, [`AtWork`] and the offer. Whoever has these goes on with `watch`, and
//! may do all of `collect` again: what is stored already is stored once.
//!
//! A skill carries the stage by its text, which the agent is given instead of the built-in prompt, or by its program, which works in the agent's
//! place. Where it fails by itself, the agent works anew on a fresh checkout by the built-in prompt.

mod at_work;
mod by_skill;
mod claim;
mod container;
mod fault;
mod log;
mod progress;
mod prompt;
mod settle;
mod ticked;
mod told;
mod watch;

use std::sync::Arc;

use moorline_proto::v1::{self, ArtifactType, FailureClass, PreflightStatus};

pub(crate) use self::container::labels;
use self::prompt::Prompt;
pub use self::{at_work::AtWork, container::AFTERWARDS};
use super::{Context, Error, Fault, Leg, Owner, Way, attempt, discover::check_feature_key, failure, fault::unusable, running::Running};
use crate::{
    agent::{self, Agent, Transcript},
    audit,
    engine::Container,
    git::{Base, Blob, Checkout, Git},
    holding::{Holding, Share},
    preflight,
    redact::Redactor,
    tasks::{self, TaskList},
    told::{begin, done, step},
    volume::{self, Place},
};

/// An agent, or a skill's program, that an earlier process of this worker has started.
#[derive(Debug, Clone)]
pub struct Adopted {
    /// Its container, running or ended.
    pub container: Container,
    /// What was noted at its start.
    pub at_work: AtWork,
    /// Its share of the volume, if the worker's gate knows of it already.
    pub share: Option<Share>,
}

/// Checks the login, checks the base commit out, lets the agent work in a container, and takes its patch; or has a skill's program do the work. The
/// container has ended when this returns, but for `Stopped("still_running")`; [`super::clear`] removes it.
///
/// # Errors
///
/// The rungs of a failed login check (`NOT_LOGGED_IN`, …), before the agent is started; `AGENT_UNSUPPORTED`, `VOLUME_NOT_HELD`,
/// `VOLUME_IN_USE`, `FENCED`, `POLICY_NOT_MERGED`, `FEATURE_KEY_INVALID`, the codes of [`crate::git::Error`] and [`crate::tasks::Error`]; `IMAGE_MISSING`,
/// `ENGINE_UNREACHABLE`, `ENGINE_FAILED`; the agent's faults (`AGENT_FAILED`, `AGENT_NO_OUTPUT`, `AGENT_TIMED_OUT`, `AGENT_DISK_FULL`, `RATE_LIMITED`,
/// `REVOKED`, …); `NO_CHANGES`; the codes of skills (`SKILL_MISSING`, `SKILL_FAILED`, …), and `SKILL_AND_FALLBACK_FAILED`.
pub async fn run(ctx: &Context) -> Result<v1::SubmitResult, Error> {
    let done = attempt::take(ctx, Box::pin(by_skill::run(ctx)), Box::pin(direct(ctx))).await;
    by_skill::store_log(ctx, done).await
}

/// Goes on with an agent that an earlier process of this worker has started, whether it still works or not. Its login isn't checked again:
/// the agent has it in hand.
///
/// # Errors
///
/// Those of [`run`] that come after the start.
pub async fn resume(ctx: &Context, adopted: Adopted) -> Result<v1::SubmitResult, Error> {
    adopted.at_work.recall(ctx);
    ctx.outlet
        .progress("the worker has started anew, and goes on with the agent where it is")
        .await;
    let leg = adopted.at_work.leg;
    let before = adopted.at_work.skill_failure();
    match (leg, before, Way::of(&ctx.offer)) {
        (Leg::Skill | Leg::Program, ..) => {
            let tried = attempt::tried(ctx, Box::pin(by_skill::resume(ctx, adopted))).await;
            let done = match tried {
                Err(Fault::Skill(failure)) => attempt::fall_back(ctx, failure, Box::pin(direct(ctx))).await,
                done => done.map_err(Fault::into_error),
            };
            by_skill::store_log(ctx, done).await
        }
        (_, Some(of_skill), Way::Skill { name, .. }) => {
            let done = go_on(ctx, adopted).await;
            done.map_err(|error| attempt::after(ctx, &name, &of_skill, error))
        }
        _ => go_on(ctx, adopted).await,
    }
}

/// The way of the context's offer in the shadow: the context's folder, outlet and course are the shadow's own.
pub(super) async fn in_shadow(ctx: &Context) -> Result<v1::SubmitResult, Fault> {
    match Way::of(&ctx.offer) {
        Way::Skill { .. } => by_skill::run_as(ctx, Some(Leg::Shadow)).await,
        Way::Direct => Ok(Submit::new(ctx, Leg::Shadow)?.work(Prompt::BuiltIn).await?),
    }
}

/// Goes on with an agent of the built-in way.
async fn go_on(ctx: &Context, adopted: Adopted) -> Result<v1::SubmitResult, Error> {
    let mut submit = Submit::new(ctx, adopted.at_work.leg)?;
    let (at_work, transcript) = submit.adopt(adopted).await?;
    submit.finish(&at_work, &transcript).await
}

/// The built-in way, also where it takes over from a skill.
async fn direct(ctx: &Context) -> Result<v1::SubmitResult, Error> {
    let leg = match Way::of(&ctx.offer) {
        Way::Direct => Leg::Direct,
        Way::Skill { .. } => Leg::Fallback,
    };
    let mut submit = Submit::new(ctx, leg)?;
    if leg == Leg::Fallback {
        submit.make_way().await?;
    }
    submit.work(Prompt::BuiltIn).await
}

/// One job of this stage.
///
/// It is also what a leg in the shadow is made of: on a context whose folder, outlet and course are the shadow's own, with [`Leg::Shadow`], it
/// notes nothing that a later process would go on with, and has no effect but by that outlet. See [`Submit::work`] and [`by_skill::run_as`].
struct Submit<'a> {
    ctx: &'a Context,
    leg: Leg,
    spec: v1::JobSpec,
    agent: Arc<dyn Agent>,
    /// The auth volume; `None` where none is configured.
    volume: Option<String>,
    git: Git,
    redactor: Redactor,
    /// Bytes of the job's output that earlier legs have written.
    output_before: u64,
}

impl<'a> Submit<'a> {
    fn new(ctx: &'a Context, leg: Leg) -> Result<Self, Error> {
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
            output_before: 0,
            leg,
            spec,
        })
    }

    /// Lets the agent work by this prompt, from the check of its login to its patch.
    async fn work(&mut self, prompt: Prompt<'_>) -> Result<v1::SubmitResult, Error> {
        let (at_work, transcript) = Box::pin(self.agent_works(prompt, None)).await.map_err(Fault::into_error)?;
        self.finish(&at_work, &transcript).await
    }

    /// Lets the agent work, on a checkout that is there or else is made. What fails before its start is no fault of the prompt's.
    async fn agent_works(&mut self, prompt: Prompt<'_>, there: Option<(Base, v1::TaskPhase)>) -> Result<(AtWork, Transcript), Fault> {
        let ctx = self.ctx;
        self.merge_policy().await?;
        let share = self.share().await?;
        let capacity = step(ctx, "preflight", self.claim_volume()).await?;
        self.know_login().await;
        let (base, phase) = match there {
            Some(there) => there,
            None => step(ctx, "checkout", self.check_out()).await?,
        };
        // The container's life, for whose parts the agent may know spans of its own.
        let life = begin(ctx, "agent");
        let place = life.place();
        let work = async {
            let (running, at_work) = self.start(&base, &prompt.write(&self.spec, &phase), capacity, &place).await?;
            let transcript = self.watch(running, false).await?;
            Ok((at_work, transcript))
        };
        let worked = done("agent", life, work).await.map_err(Fault::of_agent)?;
        drop(share);
        Ok(worked)
    }

    /// Goes on with an agent that is there.
    async fn adopt(&mut self, adopted: Adopted) -> Result<(AtWork, Transcript), Error> {
        let ctx = self.ctx;
        let running = Running::new(ctx, adopted.container);
        let of_adopted = |holding: &Holding| holding.share_of_adopted(&Owner::from(&ctx.offer));
        let share = adopted.share.or_else(|| ctx.holding.as_ref().map(of_adopted));
        self.output_before = adopted.at_work.output_before;
        self.know_login().await;
        let transcript = step(ctx, "agent", self.watch(running, true)).await?;
        drop(share);
        Ok((adopted.at_work, transcript))
    }

    /// Takes the patch of what was done.
    async fn finish(&self, at_work: &AtWork, transcript: &Transcript) -> Result<v1::SubmitResult, Error> {
        step(self.ctx, "patch", self.collect(at_work, transcript)).await
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
        let phase = self.phase(&base).await?;
        Ok((base, phase))
    }

    /// The phase that is to be done.
    async fn phase(&self, base: &Base) -> Result<v1::TaskPhase, Error> {
        match self.spec.discover.as_ref().and_then(|found| found.phase.clone()) {
            Some(phase) => Ok(phase),
            None => self.find_phase(base).await,
        }
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
            tasks_done: self.tasks_done(&self.phase(&at_work.base()).await?),
        })
    }

    /// Takes everything between the base commit and what the agent left.
    async fn take_patch(&self, base_commit: &str) -> Result<(v1::Artifact, crate::git::PatchStat), Error> {
        let (ctx, folder) = (self.ctx, &self.ctx.folder);
        let patch = folder.patch();
        let taken = self.git.patch(&folder.git_dir, &folder.repo, base_commit, &patch, &ctx.stop);
        let stat = taken.await?;
        if stat.files == 0 {
            let message = match self.leg {
                Leg::Program => {
                    "the skill's program ended without changing anything: read its log, and see what it makes of the phase's tasks"
                }
                _ => "the agent ended without changing anything: read its log, then say more in the phase's tasks or in the feature's plan",
            };
            return Err(Error::Failed(failure("NO_CHANGES", FailureClass::Job, message)));
        }
        let files = if stat.files == 1 { "file" } else { "files" };
        let summary = format!("{} {files} changed, +{} −{}", stat.files, stat.insertions, stat.deletions);
        ctx.outlet.progress(&summary).await;
        let upload = ctx.outlet.upload_artifact(ArtifactType::CodexPatch, &patch, "text/x-diff");
        Ok((upload.await.map_err(Error::Failed)?, stat))
    }

    fn unusable(&self, error: &std::io::Error) -> Error {
        unusable(self.ctx, error)
    }
}
