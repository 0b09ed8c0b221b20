//! What a worker with an agent needs: CLIs, volume, policy and, if it can be had, a login.

use std::sync::Arc;

use moorline_proto::v1::{PreflightStatus, StartupCheck, StartupPolicy, StartupTool};

use super::{Check, kind::Kind, missing, network, passed, timed, tools, volume};
use crate::{
    agent::codex::Codex,
    config::Config,
    engine::{self, Engine},
    holding::Holding,
    policy::{self, Enforced},
    redact::chain,
};

const POLICY: &str = "codex_policy";

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) checks: Vec<Check>,
    pub(super) tools: Vec<StartupTool>,
    pub(super) policy: Option<StartupPolicy>,
    pub(super) holding: Option<Holding>,
}

/// Checks everything for the queue that needs a login. The CLIs are asked while the volume is looked at. A volume that an agent has `in_use`
/// is left alone.
pub(super) async fn check(config: &Arc<Config>, engine: &Arc<dyn Engine>, kind: Kind, in_use: bool) -> Found {
    let clis = tools::needed(kind);
    let asked = async {
        let began = tokio::time::Instant::now();
        let found = match in_use {
            true => tools::unasked(clis),
            false => tools::check(config, engine, clis).await,
        };
        (found, began.elapsed())
    };
    let network = timed(network::check(config, engine));
    let ((clis, took), kept, network) = tokio::join!(asked, kept(config, engine, kind, in_use), network);
    let work = clis.iter().all(|found| found.check.ok);
    let mut found = Found {
        policy: kept.policy,
        ..Found::default()
    };
    found.checks.push(network);
    found.checks.extend(kept.volume);
    for cli in clis {
        found.tools.extend(cli.tool);
        found.checks.push(Check::new(cli.check, took));
    }
    found.checks.extend(kept.enforced);
    // Without its CLI no login can be checked, whatever that says of it.
    found.checks.extend(kept.login.filter(|_| work));
    found.holding = kept.holding.filter(|_| work);
    found
}

/// What was found of the volume, and in it.
#[derive(Default)]
struct Kept {
    volume: Option<Check>,
    enforced: Option<Check>,
    policy: Option<StartupPolicy>,
    login: Option<Check>,
    holding: Option<Holding>,
}

/// One after the other: the policy is merged before the CLI reads its settings.
async fn kept(config: &Arc<Config>, engine: &Arc<dyn Engine>, kind: Kind, in_use: bool) -> Kept {
    let mut kept = Kept::default();
    let Some(name) = &config.volume else {
        kept.enforced = template(config, kind);
        return kept;
    };
    let volume = timed(volume::check(config, engine, kind, name)).await;
    let there = volume.is_ok();
    kept.volume = Some(volume);
    if !there {
        kept.enforced = template(config, kind);
        return kept;
    }
    let mut owed = false;
    if kind == Kind::Codex {
        kept.policy = Some(StartupPolicy {
            approval_policy: policy::approval().to_owned(),
            template: policy::source(config),
        });
        let enforced = timed(enforced(config, engine, name, in_use, &mut owed)).await;
        let failed = !enforced.is_ok();
        kept.enforced = Some(enforced);
        if failed {
            return kept;
        }
    }
    let holding = Holding::new(config, engine);
    if let Some(holding) = &holding {
        if owed {
            holding.owe_policy();
        }
        kept.login = Some(login(config, holding, kind, in_use).await);
    }
    kept.holding = holding;
    kept
}

/// What can be checked without an engine.
pub(super) fn without_engine(config: &Config, kind: Kind) -> Found {
    Found {
        checks: template(config, kind).into_iter().collect(),
        ..Found::default()
    }
}

/// Whether the template can be used, where there is no volume to merge it into. It is worth saying only if not.
fn template(config: &Config, kind: Kind) -> Option<Check> {
    let unusable = (kind == Kind::Codex).then(|| policy::usable(config).err()).flatten()?;
    Some(Check::at_once(missing(POLICY, unusable.to_string())))
}

/// Says whether it is `owed` to the next job, where somebody is at work in the volume.
async fn enforced(config: &Config, engine: &Arc<dyn Engine>, volume: &str, in_use: bool, owed: &mut bool) -> StartupCheck {
    if in_use {
        *owed = true;
        // The earlier start has merged what was the policy then.
        return passed(
            POLICY,
            "merged before the next job: an agent that an earlier start has left is at work in the volume",
        );
    }
    let what = || format!("approval_policy = \"{}\" ({})", policy::approval(), policy::source(config));
    // No server has named a generation yet.
    match policy::enforce(engine.as_ref(), &Codex::new(config), config, volume, 0).await {
        Ok(Enforced::Already) => passed(POLICY, what()),
        Ok(Enforced::Written) => passed(POLICY, format!("{}, written into the volume", what())),
        // Whoever uses it is another worker of the volume, or what one has left: the server says which of the two may have it.
        Err(policy::Error::Engine(error @ engine::Error::VolumeInUse { .. })) => {
            *owed = true;
            passed(POLICY, format!("merged before the next job: {error}"))
        }
        Err(error) => missing(POLICY, chain(&error)),
    }
}

async fn login(config: &Config, holding: &Holding, kind: Kind, in_use: bool) -> Check {
    if in_use {
        // Looked at once that agent has ended.
        let why = "not checked: an agent that an earlier start has left is at work with it";
        return Check::at_once(passed(kind.login(), why));
    }
    let checked = async {
        // No server has named a generation yet.
        let checked = holding.check(0, false).await;
        if let Some(blocked) = checked.blocked {
            return passed(kind.login(), format!("not checked yet: {}", blocked.message));
        }
        let message = checked.preflight.message.clone();
        match checked.preflight.status() != PreflightStatus::Failed {
            true => passed(kind.login(), message),
            false => missing(kind.login(), message),
        }
    };
    // It could never be renewed through the worker else.
    timed(checked).await.stopping(config.require_login)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

    use super::*;
    use crate::engine::process::ProcessEngine;

    #[tokio::test]
    async fn a_policy_that_an_agent_at_work_keeps_out_is_merged_once_the_volume_is_to_be_had() {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = Config::try_parse_from(["moorline-worker", "--codex-queue", "codex-0", "--volume", "codex_auth_0"]).unwrap();
        config.preflight_timeout = Duration::from_secs(20);
        let engine = ProcessEngine::new(&root.path().join("volumes"), &root.path().join("processes"), &config.job_user).unwrap();
        engine.create_volume("codex_auth_0", &config.job_user).await.unwrap();
        let engine: Arc<dyn Engine> = Arc::new(engine);
        let settings = root.path().join("volumes/codex_auth_0/config.toml");
        let kept = kept(&Arc::new(config), &engine, Kind::Codex, true).await;
        assert!(kept.enforced.unwrap().is_ok() && !settings.exists());
        let holding = kept.holding.unwrap();
        let alone = holding.alone_for_policy().await.unwrap();
        holding.merge_policy(&alone, 1).await.unwrap();
        drop(alone);
        assert!(fs::read_to_string(&settings).unwrap().contains("approval_policy = \"never\""));
        assert!(holding.alone_for_policy().await.is_none(), "once is enough");
    }
}
