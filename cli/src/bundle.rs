//! The skills that come with this release, for jobs that run as processes of this machine. Job images have them as well.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use moorline_worker::{disk, skill::MIRRORS};

/// One file of a skill.
#[derive(Debug)]
pub struct File {
    /// The skill's name and the path in its folder.
    pub path: &'static str,
    /// Whether it is a program.
    pub executable: bool,
    /// What it holds.
    pub content: &'static [u8],
}

/// All files of all skills, in the order of their paths.
pub const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

/// Lays the skills into both mirrors of a root, in the place of what is there. All users may read them, and nobody changes them: the mirrors
/// have to stay alike.
///
/// # Errors
///
/// When the root can't be written.
pub fn lay(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    open(root, 0o755)?;
    for mirror in MIRRORS {
        let mirror = root.join(mirror);
        disk::remove(&mirror)?;
        for file in FILES {
            let path = mirror.join(file.path);
            fs::create_dir_all(path.parent().unwrap_or(&mirror))?;
            let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            made.write_all(file.content)?;
            made.set_permissions(fs::Permissions::from_mode(if file.executable { 0o555 } else { 0o444 }))?;
        }
        mirror.parent().map_or(Ok(()), |around| open(around, 0o755))?;
        shut(&mirror)?;
    }
    Ok(())
}

fn shut(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            shut(&entry.path())?;
        }
    }
    // The mirror itself stays open to its owner, who lays the next release's.
    open(
        folder,
        if MIRRORS.iter().any(|mirror| folder.ends_with(mirror)) {
            0o755
        } else {
            0o555
        },
    )
}

fn open(folder: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use moorline_worker::skill::Registry;

    use super::*;

    #[test]
    fn what_is_laid_is_in_order_and_takes_the_place_of_what_was() {
        let root = tempfile::tempdir().expect("a folder");
        lay(root.path()).expect("skills");
        fs::write(root.path().join(MIRRORS[0]).join("old"), "").expect("a file");
        fs::create_dir(root.path().join(MIRRORS[1]).join("gone")).expect("a folder");
        lay(root.path()).expect("skills again");
        let registry = Registry::read(root.path());
        let names: Vec<&String> = registry.found().keys().collect();
        assert_eq!(names, ["conventional-commits", "speckit"]);
        assert!(registry.found().values().all(|found| found.is_ready()), "{:?}", registry.profile());
        assert!(!root.path().join(MIRRORS[0]).join("old").exists());
    }
}
