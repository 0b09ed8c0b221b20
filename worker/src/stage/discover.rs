//! Reads the feature's task list and finds the next phase with work.

mod by_skill;

use moorline_proto::v1::{self, FailureClass};

use super::{Context, Error, Fault, Leg, Way, attempt, failure};
use crate::{
    git::{Base, Blob, Git},
    tasks::{self, TaskList, checklists},
    told::step,
};

/// Longest feature key, in characters.
const LONGEST_KEY: usize = 120;

/// What there is to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    /// The next phase with open tasks; `None` when nothing is left to do.
    pub(super) phase: Option<v1::TaskPhase>,
    /// The feature's checklists.
    pub(super) checklists: Vec<v1::Checklist>,
}

/// Fetches one commit and finds the next phase in it: by a skill's program on a work tree of it, or by reading the task list without one. The result
/// has no phase when nothing is left to do.
///
/// # Errors
///
/// `FEATURE_KEY_INVALID`, the codes of [`crate::git::Error`] and of [`crate::tasks::Error`]; those of skills (`SKILL_MISSING`, `SKILL_FAILED`, …), and
/// `SKILL_AND_FALLBACK_FAILED`.
pub async fn run(ctx: &Context) -> Result<v1::DiscoverResult, Error> {
    let discover = Discover::new(ctx)?;
    let base = discover.fetch(None).await?;
    // The commit is the worker's to find: both ways look at the same one.
    let found = attempt::take(
        ctx,
        Box::pin(discover.by_skill(&base, Leg::Program)),
        Box::pin(discover.direct(&base)),
    )
    .await?;
    let said = match &found.phase {
        Some(phase) => format!("phase {} ({}) has {} tasks left", phase.number, phase.title, phase.tasks.len()),
        None => "every task is done".to_owned(),
    };
    ctx.outlet.progress(&said).await;
    Ok(v1::DiscoverResult {
        base_ref: base.branch,
        base_commit: base.commit,
        phase: found.phase,
        checklists: found.checklists,
    })
}

/// The way of the context's offer in the shadow, on a commit that is known already or else on the branch as it is: the context's folder, outlet and
/// course are the shadow's own.
pub(super) async fn in_shadow(ctx: &Context, base: Option<Base>) -> Result<v1::DiscoverResult, Fault> {
    let discover = Discover::new(ctx)?;
    let base = discover.fetch(base.as_ref()).await?;
    let found = match Way::of(&ctx.offer) {
        Way::Skill { .. } => discover.by_skill(&base, Leg::Shadow).await?,
        Way::Direct => discover.direct(&base).await?,
    };
    Ok(v1::DiscoverResult {
        base_ref: base.branch,
        base_commit: base.commit,
        phase: found.phase,
        checklists: found.checklists,
    })
}

/// One job of this stage. Its legs, [`Discover::by_skill`] and [`Discover::direct`], have no effect but on the context's folder: one for the shadow is
/// made with a context whose folder, outlet and course are the shadow's own, and [`Leg::Shadow`].
pub(super) struct Discover<'a> {
    ctx: &'a Context,
    spec: v1::JobSpec,
    git: Git,
}

impl<'a> Discover<'a> {
    pub(super) fn new(ctx: &'a Context) -> Result<Self, Error> {
        let spec = ctx.offer.spec.clone().unwrap_or_default();
        check_feature_key(&spec.feature_key).map_err(Error::Failed)?;
        Ok(Self {
            ctx,
            spec,
            git: Git::new(&ctx.config),
        })
    }

    /// The commit that both ways look at.
    async fn fetch(&self, known: Option<&Base>) -> Result<Base, Error> {
        let ctx = self.ctx;
        let (base_ref, commit) = known.map_or((self.spec.base_ref.as_str(), None), |base| {
            (&base.branch, Some(base.commit.as_str()))
        });
        ctx.outlet
            .progress(&format!("looking for the next phase of specs/{}", self.spec.feature_key))
            .await;
        let (git_dir, stop) = (&ctx.folder.git_dir, &ctx.stop);
        let fetch = async { Ok(self.git.fetch(&self.spec.repository, base_ref, commit, git_dir, stop).await?) };
        step(ctx, "fetch", fetch).await
    }

    /// Reads the task list without a work tree.
    pub(super) async fn direct(&self, base: &Base) -> Result<Found, Error> {
        let (ctx, feature_key) = (self.ctx, &self.spec.feature_key);
        let list = read(ctx, &self.git, base, feature_key).await?;
        Ok(Found {
            phase: list.next_phase(),
            checklists: checklists(ctx, &self.git, base, feature_key).await?,
        })
    }
}

async fn read(ctx: &Context, git: &Git, base: &Base, feature_key: &str) -> Result<TaskList, Error> {
    let path = format!("specs/{feature_key}/tasks.md");
    let refused = |error: tasks::Error| Error::Failed(error.failure());
    match git.file(&ctx.folder.git_dir, &base.commit, &path, &ctx.stop).await? {
        Blob::Content(content) => TaskList::parse(&content).map_err(refused),
        Blob::NotAFile(what) => Err(refused(tasks::Error::NotAFile { path, what })),
        Blob::Missing => Err(refused(tasks::Error::Missing {
            path,
            branch: base.branch.clone(),
        })),
    }
}

/// The feature's checklists, as far as they are files that can be read.
async fn checklists(ctx: &Context, git: &Git, base: &Base, feature_key: &str) -> Result<Vec<v1::Checklist>, Error> {
    let folder = format!("specs/{feature_key}/checklists");
    let (git_dir, commit) = (&ctx.folder.git_dir, &base.commit);
    let files = git.files(git_dir, commit, &folder, &ctx.stop).await?;
    let mut found = Vec::new();
    for name in checklists::names(&files) {
        if let Blob::Content(content) = git.file(git_dir, commit, &format!("{folder}/{name}.md"), &ctx.stop).await? {
            found.push(checklists::count(name, &content));
        }
    }
    Ok(found)
}

/// A feature key names one folder under `specs/` and can't leave it.
pub fn check_feature_key(key: &str) -> Result<(), v1::Failure> {
    let reason = match key {
        "" => "is empty",
        "." | ".." => "names no folder of its own",
        key if key.chars().count() > LONGEST_KEY => "is longer than 120 characters",
        key if key.contains(['/', '\\']) => "contains a slash",
        key if key.contains("..") => "contains two dots in a row",
        key if key.chars().any(char::is_control) => "contains a control character",
        _ => return Ok(()),
    };
    let message = format!("the feature_key `{key}` {reason}: give the name of one folder under specs/, such as 001-login");
    Err(failure("FEATURE_KEY_INVALID", FailureClass::Job, message))
}
