//! What must outlive the worker's process: the jobs that it has accepted, and their ends until the server has acknowledged them.
//!
//! One folder per worker, `<work root>/spool/<worker name>/`, has up to two files for each lease: `<job>-<token>.offer`, written before the
//! job is accepted, and `<job>-<token>.finished`, written before the end is sent. Both go when the end is acknowledged, or the lease has
//! passed on. Each file appears whole or not at all: it is written under another name, synced, and renamed.

mod error;
mod folder;
mod found;
mod record;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use moorline_proto::v1;
use tokio_util::task::TaskTracker;

pub use self::error::Error;
use self::folder::Folder;
pub(crate) use self::folder::jobs_in;
use crate::link::Lease;

/// Where a spool is, and how large it may become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The spools of all workers with this work root.
    pub root: PathBuf,
    /// Name of the worker.
    pub worker: String,
    /// Bytes that it has at most, what running jobs may still need included.
    pub limit: u64,
    /// Bytes of one record at most.
    pub record_limit: u64,
}

impl Settings {
    /// The folder of this worker.
    pub fn folder(&self) -> PathBuf {
        self.root.join(folder::folder_name(&self.worker))
    }
}

/// What an earlier process of this worker had in hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// The claim.
    pub lease: Lease,
    /// As it was accepted.
    pub offer: v1::Offer,
    /// Of a job that has ended: what the server hasn't acknowledged, the end last.
    pub finished: Option<Vec<v1::Report>>,
}

/// How full a spool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Jobs for whose offer and end there is still room; none while the disk takes nothing.
    pub room: u64,
    /// Whether the last write failed.
    pub failing: bool,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, room, failing } = self;
        let disk = if *failing { ", the disk takes nothing" } else { "" };
        write!(f, "{bytes} bytes, room for {room} jobs{disk}")
    }
}

/// The spool of one worker, which no other process uses meanwhile.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: Arc<Mutex<Folder>>,
    /// As of the last write: who asks must not wait for the disk.
    usage: Arc<Mutex<Usage>>,
    settling: TaskTracker,
}

impl Spool {
    /// Opens the spool, and reads what an earlier process has left. Damaged files are set aside.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] while another process has it, [`Error::Unusable`] when the folder can't be made, locked or read.
    pub async fn open(settings: Settings) -> Result<(Self, Vec<Recovered>), Error> {
        let opened = tokio::task::spawn_blocking(move || Folder::open(settings)).await;
        let (folder, recovered) = opened.map_err(|_| Error::Broken)??;
        let usage = Arc::new(Mutex::new(folder.usage()));
        let folder = Arc::new(Mutex::new(folder));
        let settling = TaskTracker::new();
        Ok((Self { folder, usage, settling }, recovered))
    }

    /// Keeps the offer of a job that is about to be accepted. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When it can't be kept: the job must not begin then.
    pub async fn accept(&self, lease: &Lease, offer: &v1::Offer) -> Result<(), Error> {
        let (lease, offer) = (lease.clone(), offer.clone());
        self.blocking(move |folder| folder.accept(&lease, offer)).await
    }

    /// Keeps what the server hasn't acknowledged of a job that has ended. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When it can't be kept: the end would be lost with the process.
    pub async fn finish(&self, lease: &Lease, reports: Vec<v1::Report>) -> Result<(), Error> {
        let lease = lease.clone();
        self.blocking(move |folder| folder.finish(&lease, reports)).await
    }

    /// Removes what is kept of a lease. A file that can't be removed costs nothing but its room: the server knows its lease as over.
    pub async fn settle(&self, lease: &Lease) {
        let lease = lease.clone();
        let settled = self.blocking(move |folder| {
            folder.settle(&lease);
            Ok(())
        });
        if let Err(error) = settled.await {
            tracing::error!(%error, "a settled job stays in the spool");
        }
    }

    /// The same without a wait; [`settled`](Self::settled) waits for all of them.
    pub fn settle_soon(&self, lease: &Lease) {
        let (spool, lease) = (self.clone(), lease.clone());
        self.settling.spawn(async move { spool.settle(&lease).await });
    }

    /// Waits until all that was to be settled is.
    pub async fn settled(&self) {
        self.settling.close();
        self.settling.wait().await;
        self.settling.reopen();
    }

    /// Tries whether the folder can be written to.
    ///
    /// # Errors
    ///
    /// [`Error::Unwritable`] when it can't.
    pub async fn probe(&self) -> Result<(), Error> {
        self.blocking(|folder| folder.probe()).await
    }

    /// How full it is.
    pub fn usage(&self) -> Usage {
        *lock(&self.usage)
    }

    /// Files are written on a thread that may wait for the disk. A caller that goes meanwhile breaks nothing off.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&mut Folder) -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
        let (folder, usage) = (self.folder.clone(), self.usage.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut folder = lock(&folder);
            let done = work(&mut folder);
            *lock(&usage) = folder.usage();
            done
        });
        let done = done.await;
        done.map_err(|_| Error::Broken)?
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
