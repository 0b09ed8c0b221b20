//! What folders take on the disk. Those that an agent writes to are measured without following anything in them, and emptied in spite of
//! modes that are to keep the worker out.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::beneath;

/// What an entry counts for at least, in bytes: empty files and folders use up a disk as well.
const LEAST: u64 = 4096;

/// Folders within folders that are measured. What nests deeper is no work, and counts as too much.
const DEEPEST: usize = 256;

/// Bytes that a folder and all in it take, or more than `most` as soon as it is known to take more. One that isn't there takes none.
///
/// # Errors
///
/// When the folder itself is none, and when it or one in it is kept shut to this process.
pub fn taken(folder: &Path, most: u64) -> io::Result<u64> {
    let root = match beneath::folder(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        root => root?,
    };
    let device = rustix::fs::fstat(&root)?.st_dev;
    let (mut taken, mut several, mut left) = (LEAST, BTreeSet::new(), vec![(PathBuf::new(), 0)]);
    while let Some((inside, depth)) = left.pop() {
        if depth > DEEPEST {
            return Ok(most.saturating_add(1));
        }
        // It is written to meanwhile: what has gone, or is something else by now, takes nothing.
        let at = match beneath::open_folder(&root, &inside) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => continue,
            Ok(at) => at,
        };
        let Ok(entries) = beneath::entries(&at) else { continue };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.dev() != device || (!found.is_dir() && found.nlink() > 1 && !several.insert(found.ino())) {
                continue;
            }
            taken = taken.saturating_add((found.blocks() * 512).max(LEAST));
            if taken > most {
                return Ok(taken);
            }
            if found.is_dir() {
                left.push((inside.join(entry.file_name()), depth + 1));
            }
        }
    }
    Ok(taken)
}

/// Removes a folder and all in it; one that isn't there is no error.
///
/// # Errors
///
/// When something in it can't be removed.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Whoever owns a folder may have shut it: only root gets in then.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(folder)?;
            fs::remove_dir_all(folder)
        }
        removed => removed,
    }
}

/// Opens all folders in a folder to their owner.
fn unlock(folder: &Path) -> io::Result<()> {
    let root = beneath::folder(folder)?;
    let mut left = vec![PathBuf::new()];
    while let Some(inside) = left.pop() {
        let Ok(mut at) = beneath::open_folder(&root, &inside) else {
            continue;
        };
        at.keep();
        fs::set_permissions(beneath::path(&at), fs::Permissions::from_mode(0o700))?;
        for entry in beneath::entries(&at)?.flatten() {
            if entry.file_type()?.is_dir() {
                left.push(inside.join(entry.file_name()));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sh;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_is_written_counts_once_and_what_only_looks_large_does_not() {
        let dir = tempfile::tempdir().unwrap();
        sh(
            dir.path(),
            "mkdir -p a/b outside; head -c 3M /dev/zero >a/b/file; ln a/b/file a/again; truncate -s 1T a/sparse; head -c 9M /dev/zero >outside/much
            ln -s ../outside a/link; ln -s ../outside/much a/link-to-file",
        );
        let found = taken(&dir.path().join("a"), u64::MAX).unwrap();
        assert!((3 * MIB..4 * MIB).contains(&found), "{found}");
        assert_eq!(taken(&dir.path().join("none"), 1).unwrap(), 0);
        assert!(taken(&dir.path().join("a"), MIB).unwrap() > MIB);
    }

    #[test]
    fn empty_files_and_deep_folders_are_too_much_as_well() {
        let dir = tempfile::tempdir().unwrap();
        sh(dir.path(), "mkdir many deep; seq -f many/%g 300 | xargs touch");
        assert!(taken(&dir.path().join("many"), MIB).unwrap() > MIB);
        let mut deep = dir.path().join("deep");
        for _ in 0..300 {
            deep.push("d");
        }
        fs::create_dir_all(deep).unwrap();
        assert!(taken(&dir.path().join("deep"), 10 * MIB).unwrap() > 10 * MIB);
    }

    /// Root gets in everywhere, so this is looked at by a process that isn't.
    #[test]
    fn folders_that_are_shut_to_their_owner_are_measured_and_removed() {
        if rustix::process::geteuid().is_root() {
            let this = fs::File::open(std::env::current_exe().unwrap()).unwrap();
            let name = "disk::tests::folders_that_are_shut_to_their_owner_are_measured_and_removed";
            // Its file is open already: the user need not get to where it lies.
            let run = std::process::Command::new("setpriv")
                .args(["--reuid=1000", "--regid=1000", "--clear-groups", "/proc/self/fd/0", "--exact", name])
                .stdin(this)
                .current_dir("/tmp")
                .env_remove("TMPDIR")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        for mode in ["0", "0111", "0444"] {
            sh(
                dir.path(),
                &format!(
                    "mkdir -p run/a/b; head -c 3M /dev/zero >run/a/b/file; chmod {mode} run/a/b; chmod {mode} run/a; chmod {mode} run"
                ),
            );
            assert!(taken(&run, u64::MAX).unwrap() > 3 * MIB, "{mode}");
            let left = fs::metadata(run.join("a")).unwrap().permissions().mode() & 0o777;
            assert_eq!(left, u32::from_str_radix(mode, 8).unwrap(), "it is as it was");
            sh(dir.path(), &format!("chmod {mode} run"));
            remove(&run).unwrap();
            assert!(!run.exists(), "{mode}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        sh(dir.path(), "mkdir real; ln -s real link");
        assert!(taken(&dir.path().join("link"), MIB).is_err());
    }
}
