//! Connection strings, in both forms that Postgres clients know.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio_postgres::{Config, config::Host};
use url::Url;

use crate::proxy::Target;

/// The same server and user, another database.
pub(super) fn with_database(address: &str, database: &str) -> anyhow::Result<String> {
    if address.starts_with("postgres://") || address.starts_with("postgresql://") {
        let mut url = Url::parse(address).context("MOORLINE_TEST_DATABASE_URL is no URL")?;
        url.set_path(database);
        return Ok(url.into());
    }
    // Of a setting that comes twice the last counts.
    Ok(format!("{address} dbname={database}"))
}

/// Where a server listens: its first address.
pub(super) fn target(address: &str) -> anyhow::Result<Target> {
    let config: Config = address.parse().context("the test database has no address")?;
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(host)) => Ok(Target::Tcp(format!("{host}:{port}"))),
        Some(Host::Unix(folder)) => Ok(Target::Unix(folder.join(format!(".s.PGSQL.{port}")))),
        None => bail!("the test database's address names no host"),
    }
}

/// The same database and user, at another address, which is TCP.
pub(super) fn through(address: &str, proxy: SocketAddr) -> anyhow::Result<String> {
    let config: Config = address.parse().context("the test database has no address")?;
    let mut url = Url::parse(&format!("postgres://{proxy}"))?;
    let user = config.get_user().unwrap_or_default();
    let password = config.get_password().map(String::from_utf8_lossy);
    if url.set_username(user).is_err() || url.set_password(password.as_deref()).is_err() {
        bail!("the test database's address has a user that fits no URL");
    }
    url.set_path(config.get_dbname().unwrap_or_default());
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_takes_the_place_of_the_host_alone() {
        let proxy: SocketAddr = "127.0.0.1:9".parse().unwrap();
        for (address, led) in [
            ("postgres://user:p%40ss@localhost:5433/db", Target::Tcp("localhost:5433".to_owned())),
            (
                "host=/run/socket user=user password='p@ss' dbname=old dbname=db",
                Target::Unix("/run/socket/.s.PGSQL.5432".into()),
            ),
        ] {
            assert_eq!(target(address).unwrap(), led);
            let config: Config = through(address, proxy).unwrap().parse().unwrap();
            assert_eq!(
                (config.get_hosts(), config.get_ports()),
                (&[Host::Tcp("127.0.0.1".to_owned())][..], &[9][..])
            );
            assert_eq!(
                (config.get_user(), config.get_password(), config.get_dbname()),
                (Some("user"), Some(&b"p@ss"[..]), Some("db"))
            );
        }
    }

    #[test]
    fn only_the_database_changes() {
        for address in [
            "postgres://user:p%40ss@localhost:5433/old?application_name=x",
            "host=localhost port=5433 user=user password='p@ss' dbname='old'",
        ] {
            let config: Config = with_database(address, "new").unwrap().parse().unwrap();
            assert_eq!(config.get_dbname(), Some("new"));
            assert_eq!(config.get_hosts(), [Host::Tcp("localhost".to_owned())]);
            assert_eq!(
                (config.get_ports(), config.get_user(), config.get_password()),
                (&[5433][..], Some("user"), Some(&b"p@ss"[..]))
            );
        }
    }
}
