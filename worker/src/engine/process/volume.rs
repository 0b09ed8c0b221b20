//! Volumes as folders.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown, lchown, symlink},
    path::{Component, Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{ProcessEngine, User, other};
use crate::engine::{ContainerSpec, Error, SecretVec, VOLUME_FILE_LIMIT, VolumeFacts, user::is_root};

impl ProcessEngine {
    fn folder(&self, volume: &str) -> Result<PathBuf, Error> {
        inside(&self.volumes, volume).map_err(|source| other(&format!("use the volume {volume:?}"), source))
    }

    pub(super) fn volume_facts(&self, name: &str) -> Result<Option<VolumeFacts>, Error> {
        let mountpoint = self.folder(name)?;
        Ok(mountpoint.is_dir().then(|| VolumeFacts {
            driver: "directory".to_owned(),
            mountpoint,
            device: None,
            in_place: true,
        }))
    }

    pub(super) fn new_volume(&self, name: &str, owner: &str) -> Result<(), Error> {
        let folder = self.folder(name)?;
        let failed = |source: io::Error| other(&format!("create the volume {}", folder.display()), source);
        let owner: User = owner.parse().map_err(|source| other("create a volume", source))?;
        fs::create_dir_all(&self.volumes).map_err(failed)?;
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Ok(()) if is_root() => chown(&folder, Some(owner.uid), Some(owner.gid)).map_err(|error| {
                // Left there, it would pass for one that is ready.
                let _ = fs::remove_dir(&folder);
                failed(error)
            }),
            result => result.map_err(failed),
        }
    }

    /// Makes a mount's target a link to its volume, and returns the link. A target that is the volume itself needs none.
    pub(super) fn link(&self, spec: &ContainerSpec) -> Result<Option<PathBuf>, Error> {
        let Some(mount) = &spec.volume else { return Ok(None) };
        let folder = self.folder(&mount.volume)?;
        if mount.target == folder {
            return Ok(None);
        }
        let linked = make_link(&folder, &mount.target, self.user);
        linked.map_err(|source| other(&format!("link {} to its volume", mount.target.display()), source))?;
        Ok(Some(mount.target.clone()))
    }

    pub(super) fn file_of_volume(&self, volume: &str, path: &str) -> Result<Option<SecretVec>, Error> {
        let folder = self.folder(volume)?;
        if !folder.is_dir() {
            return Err(Error::VolumeMissing { volume: volume.to_owned() });
        }
        let content = inside(&folder, path).and_then(|file| read(&file));
        content.map_err(|source| other(&format!("read {path} of the volume {volume}"), source))
    }
}

/// Joins a name to a folder; one that would leave the folder is refused.
fn inside(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let plain = !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let refused = || io::Error::other("its name must be a path below the folder, without `..`");
    plain.then(|| folder.join(name)).ok_or_else(refused)
}

fn make_link(folder: &Path, target: &Path, user: Option<User>) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    match target.symlink_metadata() {
        Ok(found) if found.is_symlink() => fs::remove_file(target)?,
        // Only an empty folder, as is left where Docker has mounted something, gives way.
        Ok(found) if found.is_dir() => fs::remove_dir(target)?,
        _ => (),
    }
    symlink(folder, target)?;
    user.map_or(Ok(()), |user| lchown(target, Some(user.uid), Some(user.gid)))
}

fn read(path: &Path) -> io::Result<Option<SecretVec>> {
    // The worker may be root where the agent isn't: a link that the agent has put here must not make the worker read elsewhere, nor a
    // pipe make it wait.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let found = file.metadata()?;
    if !found.is_file() || found.len() > VOLUME_FILE_LIMIT {
        return Err(io::Error::other(
            "it is no regular file of a credential's size: remove it, or log in again",
        ));
    }
    let mut content = Vec::new();
    file.take(VOLUME_FILE_LIMIT).read_to_end(&mut content)?;
    Ok(Some(content.into()))
}
