//! What is left behind and nobody goes on with, removed by age, and by a quota from the oldest on.
//!
//! Several workers may have one work root, and their containers outlive them. So a folder or container is nobody's only where no spool of this
//! work root names its job and, for a folder, no container of the run is there. That is looked at again under the lock that a job takes before
//! it uses its folders. Auth volumes are never touched.

mod folders;
mod spools;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::Duration,
};

use self::folders::Folder;
use crate::{
    config::{Config, meet},
    disk,
    engine::{Engine, Error},
    redact::chain,
};

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(600);

/// What is younger than that stays, however much there is: it may be on its way out by itself.
const YOUNG: Duration = Duration::from_secs(600);

/// Label with the work root of a job's container: only who shares it knows whose it is.
pub const ROOT: &str = "moorline.work-root";

/// What was removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Folders of runs, jobs and logins.
    pub folders: usize,
    /// Bytes that these took.
    pub bytes: u64,
    /// Ended containers of jobs.
    pub containers: usize,
    /// Containers and volumes of short commands.
    pub short: usize,
}

/// Collects for one worker.
#[derive(Debug)]
pub struct Collector {
    config: Arc<Config>,
    engine: Arc<dyn Engine>,
}

impl Collector {
    /// For the work root of these settings.
    pub fn new(config: &Arc<Config>, engine: &Arc<dyn Engine>) -> Self {
        Self {
            config: config.clone(),
            engine: engine.clone(),
        }
    }

    /// Collects now and from time to time, for ever.
    pub async fn run(self) {
        spools::report(&self.config);
        loop {
            self.collect().await;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Collects once. What can't be removed is said, and stays for the next time.
    pub async fn collect(&self) -> Collected {
        let mut collected = Collected::default();
        match self.engine.sweep(self.config.walls.workspace_age).await {
            Ok(names) => {
                names
                    .iter()
                    .for_each(|name| tracing::info!(%name, "what a short command has left is removed"));
                collected.short = names.len();
            }
            Err(error) => tracing::debug!(error = %chain(&error), "the engine can't be swept"),
        }
        match self.containers().await {
            Ok(containers) => collected.containers = containers,
            Err(error) => tracing::warn!(error = %chain(&error), "ended containers can't be looked for; they are at the next time"),
        }
        match self.at_work().await {
            Ok(at_work) => (collected.folders, collected.bytes) = self.folders(at_work).await,
            // Whose folders they are can't be known then.
            Err(error) => tracing::warn!(error = %chain(&error), "folders are not looked through, since the engine doesn't say what runs"),
        }
        collected
    }

    /// Removes jobs' containers that have ended long ago, and that no spool knows.
    async fn containers(&self) -> Result<usize, Error> {
        let (age, root) = (self.config.walls.workspace_age, self.config.work_root.display().to_string());
        let mut removed = 0;
        for container in self.engine.ended(age).await? {
            let label = |name: &str| container.labels.get(name).map(String::as_str).unwrap_or_default();
            let known = || spools::jobs(&self.config.work_root).map(|jobs| jobs.contains(label("moorline.job")));
            if label(ROOT) != root || known().unwrap_or(true) {
                continue;
            }
            self.engine.remove(&container).await?;
            removed += 1;
            tracing::info!(
                container = %container.id,
                run_id = label("moorline.run"),
                job_id = label("moorline.job"),
                of_worker = label("moorline.worker"),
                "a container that ended long ago, and that nobody goes on with, is removed"
            );
        }
        Ok(removed)
    }

    /// Runs that have a container, running or ended.
    async fn at_work(&self) -> Result<BTreeSet<String>, Error> {
        let containers = self.engine.list(&BTreeMap::new()).await?;
        Ok(containers
            .into_iter()
            .filter_map(|mut container| container.labels.remove("moorline.run"))
            .collect())
    }

    async fn folders(&self, at_work: BTreeSet<String>) -> (usize, u64) {
        let config = self.config.clone();
        let collected = tokio::task::spawn_blocking(move || clear(&config, &at_work)).await;
        collected.map_err(io::Error::other).flatten().unwrap_or_else(|error| {
            tracing::warn!(%error, folder = %self.config.work_root.display(), "the work root can't be looked through");
            (0, 0)
        })
    }
}

/// Removes folders: first those that are too old, then the oldest while the others take more than the quota.
fn clear(config: &Config, at_work: &BTreeSet<String>) -> io::Result<(usize, u64)> {
    let (root, walls) = (&config.work_root, &config.walls);
    folders::empty_trash(root, &config.volume_root);
    let mut found = folders::find(root, at_work, &spools::jobs(root)?)?;
    found.retain(|folder| !meet(&folder.path, &config.volume_root));
    found.sort_by_key(|folder| std::cmp::Reverse(folder.age));
    let mut left: u64 = 0;
    let measured: Vec<(Folder, u64)> = found
        .into_iter()
        .map(|folder| {
            let bytes = disk::taken(&folder.path, u64::MAX).unwrap_or(0);
            left = left.saturating_add(bytes);
            (folder, bytes)
        })
        .collect();
    let (mut folders, mut freed) = (0, 0);
    for (folder, bytes) in measured {
        let too_old = folder.age >= walls.workspace_age.max(folder.least());
        let too_much = walls.workspace_bytes > 0 && left > walls.workspace_bytes && folder.age >= YOUNG.max(folder.least());
        let why = match (too_old, too_much) {
            (true, _) => "it is older than MOORLINE_WORKSPACE_MAX_AGE",
            (_, true) => "such folders take more than MOORLINE_WORKSPACE_QUOTA_MIB, and it is the oldest",
            _ => continue,
        };
        match folder.remove(root) {
            Ok(true) => {
                let (path, age) = (folder.path.display(), folder.age.as_secs());
                tracing::info!(folder = %path, bytes, age_seconds = age, why, "a folder that nobody goes on with is removed");
                (folders, freed, left) = (folders + 1, freed + bytes, left.saturating_sub(bytes));
            }
            // Somebody's, by now.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, folder = %folder.path.display(), "a folder that nobody goes on with can't be removed: remove it by hand")
            }
        }
    }
    Ok((folders, freed))
}

#[cfg(test)]
mod tests;
