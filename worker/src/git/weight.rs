//! How much a patch would take, known before git reads any of it: git holds whole files in memory, and an agent may leave anything.

use std::{collections::BTreeMap, fs, os::fd::OwnedFd, path::Path};

use rustix::fs::AtFlags;
use tokio_util::sync::CancellationToken;

use super::{Error, Git};
use crate::beneath;

/// Bytes before and after of all files that a patch changes, at most. A worker has one gibibyte where it is deployed as delivered.
const MOST: u64 = 256 << 20;

/// Files that are named.
const NAMED: usize = 5;

impl Git {
    /// Refuses a work tree whose new files and files of another size than in the base commit take more than a patch may. A file of
    /// holes counts as it looks.
    pub(super) async fn weigh(
        &self,
        git_dir: &Path,
        tree: &OwnedFd,
        base_commit: &str,
        list: &Path,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let read = || fs::read(list).map_err(|error| Error::io("read", list, error));
        let call = |doing| self.call(doing).git_dir(git_dir);
        call("list the base commit")
            .args(["ls-tree", "-r", "-l", "-z", "--full-tree", base_commit])
            .output(list)?
            .ok(stop)
            .await?;
        let before = sizes(&read()?);
        call("list new files")
            .env("GIT_WORK_TREE", ".")
            .env("GIT_INDEX_FILE", git_dir.join("moorline-patch-index"))
            .args(["ls-files", "--others", "--exclude-standard", "-z"])
            .current(&beneath::path(tree))
            .output(list)?
            .ok(stop)
            .await?;
        let new = read()?;
        let _ = fs::remove_file(list);
        let new = new.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(|name| (name, 0));
        let known = before.iter().map(|(name, size)| (name.as_slice(), *size));
        let mut changed: Vec<(u64, &[u8])> = new
            .chain(known)
            .filter_map(|(name, before)| {
                let after = rustix::fs::statat(tree, name, AtFlags::SYMLINK_NOFOLLOW).map_or(0, |found| found.st_size.cast_unsigned());
                (after != before).then(|| (before.saturating_add(after), name))
            })
            .collect();
        if changed.iter().fold(0, |sum: u64, (bytes, _)| sum.saturating_add(*bytes)) <= MOST {
            return Ok(());
        }
        changed.sort_unstable_by(|one, other| other.cmp(one));
        let name = |(bytes, name): &(u64, &[u8])| format!("{} ({} MiB)", String::from_utf8_lossy(name), bytes >> 20);
        Err(Error::PatchTooLarge {
            mib: MOST >> 20,
            files: changed.iter().take(NAMED).map(name).collect(),
        })
    }
}

/// Sizes by name from `ls-tree -l -z`: `mode type object size<TAB>name`. A submodule has none.
fn sizes(listed: &[u8]) -> BTreeMap<Vec<u8>, u64> {
    let entry = |entry: &[u8]| {
        let tab = entry.iter().position(|byte| *byte == b'\t')?;
        let size = String::from_utf8_lossy(&entry[..tab]).split_whitespace().nth(3)?.parse().ok()?;
        Some((entry[tab + 1..].to_vec(), size))
    };
    listed.split(|byte| *byte == 0).filter_map(entry).collect()
}
