//! What is checked before work is taken. All of it is checked before the worker gives up, so that one start names everything
//! that is missing.

mod agent;
mod check;
mod embedding;
mod kind;
mod machine;
mod mounts;
mod network;
mod queues;
mod skills;
mod tools;
mod versions;
mod volume;

use std::sync::Arc;

use moorline_proto::v1::{StartupCheck, StartupProfile};

use self::{
    check::{Check, missing, passed, timed},
    kind::Kind,
};
use crate::{
    config::Config,
    engine::{self, Engine},
    holding::Holding,
    skill::Registry,
};

/// Why a worker can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Prerequisites are missing.
    #[error("the worker can't start:{}", list(.missing))]
    NotReady {
        /// Those that are.
        missing: Vec<StartupCheck>,
        /// All that was checked.
        profile: Box<StartupProfile>,
    },
}

/// A worker that has what it needs.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    /// What was checked.
    pub profile: StartupProfile,
    /// Its hold on its volume, if it serves a queue that needs a login.
    pub holding: Option<Holding>,
    /// The skills of its root.
    pub skills: Arc<Registry>,
}

/// Checks everything that this worker needs for its queues; where there is no engine, everything that can be checked without.
///
/// # Errors
///
/// [`Error::NotReady`] with all that is missing. A login that fails its check is reported and stops the start only where
/// `MOORLINE_REQUIRE_LOGIN` says so: it could never be renewed through the worker otherwise. A volume that is `in_use`, by an agent that an
/// earlier process of this worker has left at work, is left alone: the agent may be writing it at this moment.
pub async fn check(config: &Arc<Config>, engine: Result<&Arc<dyn Engine>, &engine::Error>, in_use: bool) -> Result<Ready, Error> {
    let kind = Kind::of(config);
    let (engine_check, engine, info) = machine::engine(engine).await;
    let agent = async {
        match engine {
            _ if kind == Kind::Default => agent::Found::default(),
            Some(engine) => agent::check(config, engine, kind, in_use).await,
            None => agent::without_engine(config, kind),
        }
    };
    let skills = async {
        match engine {
            Some(engine) => skills::check(config, engine, kind).await,
            None => (Vec::new(), Arc::default()),
        }
    };
    let embedding = async {
        match kind {
            Kind::Default => None,
            Kind::Codex | Kind::Gemini => Some(embedding::check(config).await),
        }
    };
    let (git, agent, (skill_checks, skills), embedding) = tokio::join!(timed(machine::git(config)), agent, skills, embedding);
    let mut checks = vec![engine_check, timed(async { machine::work_root(config) }).await, git];
    if kind != Kind::Default {
        checks.push(Check::at_once(machine::job_user(config, info.as_ref())));
    }
    checks.push(Check::at_once(queues::check(config)));
    checks.extend(agent.checks);
    checks.extend(skill_checks);
    let embedding = embedding.map(|(check, found)| {
        checks.push(check);
        found
    });
    checks.iter().for_each(Check::log);
    let missing: Vec<StartupCheck> = checks
        .iter()
        .filter(|check| check.stops())
        .map(|check| check.found.clone())
        .collect();
    let (engine, engine_version) = info.map(|info| (info.kind.to_owned(), info.version)).unwrap_or_default();
    let profile = StartupProfile {
        checks: checks.into_iter().map(|check| check.found).collect(),
        engine,
        engine_version,
        embedding,
        tools: agent.tools,
        policy: agent.policy,
        skills: skills.profile(),
    };
    match missing.is_empty() {
        true => Ok(Ready {
            profile,
            holding: agent.holding,
            skills,
        }),
        false => Err(Error::NotReady {
            missing,
            profile: Box::new(profile),
        }),
    }
}

fn list(missing: &[StartupCheck]) -> String {
    let line = |check: &StartupCheck| format!("\n- {}: {}", check.name, check.detail);
    missing.iter().map(line).collect()
}
