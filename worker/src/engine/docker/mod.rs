//! Jobs in Docker containers, through the Engine API 1.41 and later.

mod capture;
mod error;
mod folders;
mod left;
mod policy;
mod spec;
mod temporary;
mod volume;
mod wait;

use std::{collections::BTreeMap, path::Path, time::Duration};

use async_trait::async_trait;
use bollard::{
    Docker,
    query_parameters::{
        InspectContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    },
};
use secrecy::SecretString;

pub use self::policy::Policy;
use self::temporary::Temporary;
use super::{Captured, Container, ContainerSpec, Engine, EngineInfo, Error, Exit, SecretVec, VolumeFacts, user::User};
use crate::{
    tree::{Tree, Whole},
    variables::DOCKER_HOST,
};

/// The oldest API that has all that is used here.
const OLDEST_API: (u32, u32) = (1, 41);

/// Docker, or an engine that speaks its API.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    docker: Docker,
    endpoint: String,
    user: User,
    helper_image: String,
    policy: Policy,
    /// Labels that whatever is swept has to have.
    swept: Vec<String>,
}

impl DockerEngine {
    /// Makes a client for `DOCKER_HOST`, or else the engine's usual socket. Containers run as `user` (`uid:gid`); `helper_image` is what
    /// volumes are looked into with, by containers that are never started.
    pub fn connect(user: &str, helper_image: &str) -> Result<Self, Error> {
        Self::at(&Self::endpoint(), user, helper_image)
    }

    /// Where the engine is looked for: `DOCKER_HOST`, or else its usual socket.
    pub fn endpoint() -> String {
        DOCKER_HOST.read_or_default()
    }

    /// Makes a client for an endpoint such as `unix:///var/run/docker.sock`.
    pub fn at(endpoint: &str, user: &str, helper_image: &str) -> Result<Self, Error> {
        Ok(Self {
            docker: Docker::connect_with_host(endpoint).map_err(|source| error::of(endpoint, "connect", source))?,
            endpoint: endpoint.to_owned(),
            user: user.parse().map_err(|source| error::other("read the job user", source))?,
            helper_image: helper_image.to_owned(),
            policy: Policy::default(),
            swept: vec![spec::short_filter()],
        })
    }

    /// The same with what its containers may be.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The same for one that sweeps only what has this label too, such as `name=value`: where others sweep for themselves.
    pub fn sweeping_only(mut self, label: &str) -> Self {
        self.swept.push(label.to_owned());
        self
    }

    fn error(&self, doing: &str, source: bollard::errors::Error) -> Error {
        error::of(&self.endpoint, doing, source)
    }
}

#[async_trait]
impl Engine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, Error> {
        let version = self
            .docker
            .version()
            .await
            .map_err(|source| self.error("tell its version", source))?;
        let api = version.api_version.unwrap_or_default();
        if api_number(&api).is_none_or(|number| number < OLDEST_API) {
            let (major, minor) = OLDEST_API;
            let needed = format!("its API is {api:?}, {major}.{minor} is needed: install Docker Engine 20.10 or later");
            return Err(error::other("be used", needed));
        }
        Ok(EngineInfo {
            kind: "docker",
            version: format!("{} (API {api})", version.version.unwrap_or_default()),
        })
    }

    async fn volume(&self, name: &str) -> Result<Option<VolumeFacts>, Error> {
        self.volume_facts(name).await
    }

    async fn create_volume(&self, name: &str, owner: &str) -> Result<(), Error> {
        self.new_volume(name, owner).await
    }

    async fn has_network(&self, name: &str) -> Result<bool, Error> {
        self.finds_network(name).await
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<Container, Error> {
        self.require_volume(spec).await?;
        let temporary = Temporary::create(self, &spec.name, spec::job(spec, self.user, &self.policy)).await?;
        if let Err(source) = self.docker.start_container(temporary.id(), None).await {
            temporary.remove().await;
            return Err(self.not_started(spec, source).await);
        }
        Ok(Container {
            id: temporary.keep(),
            labels: spec.labels.clone(),
        })
    }

    async fn wait(&self, container: &Container) -> Result<Exit, Error> {
        self.wait_for(&container.id).await
    }

    async fn written(&self, container: &Container) -> Result<u64, Error> {
        if self.policy.read_only {
            return Ok(0);
        }
        let options = InspectContainerOptionsBuilder::new().size(true).build();
        let found = self.docker.inspect_container(&container.id, Some(options)).await;
        let found = found.map_err(|source| self.error("measure a container", source))?;
        Ok(found.size_rw.and_then(|bytes| bytes.try_into().ok()).unwrap_or(0))
    }

    async fn stop(&self, container: &Container, grace: Duration) -> Result<(), Error> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        // The engine answers only when the container has ended, so the client must be more patient than the grace.
        let docker = self.docker.clone().with_timeout(grace + Duration::from_secs(60));
        let stopped = docker.stop_container(&container.id, Some(options)).await;
        error::unless(stopped, &[304, 404]).map_err(|source| self.error("stop a container", source))
    }

    async fn remove(&self, container: &Container) -> Result<(), Error> {
        // Anonymous volumes of the image go with it; named ones stay.
        let options = RemoveContainerOptionsBuilder::new().v(true).force(true).build();
        let removed = self.docker.remove_container(&container.id, Some(options)).await;
        error::unless(removed, &[404]).map_err(|source| self.error("remove a container", source))
    }

    async fn list(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Container>, Error> {
        let wanted = std::iter::once(spec::job_filter()).chain(labels.iter().map(|(key, value)| format!("{key}={value}")));
        let filters = std::collections::HashMap::from([("label".to_owned(), wanted.collect())]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await;
        let found = found.map_err(|source| self.error("list containers", source))?;
        Ok(found.into_iter().filter_map(spec::container).collect())
    }

    async fn ended(&self, age: Duration) -> Result<Vec<Container>, Error> {
        self.ended_jobs(age).await
    }

    async fn sweep(&self, age: Duration) -> Result<Vec<String>, Error> {
        self.sweep_short(age).await
    }

    async fn capture(&self, spec: &ContainerSpec, input: Option<&SecretString>) -> Result<Captured, Error> {
        self.require_volume(spec).await?;
        self.run_short(spec, input).await
    }

    async fn read_folders(&self, image: &str, root: &Path, folders: &[&str], whole: Whole) -> Result<Tree, Error> {
        self.folders_of_image(image, root, folders, whole).await
    }

    async fn read_volume_file(&self, volume: &str, path: &str) -> Result<Option<SecretVec>, Error> {
        self.file_of_volume(volume, path).await
    }
}

fn api_number(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_versions_compare_by_number_and_not_by_text() {
        assert!(api_number("1.9").unwrap() < OLDEST_API);
        assert!(api_number("1.41").unwrap() >= OLDEST_API);
        assert!(api_number("2.0").unwrap() >= OLDEST_API);
        assert_eq!(api_number("new"), None);
    }
}
