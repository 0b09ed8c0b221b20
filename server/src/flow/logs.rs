//! Output of jobs: workers store it in pieces, clients read it while it grows.

use uuid::Uuid;

use super::{Error, Flow, Topic, accept::run_of};
use crate::{
    db::{
        jobs,
        logs::{self, Piece},
    },
    metrics,
};

/// Most pieces that one look returns.
const BATCH: i64 = 64;

/// Stores a piece of a job's output. A piece that begins where nothing is expected is not stored. Returns the next byte that is.
///
/// # Errors
///
/// `FENCED`.
pub async fn store(flow: &Flow, job_id: Uuid, lease_token: i64, offset: i64, content: &[u8]) -> Result<i64, Error> {
    let mut connection = flow.connection().await?;
    let run_id = run_of(&mut connection, job_id, lease_token).await?;
    let expected = logs::next_offset(&mut connection, job_id).await?;
    if offset != expected || content.is_empty() {
        return Ok(expected);
    }
    logs::insert(&mut connection, job_id, offset, content).await?;
    metrics::LOG_BYTES.add(content.len() as u64, []);
    flow.hints.wake(&Topic::Run(run_id));
    Ok(offset + i64::try_from(content.len()).unwrap_or(i64::MAX))
}

/// Pieces of a job's output from an offset on.
///
/// # Errors
///
/// When the database fails.
pub async fn pieces(flow: &Flow, job_id: Uuid, from: i64) -> Result<Vec<Piece>, Error> {
    Ok(logs::of_job(&mut *flow.connection().await?, job_id, from, BATCH).await?)
}

/// The jobs of a run, in the order of their making.
///
/// # Errors
///
/// When the database fails.
pub async fn jobs(flow: &Flow, run_id: Uuid) -> Result<Vec<jobs::Job>, Error> {
    Ok(jobs::of_run(&mut *flow.connection().await?, run_id).await?)
}
