//! Jobs as local processes, for machines without Docker, and inside pods.
//!
//! A container is a session of processes under a small shell that outlives the worker and writes down how the job ended; a volume
//! is a folder. Of the limits only time is kept, and there are no walls between jobs but file permissions: a worker that is root runs
//! them as the job user, any other as itself. All of them are one user: a job that knows another run's id can read its folder. A read-only mount, or
//! root, can't be enforced, nor can a network or an image be chosen.

mod access;
mod capture;
mod members;
mod record;
mod supervise;
mod volume;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::time::timeout;

use self::record::Record;
use super::{
    Captured, Container, ContainerSpec, Engine, EngineInfo, Error, Exit, SecretVec, VolumeFacts, limit,
    user::{User, is_root},
};
use crate::tree::{Tree, Whole};

/// Variable that marks every process of a container with the container's folder, so that none escapes by leaving the session.
const MARK: &str = "MOORLINE_CONTAINER";

/// Local processes.
#[derive(Debug, Clone)]
pub struct ProcessEngine {
    volumes: PathBuf,
    containers: PathBuf,
    /// Who jobs run as; `None` leaves them the worker's own user.
    user: Option<User>,
}

impl ProcessEngine {
    /// Makes an engine whose volumes are folders in `volumes`, and which keeps what it knows of containers in `containers`; both are
    /// absolute. `user` (`uid:gid`) counts only for a worker that is root.
    pub fn new(volumes: &Path, containers: &Path, user: &str) -> Result<Self, Error> {
        let user: User = user.parse().map_err(|source| other("read the job user", source))?;
        Ok(Self {
            volumes: volumes.to_owned(),
            containers: containers.to_owned(),
            user: is_root().then_some(user),
        })
    }

    fn record(&self, id: &str) -> Record {
        Record::at(self.containers.join(id))
    }
}

#[async_trait]
impl Engine for ProcessEngine {
    async fn info(&self) -> Result<EngineInfo, Error> {
        for program in ["setsid", "setpriv", "timeout", "sh"] {
            access::find(program)?;
        }
        Ok(EngineInfo {
            kind: "process",
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    async fn volume(&self, name: &str) -> Result<Option<VolumeFacts>, Error> {
        self.volume_facts(name)
    }

    async fn create_volume(&self, name: &str, owner: &str) -> Result<(), Error> {
        self.new_volume(name, owner)
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<Container, Error> {
        self.check(spec)?;
        let link = self.link(spec)?;
        let record = self.record(&spec.name);
        record
            .create(spec, link)
            .map_err(|source| other("keep a record of a container", source))?;
        if let Err(error) = supervise::start(self, spec, &record).await {
            record.remove();
            return Err(error);
        }
        Ok(Container {
            id: spec.name.clone(),
            labels: spec.labels.clone(),
        })
    }

    async fn wait(&self, container: &Container) -> Result<Exit, Error> {
        let record = self.record(&container.id);
        record.ended().await.map_err(|source| other("wait for a process", source))?;
        // As a container's end would: nothing that it has started outlives it.
        record.kill_members();
        record.exit().map_err(|source| other("tell how a process ended", source))
    }

    async fn stop(&self, container: &Container, grace: Duration) -> Result<(), Error> {
        let record = self.record(&container.id);
        record.terminate();
        if timeout(grace, record.ended()).await.is_err() {
            record.kill_members();
        }
        let ended = record.ended().await;
        record.kill_members();
        ended.map_err(|source| other("stop a process", source))
    }

    async fn remove(&self, container: &Container) -> Result<(), Error> {
        let record = self.record(&container.id);
        if record.supervisor().is_some() {
            self.stop(container, Duration::ZERO).await?;
        }
        record.kill_members();
        record.remove();
        Ok(())
    }

    async fn list(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Container>, Error> {
        record::list(&self.containers, labels).map_err(|source| other("list containers", source))
    }

    async fn ended(&self, age: Duration) -> Result<Vec<Container>, Error> {
        let all = record::list(&self.containers, &BTreeMap::new()).map_err(|source| other("list containers", source))?;
        Ok(all
            .into_iter()
            .filter(|container| self.record(&container.id).has_ended(age))
            .collect())
    }

    async fn capture(&self, spec: &ContainerSpec, input: Option<&SecretString>) -> Result<Captured, Error> {
        self.check(spec)?;
        let captured = capture::run(self, spec, input).await?;
        match limit::missing_program(&spec.argv, captured.exit, &captured.stderr) {
            Some(program) => Err(Error::ProgramMissing { program }),
            None => Ok(captured),
        }
    }

    async fn read_folders(&self, _: &str, root: &Path, _: &[&str], whole: Whole) -> Result<Tree, Error> {
        Tree::of_folder(root, whole).map_err(|source| other(&format!("read {}", root.display()), source))
    }

    async fn read_volume_file(&self, volume: &str, path: &str) -> Result<Option<SecretVec>, Error> {
        self.file_of_volume(volume, path)
    }
}

fn other(doing: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Other {
        doing: doing.to_owned(),
        source: source.into(),
    }
}
