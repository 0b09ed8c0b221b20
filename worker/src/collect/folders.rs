//! Folders below the work root that nobody has in hand.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::spools;
use crate::{
    config::meet,
    disk,
    stage::{owner_of, set_aside, trash},
};

/// What a folder is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// `runs/<run>`
    Run(String),
    /// `git/<run>/<job>`
    Job(String, String),
    /// `logins/<login>`, and files that a start has tried the work root with.
    Passing,
}

/// One that is nobody's, as far as can be seen without a lock.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    pub(super) age: Duration,
}

/// Nothing that passes takes longer, a login by device code included.
const PASSED: Duration = Duration::from_secs(3600);

impl Folder {
    /// The age below which it may be somebody's for want of a lock.
    pub(super) fn least(&self) -> Duration {
        if self.kind == Kind::Passing { PASSED } else { Duration::ZERO }
    }

    /// Removes it, unless it is somebody's by now.
    pub(super) fn remove(&self, root: &Path) -> io::Result<bool> {
        let (run, job) = match &self.kind {
            Kind::Run(run) => (run, None),
            Kind::Job(run, job) => (run, Some(job)),
            Kind::Passing if self.path.is_dir() => return disk::remove(&self.path).map(|()| true),
            Kind::Passing => return fs::remove_file(&self.path).map(|()| true),
        };
        let moved = set_aside(root, run, &self.path, |owner| {
            let jobs = spools::jobs(root)?;
            let owned = owner.is_some_and(|owner| jobs.contains(&owner.job_id));
            Ok(match job {
                Some(job) => jobs.contains(job),
                None => owned,
            })
        })?;
        if let (Some(_), Some(parent)) = (job, self.path.parent()) {
            // It goes with the run's last job.
            let _ = fs::remove_dir(parent);
        }
        moved.map_or(Ok(false), |moved| disk::remove(&moved).map(|()| true))
    }
}

/// Folders of runs and jobs that no spool names and that have no container, and what logins have left.
pub(super) fn find(root: &Path, at_work: &BTreeSet<String>, in_hand: &BTreeSet<String>) -> io::Result<Vec<Folder>> {
    let mut found = Vec::new();
    for run in names(&root.join("runs"))?
        .into_iter()
        .filter(|run| made(run) && !at_work.contains(run))
    {
        let owned = owner_of(root, &run)?.is_some_and(|owner| in_hand.contains(&owner.job_id));
        if !owned {
            found.extend(folder(root.join("runs").join(&run), Kind::Run(run)));
        }
    }
    for run in names(&root.join("git"))?
        .into_iter()
        .filter(|run| made(run) && !at_work.contains(run))
    {
        let jobs = root.join("git").join(&run);
        for job in names(&jobs)?.into_iter().filter(|job| made(job) && !in_hand.contains(job)) {
            found.extend(folder(jobs.join(&job), Kind::Job(run.clone(), job)));
        }
    }
    for login in names(&root.join("logins"))?.into_iter().filter(|login| made(login)) {
        found.extend(folder(root.join("logins").join(login), Kind::Passing));
    }
    for tried in names(root)?
        .into_iter()
        .filter(|name| name.strip_prefix(".moorline-").is_some_and(made))
    {
        found.extend(folder(root.join(tried), Kind::Passing));
    }
    Ok(found)
}

/// What a worker that was killed over it has left of an earlier time.
pub(super) fn empty_trash(root: &Path, volumes: &Path) {
    for name in names(&trash(root)).unwrap_or_default().into_iter().filter(|name| made(name)) {
        let path = trash(root).join(name);
        if !meet(&path, volumes)
            && let Err(error) = disk::remove(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, folder = %path.display(), "a folder that nobody goes on with can't be removed: remove it by hand");
        }
    }
}

/// Whether it is named as the server and the worker name what they make. The work root may be a folder that others use as well.
fn made(name: &str) -> bool {
    uuid::Uuid::try_parse(name).is_ok_and(|id| id.to_string() == name)
}

fn folder(path: PathBuf, kind: Kind) -> Option<Folder> {
    let found = fs::symlink_metadata(&path).ok().filter(|found| !found.is_symlink())?;
    // By a clock that was set back it is new.
    let age = SystemTime::now().duration_since(found.modified().ok()?).unwrap_or_default();
    Some(Folder { kind, path, age })
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}
