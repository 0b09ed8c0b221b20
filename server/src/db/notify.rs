//! Hints between servers: LISTEN and NOTIFY on one channel.

use std::time::Duration;

use diesel::{QueryResult, sql_query, sql_types::Array, sql_types::Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use futures::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::Connection;

/// Longest payload that is sent; Postgres takes 7,999 bytes.
pub const PAYLOAD_MAX: usize = 7900;

/// Silence after which the line is tried: a connection that was cut without a word is silent too.
const SILENCE: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(5);

/// Sends hints. Never inside another transaction: notifications make commits wait for each other.
pub async fn send(connection: &mut Connection, payloads: &[String]) -> QueryResult<usize> {
    sql_query("select pg_notify('moorline_hints', payload) from unnest($1) as payload")
        .bind::<Array<Text>, _>(payloads)
        .execute(connection)
        .await
}

/// Why hints of other servers don't come in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection.
    #[error("no connection for hints could be made")]
    Connect(#[from] diesel::ConnectionError),
    /// The connection broke.
    #[error("the connection for hints broke")]
    Broken(#[from] diesel::result::Error),
    /// The database gave no answer in time.
    #[error("the database gave no answer on the connection for hints")]
    Silent,
}

/// Hears hints, on a connection of its own.
pub struct Listener {
    connection: AsyncPgConnection,
}

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// When the database can't be reached.
    pub async fn connect(database: &SecretString) -> Result<Self, Error> {
        let begin = async {
            let mut connection = AsyncPgConnection::establish(database.expose_secret()).await?;
            connection.batch_execute("listen moorline_hints").await?;
            Ok::<_, Error>(Self { connection })
        };
        tokio::time::timeout(ANSWER, begin).await.map_err(|_| Error::Silent)?
    }

    /// The next payload. Tries the line by itself when nothing comes.
    ///
    /// # Errors
    ///
    /// When the line is dead; hints may have been lost then.
    pub async fn next(&mut self) -> Result<String, Error> {
        loop {
            let heard = {
                let stream = self.connection.notifications_stream();
                let mut stream = std::pin::pin!(stream);
                tokio::time::timeout(SILENCE, stream.next()).await
            };
            match heard {
                Ok(Some(notification)) => return Ok(notification?.payload),
                Ok(None) => return Err(Error::Silent),
                Err(_) => {
                    let tried = self.connection.batch_execute("select 1");
                    tokio::time::timeout(ANSWER, tried).await.map_err(|_| Error::Silent)??;
                }
            }
        }
    }
}
