//! Reads the feature's task list and finds the next phase with work.

use moorline_proto::v1::{self, FailureClass};

use super::{Context, Error, failure};
use crate::{
    git::{Base, Blob, Git},
    tasks::{self, TaskList, checklists},
    told::step,
};

/// Longest feature key, in characters.
const LONGEST_KEY: usize = 120;

/// Fetches one commit without a work tree and reads the task list from it. The result has no phase when nothing is left to do.
///
/// # Errors
///
/// `FEATURE_KEY_INVALID`, the codes of [`crate::git::Error`] and of [`crate::tasks::Error`].
pub async fn run(ctx: &Context) -> Result<v1::DiscoverResult, Error> {
    let spec = ctx.offer.spec.clone().unwrap_or_default();
    check_feature_key(&spec.feature_key).map_err(Error::Failed)?;
    ctx.outlet.progress(&format!("reading specs/{}/tasks.md", spec.feature_key)).await;
    let git = Git::new(&ctx.config);
    let fetch = async {
        Ok(git
            .fetch(&spec.repository, &spec.base_ref, None, &ctx.folder.git_dir, &ctx.stop)
            .await?)
    };
    let base = step(ctx, "fetch", fetch).await?;
    let list = read(ctx, &git, &base, &spec.feature_key).await?;
    let checklists = checklists(ctx, &git, &base, &spec.feature_key).await?;
    let phase = list.next_phase();
    let found = match &phase {
        Some(phase) => format!("phase {} ({}) has {} tasks left", phase.number, phase.title, phase.tasks.len()),
        None => "every task is done".to_owned(),
    };
    ctx.outlet.progress(&found).await;
    Ok(v1::DiscoverResult {
        base_ref: base.branch,
        base_commit: base.commit,
        phase,
        checklists,
    })
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
