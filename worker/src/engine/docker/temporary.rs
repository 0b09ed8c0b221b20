//! Containers that must not stay behind, whatever becomes of who made them.

use bollard::{
    Docker,
    models::ContainerCreateBody,
    query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder},
};

use super::{DockerEngine, error};
use crate::engine::Error;

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

pub(super) async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    // 409: somebody else is removing it already.
    if let Err(error) = error::unless(docker.remove_container(id, Some(options)).await, &[404, 409]) {
        tracing::warn!(container = id, %error, "a short-lived container could not be removed; a worker of this engine tries again");
    }
}
