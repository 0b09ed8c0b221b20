//! What earlier tests left behind, because they were killed.

use tokio_postgres::Client;

use super::{PREFIX, connect, template};

/// Seconds after which a test database is left over.
const DATABASE_AGE: u64 = 60 * 60;
/// Seconds after which a template is taken for one of migrations that have changed since; it is made again if not.
const TEMPLATE_AGE: u64 = 7 * 24 * 60 * 60;

/// Drops test databases and templates that are old and that nobody is connected to.
pub(super) async fn old_databases(admin_url: &str) -> anyhow::Result<()> {
    let client = connect(admin_url).await?;
    let unused = "select datname, shobj_description(oid, 'pg_database') from pg_database
        where starts_with(datname, $1) and oid not in (select datid from pg_stat_activity where datid is not null)";
    for row in client.query(unused, &[&PREFIX]).await? {
        let name: String = row.get(0);
        drop_if_older(
            &client,
            &name,
            name.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next()),
            DATABASE_AGE,
        )
        .await;
    }
    for row in client.query(unused, &[&template::PREFIX]).await? {
        let (name, made): (String, Option<String>) = (row.get(0), row.get(1));
        drop_if_older(&client, &name, made.as_deref(), TEMPLATE_AGE).await;
    }
    Ok(())
}

async fn drop_if_older(client: &Client, name: &str, made: Option<&str>, age: u64) {
    let made = made.and_then(|seconds| seconds.parse::<u64>().ok());
    if made.is_some_and(|made| made + age < super::now().as_secs()) {
        // Another process may sweep at the same time, or use it after all: then it stays for the next sweep.
        let _ = client.batch_execute(&format!("drop database if exists \"{name}\"")).await;
    }
}
