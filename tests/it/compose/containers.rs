//! The containers, volumes and networks of one fleet, seen through the engine: compose itself doesn't wait, and removes less than a test makes.

use std::collections::HashMap;

use bollard::{
    Docker,
    models::{ContainerSummary, HealthStatusEnum},
    query_parameters::{ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions},
};
use futures::TryStreamExt as _;

/// See the module.
pub struct Containers {
    docker: Docker,
    project: String,
}

/// A container of a service.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub id: String,
    pub name: String,
    /// As its health check has it, or the state that it is in where there is none.
    pub health: String,
}

impl Containers {
    pub fn of(project: &str) -> Self {
        Self {
            docker: Docker::connect_with_defaults().expect("a Docker client"),
            project: project.to_owned(),
        }
    }

    /// Those of a service, in the order of their names.
    pub async fn of_service(&self, service: &str) -> Vec<Seen> {
        let labels = vec![
            format!("com.docker.compose.project={}", self.project),
            format!("com.docker.compose.service={service}"),
        ];
        let mut seen = Vec::new();
        for container in self.list("label", labels).await {
            let id = container.id.expect("an id");
            // Gone between the two questions, perhaps.
            let Ok(inspected) = self.docker.inspect_container(&id, None).await else {
                continue;
            };
            let state = inspected.state.unwrap_or_default();
            let health = state
                .health
                .and_then(|health| health.status)
                .filter(|status| *status != HealthStatusEnum::EMPTY);
            let health = health.map_or_else(|| state.status.map(|status| status.to_string()), |status| Some(status.to_string()));
            let name = inspected.name.unwrap_or_default().trim_start_matches('/').to_owned();
            seen.push(Seen {
                id,
                name,
                health: health.unwrap_or_default(),
            });
        }
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        seen
    }

    /// All that a container has written.
    pub async fn log(&self, id: &str) -> String {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let pieces: Vec<_> = self.docker.logs(id, Some(options)).try_collect().await.unwrap_or_default();
        pieces.into_iter().map(|piece| piece.to_string()).collect()
    }

    /// The address of the engine's own bridge, which every container reaches.
    pub async fn bridge(&self) -> String {
        let bridge = self
            .docker
            .inspect_network("bridge", None)
            .await
            .expect("a Docker engine: start dockerd");
        let ipam = bridge.ipam.and_then(|ipam| ipam.config?.pop()).expect("the bridge's addresses");
        // Older engines tell the subnet only; the host has its first address.
        let first = || Some(ipam.subnet?.split_once("0/")?.0.to_owned() + "1");
        ipam.gateway.or_else(first).expect("the bridge's gateway")
    }

    /// Owner and mode of a volume's root, such as `1000:1000 700`; `None` where there is no such volume.
    pub async fn volume(&self, name: &str) -> Option<String> {
        use std::os::unix::fs::MetadataExt as _;
        let volume = self.docker.inspect_volume(name).await.ok()?;
        let root = std::fs::metadata(volume.mountpoint).ok()?;
        Some(format!("{}:{} {:o}", root.uid(), root.gid(), root.mode() & 0o7777))
    }

    /// Removes the containers that have a volume mounted, or are on a network: jobs, which compose doesn't know.
    pub async fn remove_those_with(&self, kind: &'static str, name: &str) {
        let force = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        for container in self.list(kind, vec![name.to_owned()]).await {
            drop(
                self.docker
                    .remove_container(&container.id.expect("an id"), Some(force.clone()))
                    .await,
            );
        }
    }

    pub async fn remove_volume(&self, name: &str) {
        drop(self.docker.remove_volume(name, None::<RemoveVolumeOptions>).await);
    }

    /// What is left of containers.
    pub async fn left(&self) -> Vec<ContainerSummary> {
        self.list("label", vec![format!("com.docker.compose.project={}", self.project)])
            .await
    }

    async fn list(&self, filter: &str, values: Vec<String>) -> Vec<ContainerSummary> {
        let filters: HashMap<String, Vec<String>> = [(filter.to_owned(), values)].into();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        self.docker.list_containers(Some(options)).await.expect("a Docker engine")
    }
}
