//! A folder of this machine, read by an open folder and never through a link.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStringExt},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, FileType, Stat};
use sha2::{Digest, Sha256};

use super::{Content, Entry, Whole};
use crate::beneath;

/// See the module.
#[derive(Debug)]
pub(super) struct Folder {
    root: OwnedFd,
    whole: Whole,
}

impl Folder {
    /// The root itself is its owner's word, and may be reached through links.
    pub(super) fn open(root: &Path, whole: Whole) -> io::Result<Self> {
        let root: OwnedFd = File::open(root)?.into();
        match FileType::from_raw_mode(rustix::fs::fstat(&root)?.st_mode) {
            FileType::Directory => Ok(Self { root, whole }),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn look(&self, path: &Path) -> io::Result<Entry> {
        let Some(name) = path.file_name() else { return Ok(Entry::Folder) };
        let around = match beneath::open(&self.root, path.parent().unwrap_or(Path::new(""))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Entry::Missing),
            around => around?,
        };
        let found = match rustix::fs::statat(&around, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(Entry::Missing),
            found => found?,
        };
        Ok(match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => Entry::Folder,
            FileType::RegularFile => file(&found),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&around, name, Vec::new())?;
                Entry::Link(PathBuf::from(OsString::from_vec(target.into_bytes())))
            }
            _ => Entry::Special,
        })
    }

    pub(super) fn names(&self, path: &Path, most: usize) -> io::Result<Vec<OsString>> {
        let folder = beneath::open(&self.root, path)?;
        let entries = beneath::entries(&folder)?.take(most.saturating_add(1));
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    pub(super) fn content(&self, path: &Path) -> io::Result<Content> {
        let mut file = self.open_file(path)?;
        let size = file.metadata()?.len();
        read(&mut file, self.whole.wants(path, size).then_some(size))
    }

    /// A regular file: a pipe in its place would wait for ever.
    pub(super) fn open_file(&self, path: &Path) -> io::Result<File> {
        let file: File = beneath::open(&self.root, path)?.into();
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        }
    }
}

fn file(found: &Stat) -> Entry {
    Entry::File {
        executable: found.st_mode & 0o100 != 0,
        size: u64::try_from(found.st_size).unwrap_or(0),
    }
}

/// Reads to the end; keeps all of it where that many bytes are wanted.
pub(super) fn read(from: &mut impl Read, whole: Option<u64>) -> io::Result<Content> {
    let (mut digest, mut kept, mut piece) = (Sha256::new(), whole.map(|_| Vec::new()), vec![0; 64 * 1024]);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            break;
        }
        digest.update(&piece[..read]);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&piece[..read]);
        }
        // It has grown meanwhile.
        if kept.as_ref().is_some_and(|kept| Some(kept.len() as u64) > whole) {
            kept = None;
        }
    }
    Ok(Content {
        digest: digest.finalize().into(),
        whole: kept,
    })
}
