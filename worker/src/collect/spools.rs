//! The spools of all workers with this work root: jobs that one has in hand, or whose end the server hasn't acknowledged.

use std::{collections::BTreeSet, fs, io, path::Path, time::SystemTime};

use crate::{config::Config, spool};

/// Ids of these jobs, by the names of their records alone: one that can't be read counts as well.
pub(super) fn jobs(work_root: &Path) -> io::Result<BTreeSet<String>> {
    let mut jobs = BTreeSet::new();
    let spools = match fs::read_dir(work_root.join("spool")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(jobs),
        spools => spools?,
    };
    for spool in spools {
        let spool = spool?;
        if spool.file_type()?.is_dir() {
            jobs.extend(spool::jobs_in(&spool.path())?);
        }
    }
    Ok(jobs)
}

/// Says which spools nobody has used for long, and that have jobs: they are never removed, since an end may be in there that the server lacks.
pub(super) fn report(config: &Config) {
    let own = config.spool().folder();
    for spool in fs::read_dir(config.work_root.join("spool")).into_iter().flatten().flatten() {
        let path = spool.path();
        let unused = spool.metadata().and_then(|found| found.modified()).ok();
        let unused = unused.and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
        let jobs = spool::jobs_in(&path).map_or(0, |jobs| jobs.len());
        if path != own && jobs > 0 && unused > config.walls.workspace_age {
            tracing::warn!(
                spool = %path.display(), jobs, unused_seconds = unused.as_secs(),
                "a spool with jobs has not been used for long: start a worker of its name once, or remove it if there is none any more"
            );
        }
    }
}
