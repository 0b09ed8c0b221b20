//! What scrapes cost the database.

use std::time::Duration;

use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use crate::support::{TestApp, http::client};

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn scrapers_that_give_up_leave_one_statement_behind_at_most() {
    let app = TestApp::start().await;
    let url = format!("{}/metrics", app.http());
    let mut connection = AsyncPgConnection::establish(app.database.url()).await.unwrap();
    connection
        .batch_execute("begin; lock table worker_sessions in access exclusive mode")
        .await
        .unwrap();
    let mut most = 0;
    for _ in 0..12 {
        let given_up = client().get(&url).timeout(Duration::from_millis(150)).send().await;
        assert!(given_up.is_err(), "the table is locked");
        let waiting = "select count(*) as count from pg_stat_activity
             where datname = current_database() and wait_event_type = 'Lock' and query like '%redirected_at is null) as workers%'";
        let found: Count = sql_query(waiting).get_result(&mut connection).await.unwrap();
        most = most.max(found.count);
    }
    assert_eq!(most, 1);
    // The statement has an end of its own, and so does a scrape that waits.
    let answer = client().get(&url).timeout(Duration::from_secs(20)).send().await.unwrap();
    assert!(answer.status().is_success());
    connection.batch_execute("rollback").await.unwrap();
}
