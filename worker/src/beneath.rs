//! Ways below a folder that an agent has written to: whatever is a link is refused, and never followed.

use std::{
    ffi::OsStr,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Component, Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};

/// Opens a folder; a link to one is refused.
pub fn folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
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

/// Opens the folder at `inside`, also one that its owner has shut, where this process is that owner: it is as it was again afterwards.
pub fn open_folder(folder: impl AsFd, inside: &Path) -> io::Result<OwnedFd> {
    let mut at = folder.as_fd().try_clone_to_owned()?;
    for name in inside.components() {
        let Component::Normal(name) = name else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leaves the run's folder"));
        };
        at = enter(&at, name)?;
    }
    Ok(at)
}

fn enter(at: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(at, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::ACCESS) => {
            // By what was found and not by its name, which may be another's by now.
            let found = rustix::fs::openat(
                at,
                name,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            let (way, was) = (path(&found), rustix::fs::fstat(&found)?.st_mode);
            fs::set_permissions(&way, fs::Permissions::from_mode(0o700))?;
            let opened = rustix::fs::open(&way, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
            fs::set_permissions(&way, fs::Permissions::from_mode(was & 0o7777))?;
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
