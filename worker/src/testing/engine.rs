//! An engine for what needs none.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::engine::{Captured, Container, ContainerSpec, Engine, EngineInfo, Error, Exit, SecretVec, VolumeFacts};

/// Has nothing, and refuses everything.
#[derive(Debug)]
pub(crate) struct Idle;

fn unused<T>() -> Result<T, Error> {
    Err(Error::ProgramMissing {
        program: "engine".to_owned(),
    })
}

#[async_trait]
impl Engine for Idle {
    async fn info(&self) -> Result<EngineInfo, Error> {
        unused()
    }
    async fn volume(&self, _: &str) -> Result<Option<VolumeFacts>, Error> {
        unused()
    }
    async fn create_volume(&self, _: &str, _: &str) -> Result<(), Error> {
        unused()
    }
    async fn start(&self, _: &ContainerSpec) -> Result<Container, Error> {
        unused()
    }
    async fn wait(&self, _: &Container) -> Result<Exit, Error> {
        unused()
    }
    async fn stop(&self, _: &Container, _: Duration) -> Result<(), Error> {
        unused()
    }
    async fn remove(&self, _: &Container) -> Result<(), Error> {
        unused()
    }
    async fn list(&self, _: &BTreeMap<String, String>) -> Result<Vec<Container>, Error> {
        Ok(Vec::new())
    }
    async fn capture(&self, _: &ContainerSpec, _: Option<&SecretString>) -> Result<Captured, Error> {
        unused()
    }
    async fn read_volume_file(&self, _: &str, _: &str) -> Result<Option<SecretVec>, Error> {
        unused()
    }
}

/// Has containers to look at, and nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Shelf(pub(crate) Arc<Mutex<Vec<Container>>>);

#[async_trait]
impl Engine for Shelf {
    async fn info(&self) -> Result<EngineInfo, Error> {
        unused()
    }
    async fn volume(&self, _: &str) -> Result<Option<VolumeFacts>, Error> {
        unused()
    }
    async fn create_volume(&self, _: &str, _: &str) -> Result<(), Error> {
        unused()
    }
    async fn start(&self, _: &ContainerSpec) -> Result<Container, Error> {
        unused()
    }
    async fn wait(&self, _: &Container) -> Result<Exit, Error> {
        unused()
    }
    async fn stop(&self, _: &Container, _: Duration) -> Result<(), Error> {
        unused()
    }
    async fn remove(&self, _: &Container) -> Result<(), Error> {
        unused()
    }
    async fn list(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Container>, Error> {
        let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bears = |container: &&Container| labels.iter().all(|(key, value)| container.labels.get(key) == Some(value));
        Ok(shelf.iter().filter(bears).cloned().collect())
    }
    async fn capture(&self, _: &ContainerSpec, _: Option<&SecretString>) -> Result<Captured, Error> {
        unused()
    }
    async fn read_volume_file(&self, _: &str, _: &str) -> Result<Option<SecretVec>, Error> {
        unused()
    }
}

/// Has one container, which never ends and can't be ended.
#[derive(Debug, Default)]
pub(crate) struct Stubborn {
    stops: AtomicU32,
}

impl Stubborn {
    pub(crate) fn container() -> Container {
        Container {
            id: "stubborn".to_owned(),
            labels: BTreeMap::new(),
        }
    }

    /// How often it was told to stop it.
    pub(crate) fn stops(&self) -> u32 {
        self.stops.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Engine for Stubborn {
    async fn info(&self) -> Result<EngineInfo, Error> {
        unused()
    }
    async fn volume(&self, _: &str) -> Result<Option<VolumeFacts>, Error> {
        unused()
    }
    async fn create_volume(&self, _: &str, _: &str) -> Result<(), Error> {
        unused()
    }
    async fn start(&self, _: &ContainerSpec) -> Result<Container, Error> {
        unused()
    }
    async fn wait(&self, _: &Container) -> Result<Exit, Error> {
        std::future::pending().await
    }
    async fn stop(&self, _: &Container, _: Duration) -> Result<(), Error> {
        self.stops.fetch_add(1, Ordering::SeqCst);
        unused()
    }
    async fn remove(&self, _: &Container) -> Result<(), Error> {
        unused()
    }
    async fn list(&self, _: &BTreeMap<String, String>) -> Result<Vec<Container>, Error> {
        Ok(vec![Self::container()])
    }
    async fn capture(&self, _: &ContainerSpec, _: Option<&SecretString>) -> Result<Captured, Error> {
        unused()
    }
    async fn read_volume_file(&self, _: &str, _: &str) -> Result<Option<SecretVec>, Error> {
        unused()
    }
}
