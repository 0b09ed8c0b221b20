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

/// What every connection is set to, so that nothing waits or stays open without end. Statements here are short: compiling one, which
/// Postgres does when its plan looks expensive (and a claim's does, since it switches plans off), takes a second and saves nothing.
const SESSION_SETTINGS: &str =
    "set statement_timeout = '30s'; set idle_in_transaction_session_timeout = '30s'; set lock_timeout = '10s'; set jit = off";

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
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(with_timeouts(database.expose_secret()), config);
    Deadpool::builder(manager).max_size(MAX_SIZE).build()
}

/// Why a pool can't be built.
pub mod deadpool_build {
    pub use diesel_async::pooled_connection::deadpool::BuildError as Error;
}

/// Why no connection could be had.
pub type Error = PoolError;

/// Ends a connection whose other end has vanished without a word, as a failover leaves it, after seconds and not after the system's quarter of
/// an hour. What the address itself says wins.
fn with_timeouts(database: &str) -> String {
    const TIMEOUTS: [(&str, &str); 3] = [("tcp_user_timeout", "15"), ("keepalives_idle", "10"), ("connect_timeout", "10")];
    let is_url = database.starts_with("postgres://") || database.starts_with("postgresql://");
    let mut address = database.to_owned();
    for (name, seconds) in TIMEOUTS {
        if address.contains(name) {
            continue;
        }
        let before = match (is_url, address.contains('?')) {
            (true, true) => '&',
            (true, false) => '?',
            (false, _) => ' ',
        };
        address.push(before);
        address.push_str(&format!("{name}={seconds}"));
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_timeouts_unless_they_have_their_own() {
        let parsed = |address: &str| with_timeouts(address).parse::<tokio_postgres::Config>().unwrap();
        for address in ["postgres://u@h/d", "postgres://u@h/d?sslmode=disable", "host=/run user=u dbname=d"] {
            let config = parsed(address);
            assert_eq!(
                config.get_tcp_user_timeout().map(std::time::Duration::as_secs),
                Some(15),
                "{address}"
            );
            assert_eq!(config.get_dbname(), Some("d"));
        }
        assert_eq!(
            parsed("postgres://u@h/d?connect_timeout=3")
                .get_connect_timeout()
                .map(std::time::Duration::as_secs),
            Some(3)
        );
    }
}
