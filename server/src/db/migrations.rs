//! The schema's migrations, embedded in the program.

use diesel_async::{AsyncConnection as _, AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Any number of servers may start at once; the one that gets this lock migrates, the others wait and find nothing to do.
const LOCK: &str = "select pg_advisory_lock(hashtext('moorline.migrations'))";

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database doesn't answer.
    #[error("the database does not answer: check MOORLINE_DATABASE_URL, and that Postgres is running")]
    Connect(#[from] diesel::ConnectionError),
    /// The lock could not be taken.
    #[error("the lock for migrations could not be taken")]
    Lock(#[from] diesel::result::Error),
    /// A migration failed.
    #[error("a migration failed: the database is as it was before it")]
    Migrate(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs what is pending; returns the names of what ran. Needs a multi-thread runtime, since the harness blocks.
///
/// # Errors
///
/// When the database can't be reached, or a migration fails.
pub async fn run(database: &str) -> Result<Vec<String>, Error> {
    with_harness(database, |harness| {
        Ok(harness
            .run_pending_migrations(MIGRATIONS)?
            .iter()
            .map(ToString::to_string)
            .collect())
    })
    .await
}

/// Reverts everything, newest first; returns the names of what was reverted. For tests of the way down.
///
/// # Errors
///
/// When the database can't be reached, or a migration fails.
pub async fn revert_all(database: &str) -> Result<Vec<String>, Error> {
    with_harness(database, |harness| {
        Ok(harness.revert_all_migrations(MIGRATIONS)?.iter().map(ToString::to_string).collect())
    })
    .await
}

type Harness = AsyncMigrationHarness<AsyncPgConnection>;
type Names = Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>>;

async fn with_harness(database: &str, work: impl FnOnce(&mut Harness) -> Names) -> Result<Vec<String>, Error> {
    let mut connection = AsyncPgConnection::establish(database).await?;
    // Released with the connection, whatever happens.
    connection.batch_execute(LOCK).await?;
    work(&mut AsyncMigrationHarness::new(connection)).map_err(Error::Migrate)
}
