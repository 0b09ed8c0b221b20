//! Commits the patch, pushes the run's branch, sees to its pull request.
//!
//! Two publishers of one run at once do no harm, though no fence reaches the remote. The built-in texts make one commit id of one run; with a skill's
//! the second may make another, and replaces the first's, which it knows by its line. The branch is pushed with a lease on what it was seen to be, and
//! the pull request is looked up by its branch.

mod by_skill;
mod texts;

use std::path::{Path, PathBuf};

use moorline_proto::v1::{self, ArtifactType, FailureClass};

use self::texts::Texts;
use super::{Context, Error, FILES, Fault, Leg, Way, attempt, failure, message, named};
use crate::{
    audit,
    drift::Published,
    forge::{self, Wanted},
    git::{self, Base, CommitSpec, Git, Merge, Pushed},
    told::step,
};

/// Publishes what submit left. A skill's program only says what commit and pull request are to say: whatever goes out is made by the worker, in both
/// ways alike. Returns what it said beside the result.
///
/// # Errors
///
/// `PATCH_MISSING`, `NO_CHANGES`, `PATCH_CONFLICT`, `MERGE_CONFLICT`, `PUSH_REJECTED`, the other codes of [`crate::git::Error`],
/// `FORGE_AUTH`, `FORGE_REFUSED`, `FORGE_UNREACHABLE`; the codes of skills (`SKILL_MISSING`, `SKILL_FAILED`, …), and `SKILL_AND_FALLBACK_FAILED`.
pub async fn run(ctx: &Context) -> Result<(v1::PublishResult, Published), Error> {
    let publisher = Publisher::new(ctx)?;
    publisher.audit().await?;
    let patched = step(ctx, "apply", publisher.apply()).await?;
    let texts = attempt::take(
        ctx,
        Box::pin(publisher.texts_by_skill(&patched, Leg::Program)),
        Box::pin(publisher.direct_texts()),
    )
    .await?;
    let commit = step(ctx, "commit", publisher.commit(&patched, &texts)).await?;
    step(ctx, "push", publisher.push(&commit)).await?;
    let done = step(ctx, "pull_request", publisher.pull_request(commit, &texts)).await?;
    Ok((done, publisher.published(patched, texts)))
}

/// The way of the context's offer in the shadow, where nothing is pushed: the context's folder, outlet and course are the shadow's own.
pub(super) async fn in_shadow(ctx: &Context) -> Result<Published, Fault> {
    let publisher = Publisher::new(ctx)?;
    let patched = publisher.apply().await?;
    let texts = match Way::of(&ctx.offer) {
        Way::Skill { .. } => publisher.texts_by_skill(&patched, Leg::Shadow).await?,
        Way::Direct => publisher.direct_texts().await?,
    };
    Ok(publisher.published(patched, texts))
}

/// One job of this stage. Its legs, [`Publisher::texts_by_skill`] and [`Publisher::direct_texts`], have no effect but on the context's folder: one for
/// the shadow is made with a context whose folder, outlet and course are the shadow's own, and [`Leg::Shadow`].
pub(super) struct Publisher<'a> {
    ctx: &'a Context,
    git: Git,
    spec: v1::JobSpec,
    submit: v1::SubmitResult,
}

/// The patch on its base commit, before there is a commit of it.
#[derive(Debug)]
pub(super) struct Patched {
    /// The patch, in the job's private folder.
    patch: PathBuf,
    /// What it was made from, with the branch's name.
    base: Base,
    /// The branch as it is now.
    tip: String,
    /// What it makes of that.
    tree: String,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(ctx: &'a Context) -> Result<Self, Error> {
        let spec = ctx.offer.spec.clone().unwrap_or_default();
        let Some(submit) = spec.submit.clone().filter(|submit| !submit.patch_artifact_id.is_empty()) else {
            let message = "there is no patch to publish: run the submit phase first, or retry the run from discovery";
            return Err(Error::Failed(failure("PATCH_MISSING", FailureClass::Job, message)));
        };
        Ok(Self {
            ctx,
            git: Git::new(&ctx.config),
            spec,
            submit,
        })
    }

    fn base_ref(&self) -> &str {
        match &self.spec.discover {
            Some(discover) if !discover.base_ref.is_empty() => &discover.base_ref,
            _ => &self.spec.base_ref,
        }
    }

    /// What is published.
    fn published(&self, patched: Patched, texts: Texts) -> Published {
        Published {
            tree: patched.tree,
            branch: self.spec.branch_name.clone(),
            commit_message: texts.commit_message,
            title: texts.title,
            body: texts.body,
        }
    }

    /// Looks at the forge's token before anything is pushed. A run that is retried with a bad one halts here again, at once.
    async fn audit(&self) -> Result<(), Error> {
        let audit = audit::look(&self.ctx.config, &self.spec.repository, None).await;
        self.ctx.outlet.credential_audit(audit.clone()).await;
        audit::refusal(&audit).map_or(Ok(()), |failure| Err(Error::Failed(failure)))
    }

    /// Fetches the patch and its base commit, and applies it.
    async fn apply(&self) -> Result<Patched, Error> {
        let ctx = self.ctx;
        let patch = ctx.folder.private().join("publish.patch");
        ctx.outlet
            .download_artifact(&self.submit.patch_artifact_id, &patch)
            .await
            .map_err(Error::Failed)?;
        if std::fs::metadata(&patch).is_ok_and(|file| file.len() == 0) {
            let message = "the patch is empty, so there is nothing to publish: retry the run from discovery";
            return Err(Error::Failed(failure("NO_CHANGES", FailureClass::Job, message)));
        }
        let (git_dir, base_commit) = (&ctx.folder.git_dir, &self.submit.base_commit);
        let base = self
            .git
            .fetch(&self.spec.repository, self.base_ref(), Some(base_commit), git_dir, &ctx.stop)
            .await?;
        let applied = self.git.apply(git_dir, base_commit, &patch, &ctx.stop).await;
        let printed = match &applied {
            Ok((_, printed)) | Err(git::Error::PatchConflict { output: printed, .. }) => printed.as_str(),
            Err(_) => "",
        };
        self.store(ArtifactType::ApplyOutput, "apply-output.txt", "text/plain", printed)
            .await?;
        let (tree, _) = applied?;
        // Before anything is checked out, which sets the branch to the base commit.
        let tip = self.git.resolve(git_dir, &format!("refs/heads/{}", base.branch), &ctx.stop).await?;
        let base = Base {
            commit: base_commit.clone(),
            ..base
        };
        Ok(Patched { patch, base, tip, tree })
    }

    /// Makes the commit, and refuses one that doesn't merge into the base branch as it is now.
    async fn commit(&self, patched: &Patched, texts: &Texts) -> Result<String, Error> {
        let (ctx, git_dir) = (self.ctx, &self.ctx.folder.git_dir);
        let message = message::signed(&texts.commit_message, &ctx.offer.run_id);
        let commit = CommitSpec {
            base_commit: &patched.base.commit,
            message: &message,
            author: &ctx.config.git_author,
            seconds: self.spec.run_started_at.map_or(0, |time| time.seconds),
        };
        let id = self.git.commit_tree(git_dir, &patched.tree, &commit, &ctx.stop).await?;
        match self.git.merge(git_dir, &id, &patched.tip, &commit, &ctx.stop).await? {
            Merge::Clean => Ok(id),
            Merge::Conflict(files) => Err(Error::Failed(merge_conflict(&patched.base.branch, &files))),
        }
    }

    /// Moves the branch to the commit, if it isn't there and nobody else has put something on it. Where it moves meanwhile, that is looked at once.
    async fn push(&self, commit: &str) -> Result<(), Error> {
        let (ctx, branch, repository) = (self.ctx, &self.spec.branch_name, &self.spec.repository);
        let mut old = self.git.branch(repository, branch, &ctx.stop).await?;
        let mut moved = false;
        let log = loop {
            match old.as_deref() {
                Some(old) if old == commit => break format!("{branch} is at {commit} already\n"),
                Some(old) => self.check_own(old).await?,
                None => {}
            }
            ctx.outlet.progress(&format!("pushing {branch}")).await;
            let pushed = self
                .git
                .push(repository, &ctx.folder.git_dir, commit, branch, old.as_deref(), &ctx.stop);
            let error = match pushed.await {
                Ok(Pushed::Moved { log }) => break log,
                Ok(Pushed::AlreadyThere) => break format!("{branch} was put at {commit} by another publisher of this run\n"),
                Err(error) => error,
            };
            if !moved && matches!(error, git::Error::PushRejected { .. }) {
                let now = self.git.branch(repository, branch, &ctx.stop).await?;
                moved = now != old;
                if moved {
                    old = now;
                    continue;
                }
            }
            self.store(ArtifactType::PushLog, "push-log.txt", "text/plain", &error.to_string())
                .await?;
            return Err(error.into());
        };
        self.store(ArtifactType::PushLog, "push-log.txt", "text/plain", &log).await
    }

    /// An earlier commit of this run may be replaced; anything else on the branch is somebody's work.
    async fn check_own(&self, old: &str) -> Result<(), Error> {
        let (ctx, branch) = (self.ctx, &self.spec.branch_name);
        let tip = self
            .git
            .fetch_branch(&self.spec.repository, branch, &ctx.folder.git_dir, &ctx.stop)
            .await?;
        let text = self.git.message(&ctx.folder.git_dir, &tip, &ctx.stop).await?;
        if tip == old && message::is_of_run(&text, &ctx.offer.run_id) {
            return Ok(());
        }
        let said = format!("the branch holds {tip}, which this run did not make: rename or remove that branch, then retry the run");
        Err(git::Error::PushRejected {
            branch: branch.clone(),
            said,
        }
        .into())
    }

    async fn pull_request(&self, commit: String, texts: &Texts) -> Result<v1::PublishResult, Error> {
        let ctx = self.ctx;
        let (forge, why_none) = forge::choose(&ctx.config, &self.spec.repository).map_err(Error::Failed)?;
        if let Some(why) = why_none {
            ctx.outlet.progress(why).await;
        }
        let base = match self.base_ref() {
            "" => self.git.base(&self.spec.repository, "", &ctx.stop).await?.branch,
            base => base.to_owned(),
        };
        let wanted = Wanted {
            head: &self.spec.branch_name,
            base: &base,
            title: &texts.title,
            body: &texts.body,
        };
        let found = tokio::select! {
            biased;
            () = ctx.stop.cancelled() => return Err(Error::Stopped("stopped")),
            found = forge.ensure_pull_request(&wanted) => found.map_err(Error::Failed)?,
        };
        if let Some(found) = &found {
            self.store(ArtifactType::PrResponse, "pull-request.json", "application/json", &found.response)
                .await?;
            ctx.outlet.progress(&format!("pull request {}", found.url)).await;
        }
        Ok(v1::PublishResult {
            branch_name: self.spec.branch_name.clone(),
            commit,
            pr_url: found.as_ref().map(|found| found.url.clone()).unwrap_or_default(),
            pr_existed: found.is_some_and(|found| found.existed),
        })
    }

    async fn store(&self, kind: ArtifactType, name: &str, content_type: &str, text: &str) -> Result<(), Error> {
        let file = self.ctx.folder.private().join(name);
        write(&file, text).map_err(Error::Failed)?;
        self.ctx
            .outlet
            .upload_artifact(kind, &file, content_type)
            .await
            .map_err(Error::Failed)?;
        Ok(())
    }
}

fn write(file: &Path, text: &str) -> Result<(), v1::Failure> {
    std::fs::write(file, text).map_err(|error| {
        let message = format!(
            "{} can't be written ({error}): see to the space and owner of MOORLINE_WORK_ROOT",
            file.display()
        );
        failure("WORK_ROOT_UNUSABLE", FailureClass::Environment, message)
    })
}

fn merge_conflict(branch: &str, files: &[String]) -> v1::Failure {
    let message = format!(
        "the work conflicts with {branch} as it is now in {}: retry the run from discovery; the patch is kept as an artifact",
        named(files, 10, ", ")
    );
    let mut failure = failure("MERGE_CONFLICT", FailureClass::Job, message);
    failure.details.insert("conflicting_files".to_owned(), named(files, FILES, ","));
    failure
}
