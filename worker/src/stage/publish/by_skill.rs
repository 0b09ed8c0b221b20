//! The texts as a skill's program writes them.

use std::{fs, io, os::unix::fs::PermissionsExt};

use serde_json::json;

use super::{Patched, Publisher, Texts, texts};
use crate::{
    skill::{
        envelope,
        program::{Entry, Program},
    },
    stage::{Fault, Leg, attempt, site, skilled, unusable},
};

impl Publisher<'_> {
    /// Has the skill's program look at a work tree with the patch applied, and say what commit and pull request are to say.
    pub(in crate::stage) async fn texts_by_skill(&self, patched: &Patched, leg: Leg) -> Result<Texts, Fault> {
        let (ctx, base) = (self.ctx, &patched.base);
        let known = skilled::of_root(ctx)?;
        site::make(ctx).await?;
        let chosen = match known {
            Some(chosen) => chosen,
            None => {
                // As it is at the base commit: an agent has no say in what carries its own run.
                site::lay_out(ctx, &self.git, base, None).await?;
                skilled::of_repository(ctx).await?
            }
        };
        site::lay_out(ctx, &self.git, base, Some(&patched.tree)).await?;
        let patch = ctx.folder.root.join("publish.patch");
        show(&patched.patch, &patch).map_err(|error| unusable(ctx, &error))?;
        skilled::tell(ctx, &chosen).await?;
        let discover = self.spec.discover.as_ref();
        let payload = json!({
            "repository": self.spec.repository,
            "base_ref": base.branch,
            "base_commit": base.commit,
            "branch_name": self.spec.branch_name,
            "phase": envelope::phase(discover.and_then(|discover| discover.phase.as_ref())),
            "tasks_done": self.submit.tasks_done,
            "patch": patch,
            "checkout": ctx.folder.repo,
        });
        let entry = Entry {
            skill: &chosen.skill,
            program: chosen.program()?,
            limit: attempt::of_program(ctx),
        };
        let name = &chosen.skill.name;
        let program = Program::new(ctx, name, leg);
        let artifacts = program.run(entry, payload).await?;
        let (texts, branch) = texts::read(artifacts).map_err(|why| envelope::unfit(name, &why))?;
        match branch == self.spec.branch_name {
            true => Ok(texts),
            false => Err(program.mismatch("branch_name", &branch, &self.spec.branch_name)),
        }
    }
}

/// Puts a copy where the container can read it.
fn show(from: &std::path::Path, to: &std::path::Path) -> io::Result<()> {
    fs::copy(from, to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o644))
}
