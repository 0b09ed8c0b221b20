//! The embedded Postgres with the machine's real binaries, as whoever runs the tests and, from root, as an unprivileged user too.

use std::{
    fs::Permissions,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::*;

/// Says to a copy of this test program which data directory to hold.
const HOLD: &str = "MOORLINE_TEST_HOLD_DATA_DIR";

/// A directory that the user whom Postgres runs as can pass through.
fn scratch() -> TempDir {
    let dir = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
    dir
}

fn options(data_dir: &Path) -> Options {
    Options {
        durable: false,
        ..Options::new(data_dir)
    }
}

async fn connect(cluster: &Cluster) -> Client {
    let (client, connection) = tokio_postgres::connect(&cluster.connection_string(DATABASE), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn is_alive(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .any(|line| line.starts_with("State:") && !line.contains("Z (zombie)"))
}

fn has_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A copy of this test program, limited to one test.
fn this_program(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("embedded::tests::{test}"), "--nocapture", "--test-threads=1"]);
    command
}

#[tokio::test]
async fn data_is_kept_between_starts_and_stop_ends_postgres() {
    let dir = scratch();
    let data_dir = dir.path().join("made").join("on the way");
    // With everything on, as in production.
    let cluster = start(Options::new(&data_dir)).await.unwrap();
    let client = connect(&cluster).await;
    client
        .batch_execute("create table kept (n int); insert into kept values (7)")
        .await
        .unwrap();
    let settings =
        "select current_setting('fsync') || current_setting('listen_addresses'), rolsuper from pg_roles where rolname = current_user";
    let row = client.query_one(settings, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "on", "fsync is on and no address is listened on");
    assert!(!row.get::<_, bool>(1), "the server's role is an ordinary one");
    let pid = cluster.pid();
    cluster.stop().await.unwrap();
    assert!(!is_alive(pid));

    let cluster = start(options(&data_dir)).await.unwrap();
    let row = connect(&cluster).await.query_one("select n from kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_a_cluster_ends_postgres() {
    let dir = scratch();
    let cluster = start(options(dir.path())).await.unwrap();
    let (pid, ended) = (cluster.pid(), cluster.postmaster.ended_for_test());
    drop(cluster);
    let mut ended = ended;
    ended.wait_for(Option::is_some).await.unwrap();
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_second_start_on_a_live_directory_is_refused_by_name() {
    let dir = scratch();
    let cluster = start(options(dir.path())).await.unwrap();
    let error = start(options(dir.path())).await.unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::InUse { .. }), "{message}");
    assert!(message.contains(&format!("pid {}", std::process::id())), "{message}");
    assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
    connect(&cluster).await.simple_query("select 1").await.unwrap();
    cluster.stop().await.unwrap();
}

/// Not a test by itself: the server that the tests below kill.
#[tokio::test]
async fn as_a_copy_started_by_another_test_it_holds_a_cluster() {
    let Some(data_dir) = std::env::var_os(HOLD) else { return };
    let cluster = start(Options::new(data_dir)).await.unwrap();
    let client = connect(&cluster).await;
    client
        .batch_execute("create table kept (n int); insert into kept values (7)")
        .await
        .unwrap();
    // A session that is too busy to notice for a while that its Postgres was killed.
    let busy = tokio::spawn(async move {
        client
            .batch_execute("do $$ begin while clock_timestamp() < now() + interval '2 seconds' loop end loop; end $$")
            .await
    });
    let watcher = connect(&cluster).await;
    let seen = "select 1 from pg_stat_activity where state = 'active' and query like 'do $$%'";
    while watcher.query_opt(seen, &[]).await.unwrap().is_none() {}
    println!("\nholding {}", cluster.pid());
    busy.await.unwrap().unwrap();
    std::future::pending::<()>().await;
}

/// A server in a process of its own, and the pid of its Postgres.
fn server_process(data_dir: &Path) -> (Child, i32) {
    let mut program = this_program("as_a_copy_started_by_another_test_it_holds_a_cluster");
    let mut child = program.env(HOLD, data_dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pid = lines
        .find_map(|line| line.strip_prefix("holding ").map(|pid| pid.parse().unwrap()))
        .unwrap();
    (child, pid)
}

#[tokio::test]
async fn the_postgres_of_a_killed_server_is_taken_over() {
    let dir = scratch();
    let (mut server, orphan) = server_process(dir.path());
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(is_alive(orphan), "Postgres outlives a server that is killed outright");

    let cluster = start(options(dir.path())).await.unwrap();
    assert!(!is_alive(orphan), "there is one Postgres on the directory");
    let row = connect(&cluster).await.query_one("select n from kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_killed_together_with_its_postgres_recovers() {
    let dir = scratch();
    let (mut server, postmaster) = server_process(dir.path());
    let kill = |pid: i32| rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL);
    server.kill().unwrap();
    kill(postmaster).unwrap();
    server.wait().unwrap();
    assert!(dir.path().join("cluster/postmaster.pid").exists());

    let cluster = start(options(dir.path())).await.unwrap();
    let row = connect(&cluster).await.query_one("select n from kept", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_file_that_names_another_process_harms_neither() {
    let dir = scratch();
    start(options(dir.path())).await.unwrap().stop().await.unwrap();
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    std::fs::write(dir.path().join("cluster/postmaster.pid"), format!("{}\n", bystander.id())).unwrap();

    let cluster = start(options(dir.path())).await.unwrap();
    assert!(bystander.try_wait().unwrap().is_none(), "the bystander was stopped");
    cluster.stop().await.unwrap();
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn an_end_of_postgres_that_nobody_asked_for_is_noticed() {
    let dir = scratch();
    let cluster = start(options(dir.path())).await.unwrap();
    let pid = rustix::process::Pid::from_raw(cluster.pid()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(cluster.ended().await, "exit status: 0");
}

#[tokio::test]
async fn a_data_directory_too_deep_for_a_socket_gets_a_short_private_one() {
    let dir = scratch();
    let data_dir = dir.path().join("d".repeat(120));
    let cluster = start(options(&data_dir)).await.unwrap();
    assert!(!cluster.socket_dir().starts_with(&data_dir));
    assert_eq!(std::fs::metadata(cluster.socket_dir()).unwrap().permissions().mode() & 0o777, 0o700);
    connect(&cluster).await.simple_query("select 1").await.unwrap();
    let socket_dir = cluster.socket_dir().to_owned();
    cluster.stop().await.unwrap();
    // And again, now that the directory exists.
    let cluster = start(options(&data_dir)).await.unwrap();
    assert_eq!(cluster.socket_dir(), socket_dir);
    cluster.stop().await.unwrap();
    std::fs::remove_dir_all(socket_dir).unwrap();
}

#[tokio::test]
async fn a_path_with_spaces_and_quotes_works() {
    let dir = scratch();
    let cluster = start(options(&dir.path().join("it's a \"path\", with all"))).await.unwrap();
    connect(&cluster).await.simple_query("select 1").await.unwrap();
    let socket_dir = cluster.socket_dir().to_owned();
    cluster.stop().await.unwrap();
    std::fs::remove_dir_all(socket_dir).unwrap();
}

#[tokio::test]
async fn settings_that_postgres_refuses_are_told_from_its_log() {
    let dir = scratch();
    let error = start(Options {
        max_connections: 0,
        ..options(dir.path())
    })
    .await
    .unwrap_err();
    let message = error.to_string();
    assert!(message.contains("max_connections"), "{message}");
    assert!(message.contains("postgres.log"), "{message}");
    start(options(dir.path())).await.unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_a_version_that_is_not_here_is_named() {
    let dir = scratch();
    start(options(dir.path())).await.unwrap().stop().await.unwrap();
    std::fs::write(dir.path().join("cluster/PG_VERSION"), "13\n").unwrap();
    let error = start(options(dir.path())).await.unwrap_err();
    assert!(error.to_string().contains("13"), "{error}");
}

#[tokio::test]
async fn binaries_that_are_not_there_are_told_with_how_to_install_them() {
    let dir = scratch();
    let error = start(Options {
        bin_dir: Some(dir.path().to_owned()),
        ..options(&dir.path().join("data"))
    })
    .await
    .unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::BinariesMissing { .. }), "{message}");
    assert!(
        message.contains("no initdb in it") && message.contains("MOORLINE_POSTGRES_BIN"),
        "{message}"
    );
}

#[tokio::test]
async fn a_user_that_does_not_exist_or_cannot_be_is_named() {
    let dir = scratch();
    let error = start(Options {
        user: Some("moorline-nobody-here".to_owned()),
        ..options(dir.path())
    })
    .await
    .unwrap_err();
    assert!(error.to_string().contains("MOORLINE_POSTGRES_USER"), "{error}");
    if has_root() {
        let error = start(Options {
            user: Some("root".to_owned()),
            ..options(dir.path())
        })
        .await
        .unwrap_err();
        assert!(matches!(error, Error::UserIsRoot), "{error}");
    }
}

#[tokio::test]
async fn as_root_a_parent_directory_that_postgres_cannot_enter_is_named() {
    if !has_root() {
        println!(
            "skipped: as_root_a_parent_directory_that_postgres_cannot_enter_is_named (needs root: otherwise Postgres runs as this user)"
        );
        return;
    }
    let dir = scratch();
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let error = start(options(&closed.join("data"))).await.unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { directory, .. } if *directory == closed),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("chmod o+x {}", closed.display())), "{error}");
}

#[tokio::test]
async fn the_user_that_postgres_runs_as_may_not_connect_as_the_server() {
    if !has_root() {
        println!("skipped: the_user_that_postgres_runs_as_may_not_connect_as_the_server (needs root: otherwise the two are one)");
        return;
    }
    let dir = scratch();
    let cluster = start(options(dir.path())).await.unwrap();
    let account = Account::choose(None, &dir.path().join("cluster")).await.unwrap();
    let psql = account
        .command("psql")
        .arg(cluster.connection_string(DATABASE))
        .args(["-c", "select 1"])
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&psql.stderr).into_owned();
    assert!(!psql.status.success() && errors.contains("Peer authentication failed"), "{errors}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn an_unprivileged_user_can_start_it_too() {
    if !has_root() {
        println!("skipped: an_unprivileged_user_can_start_it_too (needs root: otherwise every other test here is this one)");
        return;
    }
    let dir = scratch();
    let program = dir.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let temp = dir.path().join("tmp");
    std::fs::create_dir(&temp).unwrap();
    std::fs::set_permissions(&temp, Permissions::from_mode(0o1777)).unwrap();
    for test in [
        "data_is_kept_between_starts_and_stop_ends_postgres",
        "the_postgres_of_a_killed_server_is_taken_over",
    ] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(&program);
        command.args(["--exact", &format!("embedded::tests::{test}")]);
        let output = command.env("TMPDIR", &temp).env("HOME", "/").current_dir("/").output().unwrap();
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    }
}
