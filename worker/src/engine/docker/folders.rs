//! Folders of an image, read through a container that is never started.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::Bytes;
use futures::TryStreamExt;
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    time::timeout,
};

use super::{DockerEngine, error, spec, temporary::Temporary};
use crate::{
    engine::Error,
    tree::{Tree, Whole},
};

/// Longest time that all of it may take.
const LIMIT: Duration = Duration::from_secs(120);

/// An archive that is still on its way, for a reader that may block.
struct Arriving {
    pieces: Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Arriving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = into.len().min(self.piece.len());
        into[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

impl DockerEngine {
    pub(super) async fn folders_of_image(&self, image: &str, root: &Path, folders: &[&str], whole: Whole) -> Result<Tree, Error> {
        let name = format!("moorline-look-{}", uuid::Uuid::now_v7().simple());
        let container = Temporary::create(self, &name, spec::still(image)).await?;
        let read = timeout(LIMIT, self.read_through(container.id(), root, folders, whole)).await;
        container.remove().await;
        let doing = || format!("read {} of the image {image}", root.display());
        let read = read.unwrap_or_else(|_| Err(io::Error::other(format!("it took longer than {} s", LIMIT.as_secs()))));
        read.map_err(|source| error::other(&doing(), source))
    }

    async fn read_through(&self, container: &str, root: &Path, folders: &[&str], whole: Whole) -> io::Result<Tree> {
        let (mut ways, mut arriving) = (Vec::new(), Vec::new());
        for folder in folders {
            let (way, pieces) = mpsc::channel(4);
            ways.push((root.join(folder), way));
            arriving.push((
                PathBuf::from(folder),
                Arriving {
                    pieces,
                    piece: Bytes::new(),
                },
            ));
        }
        let root = root.to_owned();
        let reading = tokio::task::spawn_blocking(move || Tree::of_archives(&root, whole, arriving));
        for (folder, way) in ways {
            self.send(container, &folder, way).await;
        }
        reading.await.map_err(io::Error::other)?
    }

    /// One after the other, as they are read. What isn't there sends nothing.
    async fn send(&self, container: &str, folder: &Path, way: Sender<io::Result<Bytes>>) {
        let options = DownloadFromContainerOptionsBuilder::new()
            .path(&folder.display().to_string())
            .build();
        let mut pieces = std::pin::pin!(self.docker.download_from_container(container, Some(options)));
        loop {
            let piece = match pieces.try_next().await {
                Ok(None) => return,
                Err(source) if error::status(&source) == Some(404) => return,
                Ok(Some(piece)) => Ok(piece),
                Err(source) => Err(io::Error::other(source)),
            };
            let last = piece.is_err();
            // A reader that has found the archive's end, or a fault in it, is gone.
            if way.send(piece).await.is_err() || last {
                return;
            }
        }
    }
}
