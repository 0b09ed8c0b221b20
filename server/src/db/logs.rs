//! Table `job_logs`: output of jobs, in pieces by byte offset.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{
    Connection,
    schema::{job_logs, jobs},
};
use crate::domain::stage::Stage;

/// A piece of output, with the job that wrote it.
#[derive(Debug, Clone, Queryable)]
pub struct Piece {
    /// The job.
    pub job_id: Uuid,
    /// Its stage.
    pub stage: Stage,
    /// Its attempt.
    pub attempt: i32,
    /// Where the piece begins, in bytes.
    pub byte_offset: i64,
    /// The piece.
    pub content: Vec<u8>,
}

/// Stores a piece; one that is there already is left as it is.
pub async fn insert(connection: &mut Connection, job_id: Uuid, byte_offset: i64, content: &[u8]) -> QueryResult<usize> {
    diesel::insert_into(job_logs::table)
        .values((
            job_logs::job_id.eq(job_id),
            job_logs::byte_offset.eq(byte_offset),
            job_logs::content.eq(content),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await
}

/// The next byte of a job's output that isn't stored yet.
pub async fn next_offset(connection: &mut Connection, job_id: Uuid) -> QueryResult<i64> {
    let last: Option<(i64, Option<i32>)> = job_logs::table
        .filter(job_logs::job_id.eq(job_id))
        .order(job_logs::byte_offset.desc())
        .select((
            job_logs::byte_offset,
            diesel::dsl::sql::<diesel::sql_types::Nullable<diesel::sql_types::Int4>>("length(content)"),
        ))
        .first(connection)
        .await
        .optional()?;
    Ok(last.map_or(0, |(offset, length)| offset + i64::from(length.unwrap_or_default())))
}

/// Pieces of a job from an offset on, in order.
pub async fn of_job(connection: &mut Connection, job_id: Uuid, from: i64, limit: i64) -> QueryResult<Vec<Piece>> {
    job_logs::table
        .inner_join(jobs::table.on(jobs::id.eq(job_logs::job_id)))
        .filter(job_logs::job_id.eq(job_id).and(job_logs::byte_offset.ge(from)))
        .order(job_logs::byte_offset)
        .limit(limit)
        .select((
            job_logs::job_id,
            jobs::stage,
            jobs::attempt,
            job_logs::byte_offset,
            job_logs::content,
        ))
        .load(connection)
        .await
}
