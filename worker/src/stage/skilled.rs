//! The skill that carries a stage: the worker's own of that name, or the repository's where the policy lets it.

use std::{fs, os::unix::fs::PermissionsExt};

use moorline_proto::v1;

use super::{Context, Error, Fault, fault::unusable, of_engine, plain};
use crate::{
    config::Config,
    engine::user::{User, is_root},
    redact::Redactor,
    skill::{self, Carrier, Skill, repository},
};

/// A skill, and how it carries the stage.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// The skill. Its folder is where containers find it.
    pub(crate) skill: Skill,
    /// How.
    pub(crate) carrier: Carrier,
}

/// The skill as the worker's root has it; `None` where that has none of the name, and the repository's may be taken.
///
/// # Errors
///
/// `SKILL_MISSING` and `SKILL_INVALID`.
pub(crate) fn of_root(ctx: &Context) -> Result<Option<Chosen>, Fault> {
    let decision = ctx.offer.decision.clone().unwrap_or_default();
    match ctx.skills.get(&decision.selected_skill) {
        Ok(skill) => Chosen::new(skill.clone(), ctx.offer.stage()).map(Some),
        // One that is there and broken keeps its place, and so does one that nobody could look for.
        Err(skill::Error::Missing { .. }) if decision.repository_skill && ctx.skills.trouble().is_none() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The repository's skill. The checkout must be at the base commit, where nothing is that an agent has written: what a run's own patch makes of a skill
/// doesn't carry that run's stages. It is copied to the run's folder, where whoever works in the checkout can't change it.
///
/// # Errors
///
/// `SKILL_MISSING` and `SKILL_INVALID`, the codes of the engine, and `WORK_ROOT_UNUSABLE`.
pub(crate) async fn of_repository(ctx: &Context) -> Result<Chosen, Fault> {
    let name = ctx.offer.decision.clone().unwrap_or_default().selected_skill;
    let engine = ctx.engine.info().await;
    let engine = engine.map_err(|error| of_engine(&error, &Redactor::of(&ctx.config)))?;
    if engine.kind == "process" && !has_own_user(&ctx.config, is_root()) {
        let message = format!(
            "the skill {name} of the repository is not run here, where local processes are the worker's own user and could read its token: use the Docker \
             engine (MOORLINE_ENGINE=docker), or run the worker as root and give jobs a user of their own with MOORLINE_JOB_USER"
        );
        return Err(Fault::of_skill("SKILL_INVALID", message));
    }
    let (checkout, skills) = (ctx.folder.repo.clone(), ctx.folder.root.join("skills"));
    let copied = tokio::task::spawn_blocking(move || {
        match fs::create_dir(&skills) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::set_permissions(&skills, fs::Permissions::from_mode(0o755))?,
        }
        Ok(repository::copy(&checkout, &name, &skills.join(&name)))
    });
    let copied = copied.await.map_err(std::io::Error::other).flatten();
    let skill = copied.map_err(|error| unusable(ctx, &error))??;
    Chosen::new(skill, ctx.offer.stage())
}

/// Whether local processes are another user than their worker: only root can become one.
fn has_own_user(config: &Config, worker_is_root: bool) -> bool {
    worker_is_root && config.job_user.parse().is_ok_and(|user: User| user.uid != 0)
}

impl Chosen {
    fn new(skill: Skill, stage: v1::Stage) -> Result<Self, Fault> {
        match skill.stages.get(&stage) {
            Some(carrier) => Ok(Self {
                carrier: carrier.clone(),
                skill,
            }),
            None => {
                let message = format!(
                    "the skill {} doesn't carry the stage {}: name it in moorline-stages of its SKILL.md, or choose another skill",
                    skill.name,
                    plain(stage.as_str_name(), "STAGE_")
                );
                Err(Fault::of_skill("SKILL_MISSING", message))
            }
        }
    }

    /// The program, which is all that can carry a stage without an agent.
    ///
    /// # Errors
    ///
    /// `SKILL_INVALID`.
    pub(crate) fn program(&self) -> Result<&str, Fault> {
        match &self.carrier {
            Carrier::Executable(program) => Ok(program),
            Carrier::Instructions => {
                let message = format!(
                    "the skill {} has only instructions for a stage without an agent: give it a program there, as in `discover=scripts/stage`",
                    self.skill.name
                );
                Err(Fault::of_skill("SKILL_INVALID", message))
            }
        }
    }
}

/// Tells people and the attempt's course which skill it is.
pub(super) async fn tell(ctx: &Context, chosen: &Chosen) -> Result<(), Error> {
    ctx.course.skill_found(&chosen.skill.digest);
    let skill = &chosen.skill;
    let version = match skill.version.as_str() {
        "" => String::new(),
        version => format!(" {version}"),
    };
    let how = match &chosen.carrier {
        Carrier::Instructions => "its instructions",
        Carrier::Executable(_) => "its program",
    };
    let (name, stage) = (&skill.name, plain(ctx.offer.stage().as_str_name(), "STAGE_"));
    tracing::info!(skill = %name, %version, digest = %skill.digest, source = ?skill.source, how, "a skill carries the stage");
    ctx.outlet
        .progress(&format!("{stage} goes by the skill {name}{version}: {how}"))
        .await;
    match ctx.stop.is_cancelled() {
        true => Err(Error::Stopped("not_started")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        skill::{MIRRORS, Registry},
        testing::offered,
    };

    /// What becomes of the repository's skill `demo` beside this root.
    fn beside(root: &Path) -> Result<Option<Chosen>, String> {
        let mut ctx = offered(v1::Offer {
            decision: Some(v1::StageDecision {
                selected_skill: "demo".to_owned(),
                repository_skill: true,
                ..v1::StageDecision::default()
            }),
            ..v1::Offer::default()
        });
        ctx.skills = Arc::new(Registry::read(root));
        of_root(&ctx).map_err(|fault| match fault {
            Fault::Skill(failure) => failure.code,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn the_repositorys_skill_only_takes_a_place_that_is_known_to_be_empty() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(beside(root.path()), Ok(None)));
        for mirror in MIRRORS {
            let folder = root.path().join(mirror).join("demo");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("SKILL.md"), "no front matter\n").unwrap();
        }
        assert_eq!(beside(root.path()).unwrap_err(), "SKILL_INVALID", "the root's is broken");
        let no_folder = root.path().join(MIRRORS[0]).join("demo/SKILL.md");
        assert_eq!(beside(&no_folder).unwrap_err(), "SKILL_MISSING", "nobody could look");
    }

    #[test]
    fn only_a_worker_that_is_root_can_give_jobs_a_user_of_their_own() {
        let config = |user: &str| Config {
            job_user: user.to_owned(),
            ..Config::try_parse_from(["moorline-worker"]).unwrap()
        };
        assert!(has_own_user(&config("1000:1000"), true));
        assert!(!has_own_user(&config("0:1000"), true));
        assert!(!has_own_user(&config("1000:1000"), false));
    }
}
