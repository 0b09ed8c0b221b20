//! The right to take back what nobody holds any more: a lock of one connection, so that it ends with whoever has it.

use std::time::Duration;

use diesel::{QueryableByName, sql_query, sql_types::Bool};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use secrecy::{ExposeSecret as _, SecretString};

/// Longest time that the database may take; then the connection counts as lost.
const ANSWER: Duration = Duration::from_secs(5);

/// A reaper that is cut off, or stopped, loses its lock after this long: it would have looked in once per pass. (Before version 14 Postgres
/// has no such setting, and waits for the system to find the connection dead.)
const SETTINGS: &str = "select set_config('idle_session_timeout', '15s', false) from pg_settings where name = 'idle_session_timeout'; set statement_timeout = '5s'";

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Bool)]
    held: bool,
}

/// See the module.
#[derive(Default)]
pub struct ReaperLock {
    connection: Option<AsyncPgConnection>,
    held: bool,
}

impl ReaperLock {
    /// Whether this server is the reaper now: takes the lock if it is free, and makes sure that it is still there if it was taken. To be
    /// asked before each pass.
    pub async fn is_held(&mut self, database: &SecretString) -> bool {
        let asked = tokio::time::timeout(ANSWER, self.ask(database)).await;
        if let Ok(Ok(held)) = asked {
            self.held = held;
        } else {
            // With the connection goes the lock.
            self.connection = None;
            self.held = false;
        }
        self.held
    }

    async fn ask(&mut self, database: &SecretString) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let mut connection = AsyncPgConnection::establish(database.expose_secret()).await?;
                connection.batch_execute(SETTINGS).await?;
                none.insert(connection)
            }
        };
        if self.held {
            connection.batch_execute("select 1").await?;
            return Ok(true);
        }
        let lock: Held = sql_query("select pg_try_advisory_lock(hashtext('moorline.reaper')) as held")
            .get_result(connection)
            .await?;
        Ok(lock.held)
    }
}
