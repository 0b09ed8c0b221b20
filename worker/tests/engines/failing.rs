//! An engine that fails now and then.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use moorline_worker::engine::{Captured, Container, ContainerSpec, Engine, EngineInfo, Error, Exit, SecretVec, VolumeFacts};
use secrecy::SecretString;

/// A real engine whose first calls of some kinds fail.
#[derive(Debug)]
pub struct Failing {
    engine: Arc<dyn Engine>,
    waits: AtomicU32,
    stops: AtomicU32,
    removes: AtomicU32,
}

impl Failing {
    /// Fails this many waits, stops and removals.
    pub fn new(engine: &Arc<dyn Engine>, waits: u32, stops: u32, removes: u32) -> Self {
        Self {
            engine: engine.clone(),
            waits: waits.into(),
            stops: stops.into(),
            removes: removes.into(),
        }
    }
}

fn fails(left: &AtomicU32) -> Result<(), Error> {
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::Other {
            doing: "do that".to_owned(),
            source: "it fails".into(),
        }),
    }
}

#[async_trait]
impl Engine for Failing {
    async fn info(&self) -> Result<EngineInfo, Error> {
        self.engine.info().await
    }
    async fn volume(&self, name: &str) -> Result<Option<VolumeFacts>, Error> {
        self.engine.volume(name).await
    }
    async fn create_volume(&self, name: &str, owner: &str) -> Result<(), Error> {
        self.engine.create_volume(name, owner).await
    }
    async fn start(&self, spec: &ContainerSpec) -> Result<Container, Error> {
        self.engine.start(spec).await
    }
    async fn wait(&self, container: &Container) -> Result<Exit, Error> {
        fails(&self.waits)?;
        self.engine.wait(container).await
    }
    async fn stop(&self, container: &Container, grace: Duration) -> Result<(), Error> {
        fails(&self.stops)?;
        self.engine.stop(container, grace).await
    }
    async fn remove(&self, container: &Container) -> Result<(), Error> {
        fails(&self.removes)?;
        self.engine.remove(container).await
    }
    async fn list(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Container>, Error> {
        self.engine.list(labels).await
    }
    async fn capture(&self, spec: &ContainerSpec, input: Option<&SecretString>) -> Result<Captured, Error> {
        self.engine.capture(spec, input).await
    }
    async fn read_volume_file(&self, volume: &str, path: &str) -> Result<Option<SecretVec>, Error> {
        self.engine.read_volume_file(volume, path).await
    }
}
