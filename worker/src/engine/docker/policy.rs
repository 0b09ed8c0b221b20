//! What containers may be and may write to, whoever asks for them.

use std::collections::HashMap;

use super::{DockerEngine, error};
use crate::engine::{ContainerSpec, Error, images::Images, user::User};

/// Room of `/run`, in MiB. Programs keep sockets and process ids there, never data.
const RUN_MIB: u64 = 16;

/// What holds for every container of an engine's client.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Whether the image's files can't be changed: what a container writes is in its run's folder, in its volume, or in memory.
    pub read_only: bool,
    /// Images that may be run; any when unset.
    pub images: Option<Images>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            read_only: true,
            images: None,
        }
    }
}

impl Policy {
    pub(super) fn permit(&self, image: &str) -> Result<(), Error> {
        match &self.images {
            Some(images) if !images.allow(image) => Err(Error::ImageNotAllowed { image: image.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Folders in memory in the place of those that a program takes for writable. What is in them counts as the container's memory.
    pub(super) fn scratch(&self, spec: &ContainerSpec, user: User) -> Option<HashMap<String, String>> {
        let mib = spec.limits.memory_bytes >> 20;
        let User { uid, gid } = user;
        self.read_only.then(|| {
            HashMap::from([
                // Builds run what they put there.
                (
                    "/tmp".to_owned(),
                    format!("rw,exec,nosuid,nodev,mode=1777,size={}m", (mib / 2).max(1)),
                ),
                (
                    "/var/tmp".to_owned(),
                    format!("rw,exec,nosuid,nodev,mode=1777,size={}m", (mib / 8).max(1)),
                ),
                (
                    "/run".to_owned(),
                    format!("rw,noexec,nosuid,nodev,mode=755,uid={uid},gid={gid},size={RUN_MIB}m"),
                ),
            ])
        })
    }
}

impl DockerEngine {
    pub(super) async fn finds_network(&self, name: &str) -> Result<bool, Error> {
        match self.docker.inspect_network(name, None).await {
            Ok(_) => Ok(true),
            Err(source) if error::status(&source) == Some(404) => Ok(false),
            Err(source) => Err(self.error(&format!("inspect the network {name}"), source)),
        }
    }

    /// Why a container that was made did not start.
    pub(super) async fn not_started(&self, spec: &ContainerSpec, source: bollard::errors::Error) -> Error {
        match self.finds_network(&spec.network).await {
            Ok(false) => Error::NetworkMissing {
                network: spec.network.clone(),
            },
            _ => self.error(&format!("start {}", spec.name), source),
        }
    }
}
