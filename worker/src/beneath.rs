//! Ways below a folder that an agent has written to: whatever is a link is refused, and never followed.

use std::{
    fs, io,
    ops::Deref,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{CWD, Mode, OFlags},
    io::Errno,
    path::Arg,
};

/// A folder that is open, and those on the way to it that their owner had shut: they are as they were again when it is dropped.
#[derive(Debug)]
pub struct Opened {
    folder: OwnedFd,
    shut: Vec<(OwnedFd, u32)>,
}

impl Opened {
    /// Leaves them open.
    pub fn keep(&mut self) {
        self.shut.clear();
    }
}

impl Deref for Opened {
    type Target = OwnedFd;

    fn deref(&self) -> &OwnedFd {
        &self.folder
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        for (folder, was) in self.shut.iter().rev() {
            let _ = fs::set_permissions(path(folder), fs::Permissions::from_mode(*was));
        }
    }
}

/// Opens a folder; a link to one is refused. One that its owner has shut, where this process is that owner, stays open to it.
pub fn folder(path: &Path) -> io::Result<OwnedFd> {
    enter(CWD, path.as_os_str(), &mut Vec::new())
}

/// Opens what is at `inside`, for reading. Goes down one name at a time, so that no name on the way is a link either.
pub fn open(folder: impl AsFd, inside: &Path) -> io::Result<OwnedFd> {
    let mut at = folder.as_fd().try_clone_to_owned()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    for name in inside.components() {
        let Component::Normal(name) = name else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leaves the run's folder"));
        };
        at = rustix::fs::openat(&at, name, flags, Mode::empty())?;
    }
    Ok(at)
}

/// Opens the folder at `inside`, also one that its owner has shut, where this process is that owner.
pub fn open_folder(folder: impl AsFd, inside: &Path) -> io::Result<Opened> {
    let mut at = Opened {
        folder: folder.as_fd().try_clone_to_owned()?,
        shut: Vec::new(),
    };
    for name in inside.components() {
        let Component::Normal(name) = name else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leaves the run's folder"));
        };
        at.folder = enter(&at.folder, name, &mut at.shut)?;
    }
    Ok(at)
}

/// Opens a folder, so that what is in it can be looked at, and adds it to `shut` where that took a change of its mode.
fn enter(at: impl AsFd, name: impl Arg, shut: &mut Vec<(OwnedFd, u32)>) -> io::Result<OwnedFd> {
    let kind = OFlags::DIRECTORY | OFlags::CLOEXEC;
    // By what was found and not by its name, which may be another's by now.
    let found = rustix::fs::openat(at, name, OFlags::PATH | OFlags::NOFOLLOW | kind, Mode::empty())?;
    let open = || rustix::fs::openat(&found, ".", OFlags::RDONLY | kind, Mode::empty());
    match open() {
        Err(Errno::ACCESS) => {
            let was = rustix::fs::fstat(&found)?.st_mode & 0o7777;
            fs::set_permissions(path(&found), fs::Permissions::from_mode(was | 0o700))?;
            let opened = open();
            shut.push((found, was));
            Ok(opened?)
        }
        opened => Ok(opened?),
    }
}

/// A path that leads to this very folder, whatever its name leads to by now. It holds while the folder is open, also for a child
/// process until that has become its program.
pub fn path(folder: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()))
}

/// What a folder has in it.
pub fn entries(folder: &OwnedFd) -> io::Result<fs::ReadDir> {
    fs::read_dir(path(folder))
}
