//! Connections to Postgres.

use diesel_async::{
    AsyncPgConnection, SimpleAsyncConnection as _,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        deadpool::{Object, Pool as Deadpool, PoolError},
    },
};
use futures::FutureExt as _;
use secrecy::{ExposeSecret as _, SecretString};

/// A pool of connections.
pub type Pool = Deadpool<AsyncPgConnection>;

/// A connection out of the pool.
pub type Pooled = Object<AsyncPgConnection>;

/// Most connections of one server. Few are enough: measured, four carry as many batched writes as eight.
const MAX_SIZE: usize = 12;

/// What every connection is set to, so that nothing waits or stays open without end.
const SESSION_SETTINGS: &str = "set jit = off; set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '30s'; set lock_timeout = '10s'";

/// Makes a pool. No connection is opened before the first is asked for.
///
/// # Errors
///
/// When the pool can't be built.
pub fn connect(database: &SecretString) -> Result<Pool, deadpool_build::Error> {
    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    // The default sends a test query at every checkout.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(|url| {
        async move {
            let mut connection = <AsyncPgConnection as diesel_async::AsyncConnection>::establish(url).await?;
            connection
                .batch_execute(SESSION_SETTINGS)
                .await
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(database.expose_secret(), config);
    Deadpool::builder(manager).max_size(MAX_SIZE).build()
}

/// Why a pool can't be built.
pub mod deadpool_build {
    pub use diesel_async::pooled_connection::deadpool::BuildError as Error;
}

/// Why no connection could be had.
pub type Error = PoolError;
