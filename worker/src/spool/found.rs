//! What an earlier process has left in the spool's folder.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Recovered,
    folder::{DAMAGED, FINISHED, OFFER, PART, file_name},
    record::{Flaw, Record},
};
use crate::link::Lease;

/// A lease, and what its files take.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) recovered: Recovered,
    pub(super) offer_bytes: u64,
    pub(super) finished_bytes: Option<u64>,
}

/// Reads every file that is whole. The others are set aside, or removed where they never counted.
pub(super) fn read(folder: &Path) -> io::Result<Vec<Found>> {
    let (mut offers, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(OFFER) => offers.extend(read_one(&path, OFFER)?),
            Some(FINISHED) => ends.extend(read_one(&path, FINISHED)?),
            // The process ended before the rename, so nothing was promised.
            Some(PART) => fs::remove_file(&path)?,
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (lease, (end, bytes)) in ends {
        let offer_bytes = offers.remove(&lease).map_or(0, |(_, bytes)| bytes);
        let recovered = Recovered {
            lease,
            offer: end.offer.unwrap_or_default(),
            finished: Some(end.reports),
        };
        found.push(Found {
            recovered,
            offer_bytes,
            finished_bytes: Some(bytes),
        });
    }
    for (lease, (accepted, offer_bytes)) in offers {
        let recovered = Recovered {
            lease,
            offer: accepted.offer.unwrap_or_default(),
            finished: None,
        };
        found.push(Found {
            recovered,
            offer_bytes,
            finished_bytes: None,
        });
    }
    Ok(found)
}

/// A file that can't be read for want of permission, or because the disk is broken, stops the start: what it has may be whole.
fn read_one(path: &Path, kind: &str) -> io::Result<Option<(Lease, (Record, u64))>> {
    let content = fs::read(path)?;
    match Record::from_file(&content) {
        Ok(record)
            if path
                .file_name()
                .is_some_and(|name| name.to_str() == Some(&file_name(&record.lease(), kind))) =>
        {
            Ok(Some((record.lease(), (record, content.len() as u64))))
        }
        Ok(_) | Err(Flaw::Damaged) => set_aside(path).map(|()| None),
        Err(flaw @ Flaw::OtherVersion) => {
            tracing::error!(file = %path.display(), "a record of the spool is left alone: {flaw}; start that version once, or remove the file if its job has ended");
            Ok(None)
        }
    }
}

fn set_aside(path: &Path) -> io::Result<()> {
    let mut aside = PathBuf::from(path).into_os_string();
    aside.push(format!(".{DAMAGED}"));
    fs::rename(path, &aside)?;
    tracing::error!(
        file = %Path::new(&aside).display(),
        "a record of the spool is set aside: {}; its job is done again if its result was not stored: look at the run, check the disk, then remove the file",
        Flaw::Damaged
    );
    Ok(())
}
