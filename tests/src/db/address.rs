//! Connection strings, in both forms that Postgres clients know.

use anyhow::Context;
use url::Url;

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

#[cfg(test)]
mod tests {
    use tokio_postgres::{Config, config::Host};

    use super::*;

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
