//! Volumes: looked up, made for a job user, looked into.

use std::io::Read;

use bollard::{
    body_full,
    models::VolumeCreateRequest,
    query_parameters::{DownloadFromContainerOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptionsBuilder},
};
use futures::TryStreamExt;

use super::{DockerEngine, error, spec, temporary::Temporary};
use crate::engine::{ContainerSpec, Error, SecretVec, VOLUME_FILE_LIMIT, VolumeFacts, user::User};

impl DockerEngine {
    /// Refuses a spec whose volume doesn't exist: the engine would silently create it, empty.
    pub(super) async fn require_volume(&self, spec: &ContainerSpec) -> Result<(), Error> {
        match &spec.volume {
            Some(mount) => self.require(&mount.volume).await.map(drop),
            None => Ok(()),
        }
    }

    async fn require(&self, name: &str) -> Result<VolumeFacts, Error> {
        let missing = || Error::VolumeMissing { volume: name.to_owned() };
        self.volume_facts(name).await?.ok_or_else(missing)
    }

    pub(super) async fn volume_facts(&self, name: &str) -> Result<Option<VolumeFacts>, Error> {
        match self.docker.inspect_volume(name).await {
            Ok(volume) => Ok(Some(VolumeFacts {
                driver: volume.driver,
                mountpoint: volume.mountpoint.into(),
                device: volume
                    .options
                    .get("device")
                    .filter(|device| device.starts_with('/'))
                    .map(Into::into),
                in_place: false,
            })),
            Err(source) if error::status(&source) == Some(404) => Ok(None),
            Err(source) => Err(self.error(&format!("inspect the volume {name}"), source)),
        }
    }

    pub(super) async fn new_volume(&self, name: &str, owner: &str) -> Result<(), Error> {
        if self.volume_facts(name).await?.is_some() {
            return Ok(());
        }
        let owner: User = owner.parse().map_err(|source| error::other("create a volume", source))?;
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some([(spec::KIND.to_owned(), spec::AUTH.to_owned())].into()),
            ..VolumeCreateRequest::default()
        };
        let created = self.docker.create_volume(request).await;
        created.map_err(|source| self.error(&format!("create the volume {name}"), source))?;
        let handed_over = self.hand_over(name, owner).await;
        if handed_over.is_err() {
            // It is empty and root's: left there, the next attempt would take it for one that is ready.
            if let Err(error) = self.docker.remove_volume(name, None::<RemoveVolumeOptions>).await {
                tracing::warn!(volume = %name, %error, "a volume that could not be handed over could not be removed either: remove it by hand");
            }
        }
        handed_over
    }

    /// Gives a new volume's root to its owner, by unpacking an archive that holds that folder alone. No process runs as root for it.
    async fn hand_over(&self, name: &str, owner: User) -> Result<(), Error> {
        let archive = root_folder(owner).map_err(|source| error::other("make an archive", source))?;
        let container = self.look_into(name, false).await?;
        let options = UploadToContainerOptionsBuilder::new().path(spec::LOOK.0).build();
        let done = self
            .docker
            .upload_to_container(container.id(), Some(options), body_full(archive.into()));
        let done = done.await;
        container.remove().await;
        done.map_err(|source| self.error(&format!("give the volume {name} to {owner}"), source))
    }

    pub(super) async fn file_of_volume(&self, volume: &str, path: &str) -> Result<Option<SecretVec>, Error> {
        self.require(volume).await?;
        let container = self.look_into(volume, true).await?;
        let archive = self
            .download(container.id(), &format!("{}/{}/{path}", spec::LOOK.0, spec::LOOK.1))
            .await;
        container.remove().await;
        let doing = || format!("read {path} of the volume {volume}");
        match archive {
            Ok(archive) => only_file(&archive).map(Some).map_err(|source| error::other(&doing(), source)),
            Err(source) if error::status(&source) == Some(404) => Ok(None),
            Err(source) => Err(self.error(&doing(), source)),
        }
    }

    async fn look_into(&self, volume: &str, read_only: bool) -> Result<Temporary, Error> {
        let name = format!("moorline-look-{}", uuid::Uuid::now_v7().simple());
        Temporary::create(self, &name, spec::look(&self.helper_image, volume, read_only)).await
    }

    async fn download(&self, container: &str, path: &str) -> Result<Vec<u8>, bollard::errors::Error> {
        // Room for the file, its header and padding; what is longer fails as a truncated archive.
        let most = usize::try_from(VOLUME_FILE_LIMIT).unwrap_or(usize::MAX) + 8192;
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut pieces = std::pin::pin!(self.docker.download_from_container(container, Some(options)));
        let mut archive = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            archive.extend_from_slice(&piece);
            if archive.len() > most {
                break;
            }
        }
        Ok(archive)
    }
}

/// An archive of the folder that the volume is mounted at.
fn root_folder(owner: User) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o700);
    header.set_uid(owner.uid.into());
    header.set_gid(owner.gid.into());
    header.set_size(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, format!("{}/", spec::LOOK.1), std::io::empty())?;
    archive.into_inner()
}

/// The file in an archive of one. Anything but a file, such as a link that an agent has put in its place, is an error.
fn only_file(archive: &[u8]) -> std::io::Result<SecretVec> {
    let wrong = |what: &str| std::io::Error::other(format!("it is {what}: remove it, or log in again"));
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive.entries()?.next().ok_or_else(|| wrong("an empty archive"))??;
    if !entry.header().entry_type().is_file() {
        return Err(wrong("no regular file"));
    }
    if entry.size() > VOLUME_FILE_LIMIT {
        return Err(wrong("too large for a credential"));
    }
    let mut content = Vec::new();
    entry.read_to_end(&mut content)?;
    Ok(content.into())
}
