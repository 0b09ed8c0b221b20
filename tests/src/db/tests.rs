//! Test databases are migrated, private, and gone afterwards; the cluster is shared and survives.

use std::process::Command;

use super::*;

async fn exists(name: &str) -> bool {
    let client = connect(&cluster::url().await.unwrap()).await.unwrap();
    client
        .query_opt("select 1 from pg_database where datname = $1", &[&name])
        .await
        .unwrap()
        .is_some()
}

#[tokio::test]
async fn each_test_has_a_migrated_database_of_its_own() {
    let (one, other) = (TestDb::new().await.unwrap(), TestDb::new().await.unwrap());
    let (in_one, in_other) = (one.connect().await.unwrap(), other.connect().await.unwrap());
    in_one.batch_execute("create table mine ()").await.unwrap();
    assert!(in_one.query("select id from runs", &[]).await.unwrap().is_empty());
    assert!(in_other.query("select * from mine", &[]).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_has_every_migration() {
    let db = TestDb::new().await.unwrap();
    assert_eq!(moorline_server::db::migrations::run(db.url()).await.unwrap(), Vec::<String>::new());
    let empty = TestDb::empty().await.unwrap();
    assert!(!moorline_server::db::migrations::run(empty.url()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_database_goes_with_its_test_even_when_someone_is_connected() {
    let db = TestDb::new().await.unwrap();
    let name = db.name.clone();
    let _connected = db.connect().await.unwrap();
    assert!(exists(&name).await);
    drop(db);
    assert!(!exists(&name).await);
}

#[tokio::test]
async fn databases_of_killed_tests_are_swept_after_an_hour() {
    let url = cluster::url().await.unwrap();
    let client = connect(&url).await.unwrap();
    let seconds = now().as_secs();
    let (old, young) = (
        format!("{PREFIX}{}_0_{seconds}", seconds - 3700),
        format!("{PREFIX}{}_0_{seconds}", seconds - 3500),
    );
    for name in [&old, &young] {
        client.batch_execute(&format!("create database {name}")).await.unwrap();
    }
    sweep::old_databases(&url).await.unwrap();
    assert!(!exists(&old).await && exists(&young).await);
    client.batch_execute(&format!("drop database {young}")).await.unwrap();
}

#[tokio::test]
async fn a_cluster_is_shared_by_processes_and_replaced_when_it_is_spoilt() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let directory = dir.path().join("shared");
    let (one, other) = tokio::join!(cluster::shared(&directory), cluster::shared(&directory));
    let (url, other) = (one.unwrap(), other.unwrap());
    assert_eq!(url, other);
    let started = "select pg_postmaster_start_time()::text";
    let begun: String = connect(&url).await.unwrap().query_one(started, &[]).await.unwrap().get(0);
    cluster::shared(&directory).await.unwrap();
    let still: String = connect(&url).await.unwrap().query_one(started, &[]).await.unwrap().get(0);
    assert_eq!(begun, still, "a cluster that answers is not started again");

    // The note is there, but nobody answers, and the files are not whole.
    stop(&directory).await;
    std::fs::remove_dir_all(directory.join("cluster/global")).unwrap();
    cluster::shared(&directory).await.unwrap();
    connect(&url).await.unwrap().simple_query("select 1").await.unwrap();
    stop(&directory).await;
}

/// Takes the cluster over, as a server would, and stops it.
async fn stop(directory: &std::path::Path) {
    let options = moorline_server::embedded::Options::from_env(directory);
    moorline_server::embedded::start(options).await.unwrap().stop().await.unwrap();
}

/// Not a test by itself: one of the processes of the test below.
#[tokio::test]
async fn as_a_copy_started_by_another_test_it_uses_a_database() {
    if std::env::var_os("MOORLINE_TEST_USE_DATABASE").is_some() {
        TestDb::new()
            .await
            .unwrap()
            .connect()
            .await
            .unwrap()
            .query("select id from runs", &[])
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn many_processes_at_once_each_get_a_database() {
    let processes: Vec<_> = (0..6)
        .map(|_| {
            let mut program = Command::new(std::env::current_exe().unwrap());
            program.args(["--exact", "db::tests::as_a_copy_started_by_another_test_it_uses_a_database"]);
            program
                .env("MOORLINE_TEST_USE_DATABASE", "1")
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
}
