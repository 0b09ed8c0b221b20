//! The first connections to a starting Postgres: until it answers, then to make Moorline's role and database.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use tokio_postgres::{Client, NoTls};

use super::{DATABASE, Error, cluster_dir::SUPERUSER, postmaster::Postmaster};

/// Pause between attempts to connect to a Postgres that is starting.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until Postgres takes connections, then makes the role and the database that aren't there yet.
pub(super) async fn prepare(postmaster: &mut Postmaster, socket_dir: &Path, limit: Duration) -> Result<(), Error> {
    let url = connection_string(socket_dir, SUPERUSER, "postgres");
    let client = tokio::select! {
        status = postmaster.ended() => return Err(postmaster.start_failed(status)),
        connected = connect_within(&url, limit) => connected.map_err(|source| {
            Error::StartTimedOut { limit, log: postmaster.log().to_owned(), source }
        })?,
    };
    let failed = |doing| {
        let log = postmaster.log().to_owned();
        move |source| Error::Query { doing, log, source }
    };
    if is_missing(&client, "pg_roles", "rolname")
        .await
        .map_err(failed("look up its role"))?
    {
        let sql = format!("create role {DATABASE} login createdb");
        client.batch_execute(&sql).await.map_err(failed("make its role"))?;
    }
    if is_missing(&client, "pg_database", "datname")
        .await
        .map_err(failed("look up its database"))?
    {
        let sql = format!("create database {DATABASE} owner {DATABASE}");
        client.batch_execute(&sql).await.map_err(failed("make its database"))?;
    }
    Ok(())
}

/// A connection string in the form that `tokio_postgres::Config` and libpq share.
pub(super) fn connection_string(socket_dir: &Path, user: &str, database: &str) -> String {
    let quote = |value: &str| format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"));
    let host = quote(&socket_dir.to_string_lossy());
    format!("host={host} user={} dbname={}", quote(user), quote(database))
}

async fn is_missing(client: &Client, catalog: &str, column: &str) -> Result<bool, tokio_postgres::Error> {
    let sql = format!("select 1 from {catalog} where {column} = $1");
    Ok(client.query_opt(&sql, &[&DATABASE]).await?.is_none())
}

/// Connects again and again; returns the last error when the time is up.
async fn connect_within(url: &str, limit: Duration) -> Result<Client, tokio_postgres::Error> {
    let begun = Instant::now();
    loop {
        match tokio_postgres::connect(url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return Ok(client);
            }
            Err(error) if begun.elapsed() >= limit => return Err(error),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
