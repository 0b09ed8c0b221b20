//! Containers that an earlier process of this worker has left behind, and that nobody goes on with.
//!
//! Nobody reports their end, and two agents on one login log each other out, so a worker stops and removes what is left before it takes
//! anything. It waits for the server's welcome with that: only then is it certain which jobs it goes on with, and that no other worker, one
//! that still drains for example, holds its name or its volume.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::future::try_join_all;

use crate::{
    config::Config,
    engine::{Container, Engine, Error},
    link::Lease,
    redact::chain,
    stage::{Owner, RunFolder, STOP_GRACE, valid_id},
};

/// What is to be cleared up, and what not.
#[derive(Debug, Clone)]
pub(super) struct Leftovers {
    pub(super) config: Arc<Config>,
    pub(super) engine: Arc<dyn Engine>,
    /// Leases, and runs, that this worker goes on with.
    pub(super) spared: BTreeMap<Lease, String>,
    /// Leases, and runs, that the earlier start had in hand.
    pub(super) recovered: BTreeMap<Lease, String>,
    /// Why it doesn't go on with others, where more is known than that nobody owns them.
    pub(super) why: BTreeMap<Lease, &'static str>,
}

impl Leftovers {
    /// Clears up, and doesn't return before there is nothing left: a worker whose engine can't even list containers can't do jobs either.
    pub(super) async fn clear(self) {
        let mut pauses = pauses();
        while let Err(error) = self.clear_once().await {
            pause(&mut pauses, &error).await;
        }
        for (lease, run_id) in &self.recovered {
            self.clear_folders(lease, run_id).await;
        }
    }

    /// Removes the folders of a job that had no container, or none any more, and is not gone on with.
    async fn clear_folders(&self, lease: &Lease, run_id: &str) {
        let job_spared = self.spared.keys().any(|other| other.job_id == lease.job_id);
        if job_spared || !valid_id(run_id) || !valid_id(&lease.job_id) {
            return;
        }
        let folder = RunFolder::below(&self.config.work_root, run_id, &lease.job_id);
        let run_spared = self.spared.values().any(|other| other == run_id);
        if !folder.private().exists() && (run_spared || !folder.root.exists()) {
            return;
        }
        let owner = Owner {
            job_id: lease.job_id.clone(),
            lease_token: lease.token,
        };
        let root = folder.root.clone();
        let removed = tokio::task::spawn_blocking(move || {
            if folder.root.exists() && folder.is_of_another(&owner)? {
                return Ok(false);
            }
            folder.remove_private()?;
            if !run_spared {
                folder.remove_shared(Some(&owner))?;
            }
            Ok::<_, std::io::Error>(true)
        });
        match removed.await {
            Ok(Ok(true)) => {
                let why = self.why.get(lease).copied().unwrap_or("nobody goes on with it");
                tracing::info!(%run_id, job_id = %lease.job_id, why, "the folders of a job that an earlier start had in hand are removed");
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, folder = %root.display(), "the folders of a job of an earlier start could not be removed: remove them by hand");
            }
            _ => {}
        }
    }

    /// The same with these containers alone.
    pub(super) async fn clear_these(self, containers: Vec<Container>) {
        let mut pauses = pauses();
        while let Err(error) = self.clear_all(&containers).await {
            pause(&mut pauses, &error).await;
        }
    }

    async fn clear_once(&self) -> Result<(), Error> {
        self.clear_all(&self.find().await?).await
    }

    async fn clear_all(&self, left: &[Container]) -> Result<(), Error> {
        try_join_all(left.iter().map(|container| self.clear_one(container))).await?;
        Ok(())
    }

    /// Containers of this worker, and whatever uses its login.
    async fn find(&self) -> Result<Vec<Container>, Error> {
        let mut left = self.list("moorline.worker", &self.config.name).await?;
        // Names are unique among the workers of one server. Another server's, on the same engine, has another work root.
        left.retain(|container| self.folder(container).is_some_and(|folder| folder.root.exists()));
        if let Some(volume) = &self.config.volume {
            left.extend(self.list("moorline.volume", volume).await?);
        }
        left.retain(|container| Lease::of(container).is_none_or(|lease| !self.spared.contains_key(&lease)));
        left.sort_by(|one, other| one.id.cmp(&other.id));
        left.dedup_by(|one, other| one.id == other.id);
        Ok(left)
    }

    async fn list(&self, label: &str, value: &str) -> Result<Vec<Container>, Error> {
        self.engine.list(&BTreeMap::from([(label.to_owned(), value.to_owned())])).await
    }

    async fn clear_one(&self, container: &Container) -> Result<(), Error> {
        let label = |name: &str| container.labels.get(name).map(String::as_str).unwrap_or_default();
        tracing::warn!(
            container = %container.id,
            run_id = label("moorline.run"),
            job_id = label("moorline.job"),
            volume = label("moorline.volume"),
            of_worker = label("moorline.worker"),
            why = self.why(container),
            "an earlier start has left a job's container that nobody goes on with: it is stopped and removed, with its run's folder"
        );
        self.engine.stop(container, STOP_GRACE).await?;
        self.engine.remove(container).await?;
        let Some(folder) = self.folder(container) else {
            return Ok(());
        };
        let root = folder.root.clone();
        // Another job of the same run may be gone on with: the run's folder is its.
        let runs: BTreeSet<&str> = self.spared.values().map(String::as_str).collect();
        let (run_spared, job) = (runs.contains(label("moorline.run")), label("moorline.job"));
        let job_spared = self.spared.keys().any(|lease| lease.job_id == job);
        let owner = Lease::of(container).map(|lease| Owner {
            job_id: lease.job_id,
            lease_token: lease.token,
        });
        let removed = tokio::task::spawn_blocking(move || {
            if !job_spared {
                folder.remove_private()?;
            }
            if run_spared { Ok(()) } else { folder.remove_shared(owner.as_ref()) }
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%error, folder = %root.display(), "the run's folder could not be removed: remove it by hand");
        }
        Ok(())
    }

    fn why(&self, container: &Container) -> &'static str {
        let lease = Lease::of(container);
        let known = lease.as_ref().and_then(|lease| self.why.get(lease).copied());
        let of_job = |lease: &Lease| self.spared.keys().chain(self.why.keys()).any(|other| other.job_id == lease.job_id);
        match (known, lease) {
            (Some(why), _) => why,
            (None, Some(lease)) if of_job(&lease) => "its lease is older than the job's",
            (None, _) if container.labels.get("moorline.worker") != Some(&self.config.name) => {
                "another worker left it with this worker's login"
            }
            (None, _) => "no job that this worker has in hand is its",
        }
    }

    /// The folders that its labels name.
    fn folder(&self, container: &Container) -> Option<RunFolder> {
        let id = |name: &str| container.labels.get(name).filter(|id| valid_id(id));
        Some(RunFolder::below(&self.config.work_root, id("moorline.run")?, id("moorline.job")?))
    }
}

fn pauses() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::new()
        .with_max_delay(Duration::from_secs(30))
        .without_max_times();
    pauses.build()
}

async fn pause(pauses: &mut ExponentialBackoff, error: &Error) {
    let pause = pauses.next().unwrap_or_default();
    let error = chain(error);
    tracing::error!(%error, pause_ms = pause.as_millis(), "can't clear up what an earlier start has left; no jobs are taken until then");
    tokio::time::sleep(pause).await;
}

impl Lease {
    /// The lease that a container was started under, as its labels say.
    pub(super) fn of(container: &Container) -> Option<Self> {
        let label = |name: &str| container.labels.get(name);
        Some(Self::new(label("moorline.job")?, label("moorline.lease")?.parse().ok()?))
    }
}
