//! Artifacts and output: RPCs of their own, beside the stream. Each is safe to repeat, and is until the job must stop.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures::{StreamExt, future, stream};
use moorline_proto::v1::{self, run_service_client::RunServiceClient, worker_service_client::WorkerServiceClient};
use sha2::{Digest, Sha256};
use tokio_util::{io::ReaderStream, sync::CancellationToken};
use tonic::{Code, Status, transport::Channel};

use super::{Lease, refusal};
use crate::{metrics, stage::RunFolder};

/// Largest piece of a file in one message.
const PIECE: usize = 64 << 10;
/// Output that is sent with one call.
const BATCH: usize = 1 << 20;
/// How often a file that is being written is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Tries of a transfer whose content keeps arriving otherwise than announced.
const GARBLED_TRIES: u32 = 4;

/// What a call is given once the job must stop: the log of a cancelled job is still wanted, but nobody waits for a call that hangs.
const AFTER_STOP: Duration = Duration::from_secs(5);

/// The way that transfers take.
#[derive(Debug, Clone)]
pub(super) struct Bulk {
    /// A connection of its own: a flood of output must not delay a sign of life.
    pub(super) channel: Channel,
    /// Longest time of one call: a half-open connection would hold it for ever.
    pub(super) call: Duration,
}

/// Stores a file as an artifact; the header's digest is filled in.
pub(super) async fn upload(
    bulk: &Bulk,
    folder: &RunFolder,
    file: &Path,
    mut header: v1::ArtifactHeader,
    stop: &CancellationToken,
) -> Result<v1::Artifact, Status> {
    let open = || folder.open(file).map_err(|error| unreadable(file, &error));
    header.digest = digest(open()?).await?;
    persist(bulk, stop, || async {
        let first = v1::UploadArtifactRequest {
            header: Some(header.clone()),
            content: Bytes::new(),
        };
        let pieces = ReaderStream::with_capacity(tokio::fs::File::from_std(open()?), PIECE);
        // A piece that can't be read ends the stream early, and the digest tells the server.
        let pieces = pieces.scan((), |(), piece| {
            future::ready(piece.ok().map(|content| v1::UploadArtifactRequest { header: None, content }))
        });
        let response = WorkerServiceClient::new(bulk.channel.clone())
            .upload_artifact(stream::iter([first]).chain(pieces))
            .await?;
        response
            .into_inner()
            .artifact
            .ok_or_else(|| Status::data_loss("the server did not describe what it stored"))
    })
    .await
    .inspect(|stored: &v1::Artifact| metrics::SENT.add(u64::try_from(stored.size_bytes).unwrap_or_default(), ["artifact".into()]))
}

/// Writes an artifact to a file, whole or not at all.
pub(super) async fn download(bulk: &Bulk, artifact_id: &str, to: &Path, stop: &CancellationToken) -> Result<(), Status> {
    persist(bulk, stop, || async {
        let request = v1::DownloadArtifactRequest {
            artifact_id: artifact_id.to_owned(),
        };
        let mut pieces = RunServiceClient::new(bulk.channel.clone())
            .download_artifact(request)
            .await?
            .into_inner();
        let part = to.with_extension("part");
        let mut file = File::create(&part).map_err(|error| unwritable(&part, &error))?;
        let (mut hash, mut expected) = (Sha256::new(), String::new());
        while let Some(piece) = pieces.message().await? {
            if let Some(artifact) = piece.artifact {
                expected = artifact.digest;
            }
            hash.update(&piece.content);
            file.write_all(&piece.content).map_err(|error| unwritable(&part, &error))?;
        }
        if hex::encode(hash.finalize()) != expected {
            return Err(Status::unavailable("the artifact arrived incomplete"));
        }
        std::fs::rename(&part, to).map_err(|error| unwritable(to, &error))
    })
    .await
}

/// Sends a file that is being written, until `done` is cancelled and its end is reached.
pub(super) async fn follow(
    bulk: &Bulk,
    folder: &RunFolder,
    path: &Path,
    lease: &Lease,
    done: &CancellationToken,
    stop: &CancellationToken,
) -> Result<(), Status> {
    let mut offset: u64 = 0;
    loop {
        // Asked before reading: what was written before the end is then read, too.
        let last = done.is_cancelled();
        let batch = read(folder, path, offset)?;
        if batch.is_empty() {
            if last {
                return Ok(());
            }
            tokio::select! {
                () = done.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            continue;
        }
        // The server knows best where the next byte belongs: it may have stored a part of a call that failed.
        metrics::SENT.add(batch.len() as u64, ["output".into()]);
        offset = persist(bulk, stop, || async {
            let pieces = requests(lease, offset, &batch);
            let response = WorkerServiceClient::new(bulk.channel.clone())
                .upload_logs(stream::iter(pieces))
                .await?
                .into_inner();
            u64::try_from(response.next_offset).map_err(|_| Status::data_loss("the server named a negative offset"))
        })
        .await?;
    }
}

fn requests(lease: &Lease, offset: u64, batch: &[u8]) -> Vec<v1::UploadLogsRequest> {
    let piece = |(index, content): (usize, &[u8])| v1::UploadLogsRequest {
        job_id: lease.job_id.clone(),
        lease_token: lease.token,
        offset: (offset + (index * PIECE) as u64).cast_signed(),
        content: Bytes::copy_from_slice(content),
    };
    batch.chunks(PIECE).enumerate().map(piece).collect()
}

/// What the file has from `offset`, at most one batch; nothing when it isn't there yet.
fn read(folder: &RunFolder, path: &Path, offset: u64) -> Result<Vec<u8>, Status> {
    let mut batch = Vec::new();
    let mut file = match folder.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(batch),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let read = file
        .seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(BATCH as u64).read_to_end(&mut batch));
    read.map_err(|error| unreadable(path, &error))?;
    Ok(batch)
}

async fn digest(mut file: File) -> Result<String, Status> {
    let hashing = tokio::task::spawn_blocking(move || {
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; PIECE]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok::<_, std::io::Error>(hex::encode(hash.finalize())),
                read => hash.update(&buffer[..read]),
            }
        }
    });
    let hashed = hashing.await.map_err(|error| Status::internal(error.to_string()))?;
    hashed.map_err(|error| Status::failed_precondition(format!("the file can't be read: {error}")))
}

/// Tries until it works, the server says no for good, or the job must stop: a job's paid work must not end with a server that stumbles.
async fn persist<T, F>(bulk: &Bulk, stop: &CancellationToken, mut attempt: impl FnMut() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let pauses = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(10))
        .without_max_times()
        .with_jitter();
    let mut pauses = pauses.build();
    let mut garbled = 0;
    loop {
        let tried = tokio::select! {
            tried = tokio::time::timeout(bulk.call, attempt()) => tried,
            () = stopped(stop) => return Err(Status::cancelled("the job was stopped before the transfer had ended")),
        };
        let status = match tried.unwrap_or_else(|_| Err(Status::deadline_exceeded("the server did not answer in time"))) {
            Ok(value) => return Ok(value),
            Err(status) => status,
        };
        garbled += u32::from(verdict(&status) == Verdict::Garbled);
        if verdict(&status) == Verdict::Final || garbled >= GARBLED_TRIES {
            return Err(status);
        }
        let pause = pauses.next().unwrap_or_default();
        metrics::TRANSFERS_AGAIN.count([]);
        tracing::warn!(%status, pause_ms = pause.as_millis(), "a transfer failed and is tried again");
        tokio::select! {
            () = stop.cancelled() => return Err(status),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The job must stop, and what was on its way has had its time.
async fn stopped(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(AFTER_STOP).await;
}

/// What a failed transfer means for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Server or line stumbled. That passes, though it may take as long as a failover or a full disk.
    Passes,
    /// The content arrived otherwise than announced: bad luck on the way, or a file that won't be read the same way twice.
    Garbled,
    /// No other try does better.
    Final,
}

fn verdict(status: &Status) -> Verdict {
    let reason = refusal::reason(status);
    match status.code() {
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Unknown | Code::Internal | Code::Cancelled => {
            Verdict::Passes
        }
        Code::Aborted if reason != "FENCED" => Verdict::Passes,
        Code::InvalidArgument if ["DIGEST_MISMATCH", "UPLOAD_BROKEN_OFF"].contains(&reason.as_str()) => Verdict::Garbled,
        _ => Verdict::Final,
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Status {
    Status::failed_precondition(format!("{} can't be read: {error}", path.display()))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Status {
    Status::failed_precondition(format!("{} can't be written: {error}", path.display()))
}
