//! Containers that must not stay behind, whatever becomes of who made them.

use std::time::{Duration, SystemTime};

use bollard::{
    Docker,
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
};

use super::{DockerEngine, error, spec};
use crate::engine::Error;

/// Short commands end long before this age; an older one was left by a worker that was killed.
const OLD: Duration = Duration::from_secs(3600);

/// A container that is removed when this is dropped, running or not, unless it is kept.
pub(super) struct Temporary {
    docker: Docker,
    id: Option<String>,
}

impl Temporary {
    /// Creates a container without starting it. A caller that goes away meanwhile doesn't interrupt this: the engine would go on
    /// creating what nobody then removes.
    pub(super) async fn create(engine: &DockerEngine, name: &str, body: ContainerCreateBody) -> Result<Self, Error> {
        let (engine, name) = (engine.clone(), name.to_owned());
        let created = tokio::spawn(async move { Self::create_uninterrupted(&engine, &name, body).await });
        created.await.map_err(|source| error::other("create a container", source))?
    }

    async fn create_uninterrupted(engine: &DockerEngine, name: &str, body: ContainerCreateBody) -> Result<Self, Error> {
        let image = body.image.clone().unwrap_or_default();
        engine.policy.permit(&image)?;
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        match engine.docker.create_container(Some(options), body).await {
            Ok(created) => Ok(Self {
                docker: engine.docker.clone(),
                id: Some(created.id),
            }),
            Err(source) if error::status(&source) == Some(404) && source.to_string().contains("No such image") => {
                Err(Error::ImageMissing { image })
            }
            Err(source) => Err(engine.error(&format!("create the container {name}"), source)),
        }
    }

    /// The engine's id for it.
    pub(super) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// Lets it stay.
    pub(super) fn keep(mut self) -> String {
        self.id.take().unwrap_or_default()
    }

    /// Removes it now; [`Drop`] would do so later.
    pub(super) async fn remove(mut self) {
        if let Some(id) = self.id.take() {
            remove(&self.docker, &id).await;
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A caller that is cancelled can't await; outside a runtime its process is ending, and the next worker's sweep finds it.
        if let (Some(id), Ok(runtime)) = (self.id.take(), tokio::runtime::Handle::try_current()) {
            let docker = self.docker.clone();
            runtime.spawn(async move { remove(&docker, &id).await });
        }
    }
}

impl DockerEngine {
    /// Removes short commands' containers that a killed worker has left behind, on this machine or another with the same engine.
    pub async fn sweep(&self) {
        let filters = std::collections::HashMap::from([("label".to_owned(), vec![format!("{}={}", spec::KIND, spec::SHORT)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await.unwrap_or_default();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        for container in found {
            let created = Duration::from_secs(container.created.and_then(|time| time.try_into().ok()).unwrap_or(u64::MAX));
            if let (true, Some(id)) = (created.saturating_add(OLD) < now, container.id) {
                remove(&self.docker, &id).await;
            }
        }
    }
}

async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    // 409: somebody else is removing it already.
    if let Err(error) = error::unless(docker.remove_container(id, Some(options)).await, &[404, 409]) {
        tracing::warn!(container = id, %error, "a short-lived container could not be removed; the next start of a worker tries again");
    }
}
