//! What is checked before work is taken. All of it is checked before the worker gives up, so that one start names everything
//! that is missing.

mod codex;
mod machine;
mod network;

use std::sync::Arc;

use moorline_proto::v1::{StartupCheck, StartupProfile};

use crate::{config::Config, engine::Engine, holding::Holding};

/// Why a worker can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// These prerequisites are missing.
    #[error("the worker can't start:{}", list(.0))]
    NotReady(Vec<StartupCheck>),
}

/// A worker that has what it needs.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    /// What was checked.
    pub profile: StartupProfile,
    /// Its hold on its volume, if it serves a shard.
    pub holding: Option<Holding>,
}

/// Checks everything that this worker needs for its queues.
///
/// # Errors
///
/// [`Error::NotReady`] with all that is missing. A login that fails its check is reported and stops the start only where
/// `MOORLINE_REQUIRE_LOGIN` says so: it could never be renewed through the worker otherwise. A login that is `in_use`, by an agent that an
/// earlier process of this worker has left at work, is left alone: the agent may be writing it at this moment.
pub async fn check(config: &Arc<Config>, engine: &Arc<dyn Engine>, in_use: bool) -> Result<Ready, Error> {
    let (engine_check, info) = machine::engine(engine).await;
    let mut checks = vec![engine_check, machine::work_root(config), machine::git(config).await];
    let mut holding = None;
    if let Some(queue) = config.login_queue() {
        checks.push(machine::job_user(config, info.as_ref()));
        checks.push(network::check(config, engine).await);
        let shard = codex::check(config, engine, queue, in_use).await;
        checks.extend(shard.checks);
        holding = shard.holding;
    }
    for check in &checks {
        match check.ok {
            true => tracing::info!(check = %check.name, "startup check passed: {}", check.detail),
            false => tracing::error!(check = %check.name, "startup check failed: {}", check.detail),
        }
    }
    let missing: Vec<StartupCheck> = checks.iter().filter(|check| !check.ok && stops(config, check)).cloned().collect();
    if !missing.is_empty() {
        return Err(Error::NotReady(missing));
    }
    let (kind, version) = info.map(|info| (info.kind, info.version)).unwrap_or_default();
    let profile = StartupProfile {
        checks,
        engine: kind.to_owned(),
        engine_version: version,
    };
    Ok(Ready { profile, holding })
}

fn stops(config: &Config, check: &StartupCheck) -> bool {
    !check.name.ends_with(codex::LOGIN) || config.require_login
}

fn list(missing: &[StartupCheck]) -> String {
    missing
        .iter()
        .map(|check| format!("\n- {}: {}", check.name, check.detail))
        .collect()
}

fn passed(name: &str, detail: impl Into<String>) -> StartupCheck {
    StartupCheck {
        name: name.to_owned(),
        ok: true,
        detail: detail.into(),
    }
}

fn missing(name: &str, detail: impl Into<String>) -> StartupCheck {
    StartupCheck {
        name: name.to_owned(),
        ok: false,
        detail: detail.into(),
    }
}
