//! Which engine a worker uses.

use std::sync::Arc;

use super::{
    Engine, Error,
    docker::{DockerEngine, Policy},
    process::ProcessEngine,
};
use crate::{
    config::{Config, EngineChoice},
    redact::chain,
};

/// Connects to the engine that the settings name. `Auto` takes Docker when it answers, and says in the log what it took and why.
///
/// # Errors
///
/// [`Error::Unreachable`] when Docker was asked for by name and doesn't answer.
pub async fn choose(config: &Config) -> Result<Arc<dyn Engine>, Error> {
    choose_at(config, &DockerEngine::endpoint()).await
}

async fn choose_at(config: &Config, endpoint: &str) -> Result<Arc<dyn Engine>, Error> {
    match config.engine {
        EngineChoice::Docker => {
            let (engine, version) = docker(config, endpoint).await?;
            tracing::info!(engine = "docker", %version, "jobs run in Docker containers, as MOORLINE_ENGINE asks");
            Ok(engine)
        }
        EngineChoice::Process => {
            tracing::info!(engine = "process", "jobs run as local processes, as MOORLINE_ENGINE asks");
            Ok(process(config)?)
        }
        EngineChoice::Auto => match docker(config, endpoint).await {
            Ok((engine, version)) => {
                tracing::info!(engine = "docker", %version, "jobs run in Docker containers, since Docker answers");
                Ok(engine)
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(engine = "process", %reason, "jobs run as local processes, without a container's walls, since Docker can't be used");
                Ok(process(config)?)
            }
        },
    }
}

async fn docker(config: &Config, endpoint: &str) -> Result<(Arc<dyn Engine>, String), Error> {
    let image = config.login_check_image.as_ref().unwrap_or(&config.job_image);
    let policy = Policy {
        read_only: config.walls.read_only,
        images: Some(config.images()),
    };
    let engine = DockerEngine::at(endpoint, &config.job_user, image)?.with_policy(policy);
    let info = engine.info().await?;
    Ok((Arc::new(engine), info.version))
}

fn process(config: &Config) -> Result<Arc<dyn Engine>, Error> {
    let state = config.work_root.join("processes");
    Ok(Arc::new(ProcessEngine::new(&config.volume_root, &state, &config.job_user)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: &str = "unix:///nowhere/docker.sock";

    fn config(engine: EngineChoice) -> Config {
        let mut config = Config::try_parse_from(["moorline-worker"]).unwrap();
        config.engine = engine;
        config
    }

    #[tokio::test]
    async fn without_docker_auto_takes_local_processes() {
        let engine = choose_at(&config(EngineChoice::Auto), NOWHERE).await.unwrap();
        assert_eq!(engine.info().await.unwrap().kind, "process");
    }

    #[tokio::test]
    async fn docker_by_name_is_docker_or_nothing() {
        let refused = choose_at(&config(EngineChoice::Docker), NOWHERE).await;
        assert!(matches!(refused, Err(Error::Unreachable { endpoint, .. }) if endpoint == NOWHERE));
    }
}
