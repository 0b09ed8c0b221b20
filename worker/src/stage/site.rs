//! The run's own folder, made anew, with a work tree in it for a skill's program.

use super::{Context, Error, Owner, unusable};
use crate::git::{Base, Checkout, Git};

/// Makes the run's folders anew: what an earlier container has left there can't be trusted.
pub(super) async fn make(ctx: &Context) -> Result<(), Error> {
    let (folder, job_user, owner) = (ctx.folder.clone(), ctx.config.job_user.clone(), Owner::from(&ctx.offer));
    let made = tokio::task::spawn_blocking(move || folder.create_shared(&job_user, &owner));
    let made = made.await.map_err(std::io::Error::other).flatten();
    made.map_err(|error| unusable(ctx, &error))
}

/// Lays the commit out that was fetched, or another tree in its place, with the commit as `HEAD`.
pub(super) async fn lay_out(ctx: &Context, git: &Git, base: &Base, tree: Option<&str>) -> Result<(), Error> {
    let spec = ctx.offer.spec.clone().unwrap_or_default();
    let checkout = Checkout {
        repository: &spec.repository,
        base_ref: &base.branch,
        commit: Some(&base.commit),
        git_dir: &ctx.folder.git_dir,
        work_tree: &ctx.folder.repo,
        owner: &ctx.config.job_user,
    };
    Ok(git.lay_out(&checkout, base, tree, &ctx.stop).await?)
}
