//! The way in the shadow: a context whose folder, outlet and course are its own.

use std::{fs, io, os::unix::fs::PermissionsExt, sync::Arc};

use moorline_proto::v1::{self, ArtifactType, ExecutionPath, Stage};
use tokio_util::sync::CancellationToken;

use super::{
    super::{AgentEnded, Context, Course, Error, Fault, RunFolder, discover, publish, submit},
    first::{First, is_its_own},
    outlet::Muted,
};
use crate::{
    drift::{End, Submitted},
    git::Base,
};

/// See the module.
pub(super) struct Second {
    pub(super) ctx: Context,
    base: Option<Base>,
    /// The attempt's own course, which tells which skill was run.
    course: Course,
}

impl Second {
    pub(super) fn new(ctx: &Context, first: &First) -> io::Result<Self> {
        let folder = RunFolder {
            git_dir: ctx.folder.private().join("shadow").join("git"),
            ..ctx.folder.clone()
        };
        fs::create_dir_all(folder.private())?;
        fs::set_permissions(folder.private(), fs::Permissions::from_mode(0o700))?;
        let offer = offer(&ctx.offer, first);
        let shadow = Context {
            course: Course::of(&offer).since(ctx.course.began()),
            offer,
            folder,
            outlet: Arc::new(Muted(ctx.outlet.clone())),
            stop: ctx.stop.child_token(),
            // Nobody goes on with it.
            leaving: CancellationToken::new(),
            agent_ended: AgentEnded::default(),
            ..ctx.clone()
        };
        Ok(Self {
            ctx: shadow,
            base: first.base.clone(),
            course: ctx.course.clone(),
        })
    }

    /// Takes it to its end, or says why there is none to compare.
    pub(super) async fn take(self) -> Result<End, String> {
        let (ctx, stage) = (&self.ctx, self.ctx.offer.stage());
        let taken = match stage {
            Stage::Discover => discover::in_shadow(ctx, self.base).await.map(End::Discovered),
            Stage::Submit => submit::in_shadow(ctx).await.map(|submit| {
                End::Submitted(Submitted {
                    patch: ctx.folder.patch(),
                    tasks_done: submit.tasks_done,
                })
            }),
            Stage::Publish => publish::in_shadow(ctx).await.map(End::Published),
            Stage::Unspecified => return Err("the worker doesn't know this stage".to_owned()),
        };
        // That of an agent is stored with its end.
        let log = ctx.folder.private().join("skill.log");
        if log.exists()
            && let Err(failure) = ctx.outlet.upload_artifact(ArtifactType::ShadowLogs, &log, "text/plain").await
        {
            tracing::warn!(code = %failure.code, "the log of a skill in the shadow could not be stored: {}", failure.message);
        }
        let digest = ctx.course.so_far().skill_digest;
        if !digest.is_empty() {
            self.course.skill_found(&digest);
        }
        match taken {
            Ok(end) => Ok(end),
            Err(Fault::Skill(failure)) => Ok(End::Failed(failure)),
            Err(Fault::Stage(Error::Failed(failure))) if is_its_own(&failure) => Ok(End::Failed(failure)),
            Err(Fault::Stage(Error::Failed(failure))) => Err(format!("the shadow ended with {}: {}", failure.code, failure.message)),
            Err(Fault::Stage(Error::Stopped(_))) => Err("the shadow was stopped".to_owned()),
        }
    }
}

/// The offer as if the other way had been decided, without a fallback, and on the commit that the first way has worked on.
fn offer(offer: &v1::Offer, first: &First) -> v1::Offer {
    let mut offer = offer.clone();
    if let Some(decision) = &mut offer.decision {
        decision.set_execution_path(first.other());
        decision.use_skills = first.other() == ExecutionPath::Skill;
        (decision.fallback_enabled, decision.shadow_mode) = (false, false);
    }
    if let (Stage::Submit, Some(base), Some(spec)) = (offer.stage(), &first.base, &mut offer.spec) {
        let discover = spec.discover.get_or_insert_default();
        discover.base_commit.clone_from(&base.commit);
    }
    offer
}
