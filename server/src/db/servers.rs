//! Table `servers`: which servers are alive. A row is a server's word that it is there; who finds it too old takes it away.

use diesel::{
    QueryResult, QueryableByName,
    prelude::*,
    sql_query,
    sql_types::{Bool, Double, Text, Uuid as SqlUuid},
};
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::{Connection, schema::servers};

/// What a sign of life found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Beat {
    /// Whether the row was not there: at the first beat, or because somebody took this server for dead.
    #[diesel(sql_type = Bool)]
    pub is_new: bool,
    /// Whether another server is alive.
    #[diesel(sql_type = Bool)]
    pub others: bool,
}

/// Gives a sign of life, and looks for other servers, in one statement.
pub async fn beat(connection: &mut Connection, id: Uuid, hostname: &str, address: &str, dead_after: f64) -> QueryResult<Beat> {
    // A row that was just inserted has never been locked or updated.
    sql_query(
        "with beat as (
            insert into servers (id, hostname, address) values ($1, $2, $3)
            on conflict (id) do update set last_seen_at = now()
            returning (xmax = 0) as is_new
         )
         select is_new, exists (select from servers where id <> $1 and last_seen_at > now() - make_interval(secs => $4)) as others from beat",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Text, _>(hostname)
    .bind::<Text, _>(address)
    .bind::<Double, _>(dead_after)
    .get_result(connection)
    .await
}

/// Declares servers dead that have given no sign of life for this long; returns their ids.
pub async fn bury(connection: &mut Connection, dead_after: f64) -> QueryResult<Vec<Uuid>> {
    #[derive(QueryableByName)]
    struct Dead {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let dead: Vec<Dead> = sql_query("delete from servers where last_seen_at < now() - make_interval(secs => $1) returning id")
        .bind::<Double, _>(dead_after)
        .get_results(connection)
        .await?;
    Ok(dead.into_iter().map(|server| server.id).collect())
}

/// Takes one server's row away.
pub async fn remove(connection: &mut Connection, id: Uuid) -> QueryResult<usize> {
    diesel::delete(servers::table.find(id)).execute(connection).await
}
