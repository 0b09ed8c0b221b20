//! What archives of folders hold: names, modes, digests, and the few files that are kept whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use tar::EntryType;

use super::{Content, Entry, Whole, folder::read};

/// Entries of all archives together at most.
const ENTRIES: usize = 50_000;

/// Bytes of all files together at most.
const BYTES: u64 = 512 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Archive {
    whole: Whole,
    entries: BTreeMap<PathBuf, (Entry, Option<Content>)>,
    inside: BTreeMap<PathBuf, BTreeSet<OsString>>,
    bytes: u64,
}

impl Archive {
    pub(super) fn new(whole: Whole) -> Self {
        Self {
            whole,
            entries: BTreeMap::new(),
            inside: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Adds an archive whose entries begin with the folder's own name; they come to lie `at` that path.
    pub(super) fn add(&mut self, at: &Path, archive: impl Read) -> io::Result<()> {
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let Some(path) = placed(at, &entry.path()?) else { continue };
            if self.entries.len() >= ENTRIES {
                return Err(io::Error::other(format!("it holds more than {ENTRIES} files and folders")));
            }
            let size = entry.size();
            let found = match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    self.bytes = self.bytes.saturating_add(size);
                    if self.bytes > BYTES {
                        return Err(io::Error::other(format!("it holds more than {} MiB", BYTES >> 20)));
                    }
                    let executable = entry.header().mode()? & 0o100 != 0;
                    let content = read(&mut entry, self.whole.wants(&path, size).then_some(size))?;
                    (Entry::File { executable, size }, Some(content))
                }
                EntryType::Directory => (Entry::Folder, None),
                EntryType::Symlink => match entry.link_name()? {
                    Some(target) => (Entry::Link(target.into_owned()), None),
                    None => (Entry::Special, None),
                },
                // Another name of a file that came before.
                EntryType::Link => {
                    let other = entry.link_name()?.and_then(|other| placed(at, &other));
                    let other = other.and_then(|other| self.entries.get(&other).cloned());
                    other.unwrap_or((Entry::Special, None))
                }
                _ => (Entry::Special, None),
            };
            self.put(path, found);
        }
        Ok(())
    }

    fn put(&mut self, path: PathBuf, found: (Entry, Option<Content>)) {
        let (mut at, mut below) = (path.parent(), path.file_name());
        // The folders around it may have no entries of their own.
        while let (Some(around), Some(name)) = (at, below) {
            self.inside.entry(around.to_owned()).or_default().insert(name.to_owned());
            if !around.as_os_str().is_empty() {
                self.entries.entry(around.to_owned()).or_insert((Entry::Folder, None));
            }
            (at, below) = (around.parent(), around.file_name());
        }
        self.entries.insert(path, found);
    }

    pub(super) fn look(&self, path: &Path) -> Entry {
        match self.entries.get(path) {
            _ if path.as_os_str().is_empty() => Entry::Folder,
            Some((entry, _)) => entry.clone(),
            None => Entry::Missing,
        }
    }

    pub(super) fn names(&self, path: &Path, most: usize) -> Vec<OsString> {
        let names = self.inside.get(path).into_iter().flatten();
        names.take(most.saturating_add(1)).cloned().collect()
    }

    pub(super) fn content(&self, path: &Path) -> io::Result<Content> {
        let found = self.entries.get(path).and_then(|(_, content)| content.clone());
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Where an entry lies whose path begins with the folder's own name; nowhere if that isn't a plain path.
fn placed(at: &Path, path: &Path) -> Option<PathBuf> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    parts.next()?;
    let mut placed = at.to_owned();
    for part in parts {
        match part {
            Component::Normal(name) => placed.push(name),
            _ => return None,
        }
    }
    Some(placed)
}
