//! What has been left behind on the engine, by whichever worker.

use std::{collections::HashMap, time::Duration};

use bollard::{
    models::ContainerSummary,
    query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptions},
};
use chrono::{DateTime, Utc};

use super::{DockerEngine, error, spec, temporary};
use crate::engine::{Container, Error};

/// Short commands end long before this age; an older one was left by a worker that was killed.
const OLD: Duration = Duration::from_secs(3600);

impl DockerEngine {
    /// Jobs' containers that have ended so long ago. One that was never started has ended when it was made.
    pub(super) async fn ended_jobs(&self, age: Duration) -> Result<Vec<Container>, Error> {
        let mut ended = Vec::new();
        for summary in self
            .containers(vec![spec::job_filter()], Some(["exited", "dead", "created"]))
            .await?
        {
            let Some(id) = summary.id.clone() else { continue };
            let state = match self.docker.inspect_container(&id, None).await {
                Ok(found) => found.state.unwrap_or_default(),
                // Removed meanwhile.
                Err(source) if error::status(&source) == Some(404) => continue,
                Err(source) => return Err(self.error("inspect a container", source)),
            };
            let made = summary.created.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            let at = time(state.finished_at.as_deref()).filter(|at| at.timestamp() > 0).or(made);
            if !state.running.unwrap_or(false) && at.is_some_and(|at| is_old(at, age)) {
                ended.extend(spec::container(summary));
            }
        }
        Ok(ended)
    }

    /// Removes short commands' containers, and unused volumes with their label.
    pub(super) async fn sweep_short(&self, age: Duration) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for container in self.containers(self.swept.clone(), None).await? {
            let made = container.created.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            if let (true, Some(id)) = (made.is_some_and(|made| is_old(made, OLD)), container.id) {
                temporary::remove(&self.docker, &id).await;
                removed.push(container.names.unwrap_or_default().concat());
            }
        }
        let filters = HashMap::from([("label", self.swept.clone()), ("dangling", vec!["true".to_owned()])]);
        let filters: HashMap<String, Vec<String>> = filters.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let found = self.docker.list_volumes(Some(options)).await;
        let found = found.map_err(|source| self.error("list volumes", source))?;
        for volume in found.volumes.unwrap_or_default() {
            let made = volume.created_at.as_ref().and_then(|at| time(Some(&at.to_string())));
            if !made.is_some_and(|made| is_old(made, age)) {
                continue;
            }
            // Without force: one that is in use by now stays.
            match self.docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await {
                Ok(()) => removed.push(volume.name),
                Err(error) => tracing::debug!(volume = %volume.name, %error, "a volume of short commands stays"),
            }
        }
        Ok(removed)
    }

    async fn containers(&self, labels: Vec<String>, status: Option<[&str; 3]>) -> Result<Vec<ContainerSummary>, Error> {
        let mut filters = HashMap::from([("label".to_owned(), labels)]);
        if let Some(status) = status {
            filters.insert("status".to_owned(), status.map(str::to_owned).to_vec());
        }
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await;
        found.map_err(|source| self.error("list containers", source))
    }
}

fn time(text: Option<&str>) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text?).ok()?.to_utc())
}

fn is_old(at: DateTime<Utc>, age: Duration) -> bool {
    (Utc::now() - at).to_std().is_ok_and(|since| since >= age)
}
