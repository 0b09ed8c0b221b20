//! What the worker of a queue that needs a login needs: the volume, the agent's CLI, and, if it can be had, a login.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use moorline_proto::v1::{PreflightStatus, StartupCheck};

use super::{missing, passed};
use crate::{
    agent::{self, Agent},
    config::Config,
    engine::{self, ContainerSpec, Engine, Exit, Limits},
    holding::Holding,
    redact::{chain, one_line},
};

/// What the name of the check ends with that doesn't stop the start.
pub(super) const LOGIN: &str = "_login";

/// What was found.
pub(super) struct Shard {
    pub(super) checks: Vec<StartupCheck>,
    pub(super) holding: Option<Holding>,
}

/// Checks everything for the shard's queue. The login is looked at only when it can be, and not while an agent has it `in_use`.
pub(super) async fn check(config: &Arc<Config>, engine: &Arc<dyn Engine>, queue: &str, in_use: bool) -> Shard {
    let agent = agent::of_worker(config);
    let name = |what: &str| format!("{}{what}", agent.name().to_lowercase());
    let cli = async {
        match in_use {
            // It would cost seconds on a busy machine, and the server waits for word of the agent.
            true => passed(&name("_cli"), "not run: an agent that an earlier start has left is at work with it"),
            false => cli(&name("_cli"), agent.as_ref(), config, engine).await,
        }
    };
    let volume = async { volume(&name("_volume"), agent.as_ref(), config, engine, queue).await };
    let (volume, cli) = tokio::join!(volume, cli);
    let can_log_in = volume.ok && cli.ok;
    let mut checks = vec![volume, cli];
    let holding = Holding::new(config, engine).filter(|_| can_log_in);
    if let Some(holding) = &holding {
        checks.push(match in_use {
            // Looked at once that agent has ended.
            true => passed(
                &name(LOGIN),
                "not checked: an agent that an earlier start has left is at work with it",
            ),
            false => login(&name(LOGIN), holding).await,
        });
    }
    Shard { checks, holding }
}

async fn login(name: &str, holding: &Holding) -> StartupCheck {
    // No server has named a generation yet.
    let checked = holding.check(0, false).await;
    if let Some(blocked) = checked.blocked {
        return passed(name, format!("not checked yet: {}", blocked.message));
    }
    StartupCheck {
        name: name.to_owned(),
        ok: checked.preflight.status() != PreflightStatus::Failed,
        detail: checked.preflight.message,
    }
}

async fn volume(name: &str, agent: &dyn Agent, config: &Config, engine: &Arc<dyn Engine>, queue: &str) -> StartupCheck {
    let Some(volume) = &config.volume else {
        let variable = agent.volume_variable();
        return missing(name, format!("{queue} needs its login: set {variable} to the volume that holds it"));
    };
    match engine.volume(volume).await {
        Ok(Some(facts)) => passed(name, format!("{volume} ({})", facts.driver)),
        Ok(None) => missing(name, engine::Error::VolumeMissing { volume: volume.clone() }.to_string()),
        Err(error) => missing(name, chain(&error)),
    }
}

/// Asks the CLI for its version where jobs run it, which also shows that the job image is there.
async fn cli(name: &str, agent: &dyn Agent, config: &Config, engine: &Arc<dyn Engine>) -> StartupCheck {
    let program = agent.program();
    let spec = ContainerSpec {
        name: format!("moorline-startup-{}", uuid::Uuid::now_v7()),
        image: config.job_image.clone(),
        argv: vec![program.to_owned(), "--version".to_owned()],
        env: BTreeMap::from([("HOME".to_owned(), "/nonexistent".into())]),
        labels: BTreeMap::from([("moorline.purpose".to_owned(), "startup".to_owned())]),
        run_dir: None,
        workdir: None,
        volume: None,
        limits: Limits {
            memory_bytes: 512 << 20,
            cpu_millis: 1000,
            pids: 64,
            time: Duration::from_secs(60),
        },
        network: "none".to_owned(),
        stdin: None,
        stdout: None,
        stderr: None,
    };
    match engine.capture(&spec, None).await {
        Ok(captured) if captured.exit == Exit::Code(0) => passed(name, captured.stdout.trim()),
        Ok(captured) => {
            let (said, variable) = (one_line(&captured.stderr, 200), agent.program_variable());
            missing(
                name,
                format!(
                    "`{program} --version` does not work ({:?}: {said}): install the {} CLI in the job image, or set {variable}",
                    captured.exit,
                    agent.name()
                ),
            )
        }
        Err(error) => missing(name, chain(&error)),
    }
}
