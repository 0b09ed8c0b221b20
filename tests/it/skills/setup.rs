//! Jobs that go one way or the other.

use crate::support::TestApp;

/// Has every job that waits need this skill; nothing of it is what a policy has decided.
pub async fn need(app: &TestApp, run_id: &str, skill: Option<&str>) {
    let database = app.database.connect().await.unwrap();
    let query = "update jobs set skill = $2 where run_id::text = $1 and status = 'queued'";
    assert_eq!(database.execute(query, &[&run_id, &skill]).await.unwrap(), 1);
}
