//! A worker stores an artifact; a client fetches it.

use bytes::Bytes;
use diesel_async::AsyncConnection as _;
use futures::{Stream, TryStreamExt as _, stream::BoxStream};
use object_store::{ObjectStoreExt as _, WriteMultipart, path::Path};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Error, Flow,
    accept::fenced,
    ledger::{Ledger, Ledgers},
};
use crate::{
    db::{
        artifacts::{self, New, Row},
        jobs,
    },
    domain::{self, event::Event},
    metrics,
};

/// What is being stored.
#[derive(Debug, Clone)]
pub struct Header {
    /// The job that made it.
    pub job_id: Uuid,
    /// The fence.
    pub lease_token: i64,
    /// Such as `codex_patch`.
    pub kind: String,
    /// Name of the file.
    pub file_name: String,
    /// Media type.
    pub content_type: String,
    /// SHA-256 that the content must have, in lower-case hex.
    pub digest: String,
}

/// Stores an artifact, content first. Safe to repeat: the same job, type and content is stored once.
///
/// # Errors
///
/// `FENCED`; `INVALID_FILE_NAME`; `DIGEST_MISMATCH` when the content isn't what was announced.
pub async fn store<S, E>(flow: &Flow, header: &Header, content: S) -> Result<Row, Error>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    Error: From<E>,
{
    let plain = !header.file_name.is_empty() && !header.file_name.starts_with('.') && !header.file_name.contains(['/', '\\', '\0']);
    if !plain {
        let message = "file_name must be the plain name of a file, without a folder";
        return Err(domain::Error::invalid("header.file_name", "INVALID_FILE_NAME", message).into());
    }
    let (run_id, folder) = {
        let mut connection = flow.connection().await?;
        let job = jobs::find_leased(&mut connection, header.job_id, header.lease_token)
            .await?
            .ok_or_else(|| fenced(header.job_id))?;
        let run_id = job.run_id;
        (run_id, format!("runs/{run_id}/{}-{}", job.stage, job.attempt))
    };
    // Type and digest in the name: no other content can ever overwrite what is stored.
    let path = format!("{folder}/{}/{}/{}", header.kind, header.digest, header.file_name);
    let size_bytes = write(flow, &Path::from(path.as_str()), &header.digest, content).await?;

    let mut connection = flow.connection().await?;
    let stored = connection
        .transaction(async |connection| {
            let mut ledger = Ledgers::lock_one(connection, run_id, flow.timers).await?;
            if ledger.job(header.job_id).is_none_or(|job| !job.is_leased(header.lease_token)) {
                return Err(fenced(header.job_id));
            }
            let new = New {
                id: Uuid::now_v7(),
                run_id,
                job_id: header.job_id,
                kind: &header.kind,
                path: &path,
                content_type: &header.content_type,
                size_bytes,
                digest: &header.digest,
            };
            let Some(row) = artifacts::insert(connection, &new).await? else {
                let row = artifacts::same(connection, header.job_id, &header.kind, &header.digest).await?;
                return Ok::<_, Error>((row.ok_or_else(|| fenced(header.job_id))?, None));
            };
            record(&mut ledger, &row);
            Ok((row, Some(ledger.write(connection).await?)))
        })
        .await;
    let (row, written) = match stored {
        Ok(stored) => stored,
        Err(error) => {
            // Content that no row names would stay for ever.
            if artifacts::same(&mut connection, header.job_id, &header.kind, &header.digest)
                .await?
                .is_none()
            {
                flow.artifacts.delete(&Path::from(path.as_str())).await?;
            }
            return Err(error);
        }
    };
    if let Some(written) = written {
        metrics::ARTIFACTS.count([row.kind.clone().into()]);
        metrics::ARTIFACT_BYTES.add(u64::try_from(size_bytes).unwrap_or_default(), [row.kind.clone().into()]);
        written.announce(&flow.hints);
    }
    Ok(row)
}

fn record(ledger: &mut Ledger, row: &Row) {
    match row.kind.as_str() {
        "codex_logs" => ledger.run.codex_logs_path = Some(row.path.clone()),
        "codex_patch" => ledger.run.codex_patch_path = Some(row.path.clone()),
        _ => {}
    }
    ledger.record(Event::ArtifactStored {
        artifact_id: row.id,
        artifact_type: row.kind.clone(),
        path: row.path.clone(),
        content_type: row.content_type.clone(),
        size_bytes: row.size_bytes,
        digest: row.digest.clone(),
    });
}

/// Writes the content, and takes it back when it isn't what was announced.
async fn write<S, E>(flow: &Flow, path: &Path, digest: &str, mut content: S) -> Result<i64, Error>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    Error: From<E>,
{
    /// Parts that may be on their way to the store at once.
    const PARTS_IN_FLIGHT: usize = 4;
    let mut upload = WriteMultipart::new(flow.artifacts.put_multipart(path).await?);
    let mut hash = Sha256::new();
    let mut size: i64 = 0;
    while let Some(piece) = content.try_next().await? {
        hash.update(&piece);
        size += i64::try_from(piece.len()).unwrap_or(i64::MAX);
        upload.wait_for_capacity(PARTS_IN_FLIGHT).await?;
        upload.put(piece);
    }
    if hex::encode(hash.finalize()) != digest {
        upload.abort().await?;
        let message = "the content does not have the announced SHA-256: send it again";
        return Err(domain::Error::invalid("header.digest", "DIGEST_MISMATCH", message).into());
    }
    upload.finish().await?;
    Ok(size)
}

/// Fetches an artifact: its description, and its content in pieces.
///
/// # Errors
///
/// `ARTIFACT_NOT_FOUND`.
pub async fn fetch(flow: &Flow, id: Uuid) -> Result<(Row, BoxStream<'static, object_store::Result<Bytes>>), Error> {
    let row = artifacts::find(&mut *flow.connection().await?, id).await?.ok_or_else(|| {
        let message = format!("there is no artifact {id}: `moorline run artifacts RUN_ID` shows those of a run");
        domain::Error::not_found("ARTIFACT_NOT_FOUND", message).with("artifact_id", id.to_string())
    })?;
    let content = flow.artifacts.get(&Path::from(row.path.as_str())).await?.into_stream();
    Ok((row, content))
}
