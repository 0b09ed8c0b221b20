//! Table `worker_commands`: what is asked of workers, on whichever server their stream is.

use diesel::{
    QueryResult, QueryableByName,
    prelude::*,
    sql_query,
    sql_types::{Bool, Double, Jsonb, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::worker_commands};
use crate::domain::command::Kind;

/// A command to be stored.
#[derive(Debug)]
pub struct New<'a> {
    /// Its id.
    pub id: Uuid,
    /// The worker's process that is asked.
    pub instance_id: Uuid,
    /// The one session that it is for; `None`: whichever the process has.
    pub session_id: Option<Uuid>,
    /// What kind it is.
    pub kind: Kind,
    /// What is asked.
    pub body: serde_json::Value,
    /// Who asks.
    pub requested_by: &'a str,
    /// Seconds within which it must be answered.
    pub expires_in: f64,
}

/// Stores a command.
pub async fn insert(connection: &mut Connection, new: &New<'_>) -> QueryResult<usize> {
    sql_query(
        "insert into worker_commands (id, instance_id, session_id, kind, body, requested_by, expires_at)
         values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))",
    )
    .bind::<SqlUuid, _>(new.id)
    .bind::<SqlUuid, _>(new.instance_id)
    .bind::<Nullable<SqlUuid>, _>(new.session_id)
    .bind::<Text, _>(new.kind)
    .bind::<Jsonb, _>(&new.body)
    .bind::<Text, _>(new.requested_by)
    .bind::<Double, _>(new.expires_in)
    .execute(connection)
    .await
}

/// A command on its way to a session.
#[derive(Debug, Clone, QueryableByName)]
#[allow(missing_docs, reason = "columns")]
pub struct Taken {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub instance_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub delivered_to: Uuid,
    #[diesel(sql_type = Jsonb)]
    pub body: serde_json::Value,
}

/// Takes the open commands for sessions of this server, each once per session.
pub async fn take(connection: &mut Connection, server_id: Uuid) -> QueryResult<Vec<Taken>> {
    sql_query(
        "update worker_commands as command set delivered_to = session.id, delivered_at = now()
         from worker_sessions as session
         where command.finished_at is null and command.expires_at > now()
            and session.instance_id = command.instance_id and session.ended_at is null and session.redirected_at is null
            and session.server_id = $1
            and command.delivered_to is distinct from session.id
            and (command.session_id is null or command.session_id = session.id)
         returning command.id, command.instance_id, command.delivered_to, command.body",
    )
    .bind::<SqlUuid, _>(server_id)
    .get_results(connection)
    .await
}

/// A command that has ended needs no key, sealed or not.
const WITHOUT_KEY: &str = "body - 'sealed_api_key'";

/// Stores the answer to an open command, and returns what was asked; `None` when it is answered already. What it said on its way is forgotten.
pub async fn finish(
    connection: &mut Connection,
    id: Uuid,
    instance_id: Uuid,
    result: &serde_json::Value,
) -> QueryResult<Option<serde_json::Value>> {
    diesel::update(worker_commands::table.find(id))
        .filter(
            worker_commands::instance_id
                .eq(instance_id)
                .and(worker_commands::finished_at.is_null()),
        )
        .set((
            worker_commands::finished_at.eq(diesel::dsl::now),
            worker_commands::result.eq(Some(result)),
            worker_commands::progress.eq(None::<serde_json::Value>),
            worker_commands::body.eq(diesel::dsl::sql::<Jsonb>(WITHOUT_KEY)),
        ))
        .returning(worker_commands::body)
        .get_result(connection)
        .await
        .optional()
}

/// Notes how far an open command has come.
pub async fn set_progress(connection: &mut Connection, id: Uuid, instance_id: Uuid, progress: &serde_json::Value) -> QueryResult<usize> {
    diesel::update(worker_commands::table.find(id))
        .filter(
            worker_commands::instance_id
                .eq(instance_id)
                .and(worker_commands::finished_at.is_null()),
        )
        .set(worker_commands::progress.eq(Some(progress)))
        .execute(connection)
        .await
}

/// How a command stands.
#[derive(Debug, Clone, QueryableByName)]
pub struct State {
    /// The answer, once there is one.
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub result: Option<serde_json::Value>,
    /// How far it has come, where it said so.
    #[diesel(sql_type = Nullable<Jsonb>)]
    pub progress: Option<serde_json::Value>,
    /// Whether its time is up.
    #[diesel(sql_type = Bool)]
    pub expired: bool,
}

/// How a command stands; `None` when there is none with this id.
pub async fn state(connection: &mut Connection, id: Uuid) -> QueryResult<Option<State>> {
    sql_query("select result, progress, expires_at < now() as expired from worker_commands where id = $1")
        .bind::<SqlUuid, _>(id)
        .get_result(connection)
        .await
        .optional()
}

/// Ends the open commands whose time is up with this answer: one of them, or all.
pub async fn expire(connection: &mut Connection, only: Option<Uuid>, result: &serde_json::Value) -> QueryResult<usize> {
    sql_query(
        "update worker_commands set finished_at = now(), result = $2, progress = null, body = body - 'sealed_api_key'
         where finished_at is null and expires_at < now() and ($1 is null or id = $1)",
    )
    .bind::<Nullable<SqlUuid>, _>(only)
    .bind::<Jsonb, _>(result)
    .execute(connection)
    .await
}

/// Whether a process is being asked to check its login.
pub async fn is_checking(connection: &mut Connection, instance_id: Uuid) -> QueryResult<bool> {
    let open = worker_commands::table
        .filter(
            worker_commands::instance_id
                .eq(instance_id)
                .and(worker_commands::finished_at.is_null()),
        )
        .filter(worker_commands::kind.eq(Kind::CheckVolume));
    diesel::select(diesel::dsl::exists(open)).get_result(connection).await
}

/// Ends the open commands of a process that is gone with this answer.
pub async fn abandon(connection: &mut Connection, instance_id: Uuid, result: &serde_json::Value) -> QueryResult<usize> {
    sql_query(
        "update worker_commands set finished_at = now(), result = $2, progress = null, body = body - 'sealed_api_key'
         where finished_at is null and instance_id = $1",
    )
    .bind::<SqlUuid, _>(instance_id)
    .bind::<Jsonb, _>(result)
    .execute(connection)
    .await
}

/// Replaces the answer to a command.
pub async fn set_result(connection: &mut Connection, id: Uuid, result: &serde_json::Value) -> QueryResult<usize> {
    diesel::update(worker_commands::table.find(id))
        .set(worker_commands::result.eq(Some(result)))
        .execute(connection)
        .await
}

/// Forgets commands that ended more than a week ago.
pub async fn prune(connection: &mut Connection) -> QueryResult<usize> {
    sql_query("delete from worker_commands where finished_at < now() - interval '7 days'")
        .execute(connection)
        .await
}
