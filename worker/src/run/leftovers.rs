//! Containers that an earlier process of this worker has left behind.
//!
//! A job's container outlives its worker. Nobody reports its end any more, and two agents on one login log each other out, so a worker
//! stops and removes what is left before it takes anything. It waits for the server's welcome with that: only then is it certain that no
//! other worker, one that still drains for example, holds its name or its volume.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::try_join_all;

use crate::{
    config::Config,
    engine::{Container, Engine, Error},
    redact::chain,
    stage::{RunFolder, STOP_GRACE, valid_id},
};

/// Clears up, and doesn't return before there is nothing left: a worker whose engine can't even list containers can't do jobs either.
pub(super) async fn clear(config: Arc<Config>, engine: Arc<dyn Engine>) {
    let pauses = ExponentialBuilder::new()
        .with_max_delay(Duration::from_secs(30))
        .without_max_times();
    let mut pauses = pauses.build();
    while let Err(error) = clear_once(&config, &engine).await {
        let pause = pauses.next().unwrap_or_default();
        let error = chain(&error);
        tracing::error!(%error, pause_ms = pause.as_millis(), "can't clear up what an earlier start has left; no jobs are taken until then");
        tokio::time::sleep(pause).await;
    }
}

async fn clear_once(config: &Config, engine: &Arc<dyn Engine>) -> Result<(), Error> {
    let left = find(config, engine.as_ref()).await?;
    try_join_all(left.iter().map(|container| clear_one(config, engine.as_ref(), container))).await?;
    Ok(())
}

/// Containers of this worker, and whatever uses its login.
async fn find(config: &Config, engine: &dyn Engine) -> Result<Vec<Container>, Error> {
    let mut left = list(engine, "moorline.worker", &config.name).await?;
    // Names are unique among the workers of one server. Another server's, on the same engine, has another work root.
    left.retain(|container| folder(config, container).is_some_and(|folder| folder.root.exists()));
    if let Some(volume) = &config.volume {
        left.extend(list(engine, "moorline.volume", volume).await?);
    }
    left.sort_by(|one, other| one.id.cmp(&other.id));
    left.dedup_by(|one, other| one.id == other.id);
    Ok(left)
}

async fn list(engine: &dyn Engine, label: &str, value: &str) -> Result<Vec<Container>, Error> {
    engine.list(&BTreeMap::from([(label.to_owned(), value.to_owned())])).await
}

async fn clear_one(config: &Config, engine: &dyn Engine, container: &Container) -> Result<(), Error> {
    let label = |name: &str| container.labels.get(name).map(String::as_str).unwrap_or_default();
    tracing::warn!(
        container = %container.id,
        run_id = label("moorline.run"),
        job_id = label("moorline.job"),
        volume = label("moorline.volume"),
        "an earlier start has left a job's container: it is stopped and removed, with its run's folder"
    );
    engine.stop(container, STOP_GRACE).await?;
    engine.remove(container).await?;
    let Some(folder) = folder(config, container) else {
        return Ok(());
    };
    let root = folder.root.clone();
    let removed = tokio::task::spawn_blocking(move || folder.remove_private().and_then(|()| folder.remove_shared()));
    if let Ok(Err(error)) = removed.await {
        tracing::warn!(%error, folder = %root.display(), "the run's folder could not be removed: remove it by hand");
    }
    Ok(())
}

/// The folders that its labels name.
fn folder(config: &Config, container: &Container) -> Option<RunFolder> {
    let id = |name: &str| container.labels.get(name).filter(|id| valid_id(id));
    Some(RunFolder::below(&config.work_root, id("moorline.run")?, id("moorline.job")?))
}
