//! The spool's files.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use moorline_proto::v1;
use rustix::fs::FlockOperation;

use super::{Error, Recovered, Settings, Usage, found, record::Record};
use crate::{link::Lease, stage::valid_id};

/// The open folder. Dropping it lets another process have it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    settings: Settings,
    /// Synced after each rename: the new name is on the disk only then.
    names: File,
    /// Held locked.
    _lock: File,
    kept: BTreeMap<Lease, Kept>,
    /// Whether the last write failed.
    failing: bool,
}

/// What is kept of one lease.
#[derive(Debug, Default)]
struct Kept {
    offer: Option<v1::Offer>,
    offer_bytes: u64,
    /// None while the job is at work.
    finished_bytes: Option<u64>,
}

impl Kept {
    fn bytes(&self) -> u64 {
        self.offer_bytes + self.finished_bytes.unwrap_or(0)
    }
}

pub(super) const OFFER: &str = "offer";
pub(super) const FINISHED: &str = "finished";
/// What is being written.
pub(super) const PART: &str = "part";
/// What can't be read.
pub(super) const DAMAGED: &str = "damaged";

impl Folder {
    pub(super) fn open(settings: Settings) -> Result<(Self, Vec<Recovered>), Error> {
        let path = settings.folder();
        let unusable = |source| Error::Unusable {
            folder: path.clone(),
            source,
        };
        DirBuilder::new().recursive(true).create(&settings.root).map_err(unusable)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(unusable)?;
        // Offers name repositories and branches: nobody else's business.
        fs::set_permissions(&path, Permissions::from_mode(0o700)).map_err(unusable)?;
        let lock = lock(&path)?;
        let names = File::open(&path).map_err(unusable)?;
        let mut folder = Self {
            path: path.clone(),
            settings,
            names,
            _lock: lock,
            kept: BTreeMap::new(),
            failing: false,
        };
        let recovered = found::read(&path).map_err(unusable)?.into_iter();
        let recovered = recovered.map(|found| {
            let kept = Kept {
                offer: Some(found.recovered.offer.clone()),
                offer_bytes: found.offer_bytes,
                finished_bytes: found.finished_bytes,
            };
            folder.kept.insert(found.recovered.lease.clone(), kept);
            found.recovered
        });
        let recovered = recovered.collect();
        Ok((folder, recovered))
    }

    pub(super) fn accept(&mut self, lease: &Lease, offer: v1::Offer) -> Result<(), Error> {
        if self.kept.contains_key(lease) {
            return Ok(());
        }
        let file = Record::new(lease, Some(offer.clone()), Vec::new()).to_file();
        let bytes = self.fits(&file)?;
        // Room for its end as well: what is accepted must be able to end.
        let (room, needed) = (self.left(), self.settings.record_limit.saturating_add(bytes));
        if needed > room {
            return Err(Error::Full { room, bytes: needed });
        }
        self.write(lease, OFFER, &file)?;
        let kept = Kept {
            offer: Some(offer),
            offer_bytes: bytes,
            finished_bytes: None,
        };
        self.kept.insert(lease.clone(), kept);
        Ok(())
    }

    pub(super) fn finish(&mut self, lease: &Lease, reports: Vec<v1::Report>) -> Result<(), Error> {
        let offer = self.kept.get(lease).and_then(|kept| kept.offer.clone());
        let file = Record::new(lease, offer, reports).to_file();
        let bytes = self.fits(&file)?;
        // An accepted job's room was kept free for it.
        if !self.kept.contains_key(lease) && bytes > self.left() {
            return Err(Error::Full { room: self.left(), bytes });
        }
        self.write(lease, FINISHED, &file)?;
        self.kept.entry(lease.clone()).or_default().finished_bytes = Some(bytes);
        Ok(())
    }

    /// The offer goes first: an end that is left alone is still complete, and an offer that is left alone would be a job at work.
    pub(super) fn settle(&mut self, lease: &Lease) {
        self.kept.remove(lease);
        for kind in [OFFER, FINISHED] {
            let file = self.file(lease, kind);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::error!(%error, file = %file.display(), "a file of the spool can't be removed: remove it by hand");
                }
                _ => {}
            }
        }
    }

    pub(super) fn probe(&mut self) -> Result<(), Error> {
        let file = self.path.join("probe").with_extension(PART);
        let written = write_synced(&file, &[0; 4096]).and_then(|()| fs::remove_file(&file));
        self.failing = written.is_err();
        written.map_err(|source| Error::Unwritable { file, source })
    }

    pub(super) fn usage(&self) -> Usage {
        let room = self.left() / self.settings.record_limit.saturating_mul(2).max(1);
        Usage {
            bytes: self.kept.values().map(Kept::bytes).sum(),
            room: if self.failing { 0 } else { room },
            failing: self.failing,
        }
    }

    /// Bytes that are neither used nor kept free for the ends of jobs at work.
    fn left(&self) -> u64 {
        let needed = |kept: &Kept| kept.offer_bytes + kept.finished_bytes.unwrap_or(self.settings.record_limit);
        let needed: u64 = self.kept.values().map(needed).sum();
        self.settings.limit.saturating_sub(needed)
    }

    fn fits(&self, file: &[u8]) -> Result<u64, Error> {
        let (bytes, most) = (file.len() as u64, self.settings.record_limit);
        match bytes <= most {
            true => Ok(bytes),
            false => Err(Error::TooLarge { bytes, most }),
        }
    }

    fn file(&self, lease: &Lease, kind: &str) -> PathBuf {
        self.path.join(file_name(lease, kind))
    }

    /// All of it or nothing, and on the disk.
    fn write(&mut self, lease: &Lease, kind: &str, content: &[u8]) -> Result<(), Error> {
        let file = self.file(lease, kind);
        let part = self.path.join(format!("{}.{PART}", file_name(lease, kind)));
        let unwritable = |source| Error::Unwritable {
            file: file.clone(),
            source,
        };
        // It becomes part of a path.
        if !valid_id(&lease.job_id) {
            return Err(unwritable(io::ErrorKind::InvalidInput.into()));
        }
        let written = write_synced(&part, content)
            .and_then(|()| fs::rename(&part, &file))
            .and_then(|()| self.names.sync_all());
        self.failing = written.is_err();
        written.map_err(|error| {
            // Half a file takes room that is missing already.
            let _ = fs::remove_file(&part);
            unwritable(error)
        })
    }
}

pub(super) fn file_name(lease: &Lease, kind: &str) -> String {
    format!("{}-{}.{kind}", lease.job_id, lease.token)
}

/// Ids of the jobs that a spool has a record of, whole or not, by the names of its files. Nothing is changed.
pub(crate) fn jobs_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let mut parts = name.split('.');
        if let (Some(lease), Some(OFFER | FINISHED)) = (parts.next(), parts.next()) {
            jobs.extend(lease.rsplit_once('-').map(|(job, _)| job.to_owned()));
        }
    }
    Ok(jobs)
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Locks the folder for as long as the file is open. The kernel lets go when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let unusable = |source| Error::Unusable {
        folder: folder.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(unusable)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy { folder: folder.to_owned() }),
        Err(error) => Err(unusable(error.into())),
    }
}

/// A worker's name may have anything in it; its folder's name must be no path, and tell names apart.
pub(super) fn folder_name(worker: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'.';
    let mut name = String::new();
    for (index, byte) in worker.bytes().enumerate() {
        match plain(byte) && !(index == 0 && byte == b'.') {
            true => name.push(byte.into()),
            false => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}
