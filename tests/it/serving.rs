//! How a server starts, and where it refuses to.
//!
//! Contract: 001/FR-019, 001/FR-039.

use std::net::SocketAddr;

use moorline_proto::v1;
use moorline_server::{
    Config,
    config::Database,
    serve::{Error, start},
};
use moorline_tests::db::TestDb;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::support::TestApp;

fn config(database: &TestDb, listen: &str) -> Config {
    let database = Database::External(SecretString::from(database.url().to_owned()));
    Config::new(
        listen.parse().unwrap(),
        database,
        std::env::temp_dir().join("moorline-test-artifacts"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_listens_beyond_loopback_only_when_told_that_it_is_insecure() {
    let database = TestDb::new().await.unwrap();
    let refused = start(config(&database, "0.0.0.0:0"), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, Error::Insecure(_)), "{refused}");
    assert!(refused.to_string().contains("--insecure"), "{refused}");

    let shutdown = CancellationToken::new();
    let told = Config {
        insecure: true,
        ..config(&database, "0.0.0.0:0")
    };
    let running = start(told, shutdown.clone()).await.unwrap();
    shutdown.cancel();
    running.finished().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told_with_what_to_set() {
    let app = TestApp::start().await;
    let taken: SocketAddr = app.address().parse().unwrap();
    let database = TestDb::new().await.unwrap();
    let refused = start(config(&database, &taken.to_string()), CancellationToken::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains(&taken.to_string()) && refused.contains("MOORLINE_LISTEN"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seeded_database_wins_over_the_settings() {
    let database = TestDb::new().await.unwrap();
    for shards in [2, 5] {
        let shutdown = CancellationToken::new();
        let running = start(
            Config {
                shards,
                ..config(&database, "127.0.0.1:0")
            },
            shutdown.clone(),
        )
        .await
        .unwrap();
        let channel = tonic::transport::Channel::from_shared(format!("http://{}", running.address))
            .unwrap()
            .connect_lazy();
        let mut client = v1::shard_service_client::ShardServiceClient::new(channel);
        let listed = client.list_shards(v1::ListShardsRequest {}).await.unwrap().into_inner().shards;
        let codex = listed.iter().filter(|shard| shard.shard_index.is_some()).count();
        assert_eq!(codex, 2, "with {shards} in the settings");
        shutdown.cancel();
        running.finished().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_does_not_hold_a_shutdown_up() {
    let mut app = TestApp::start().await;
    let run = app.create("001-a").await;
    let request = v1::WatchRunRequest {
        run_id: run.run_id,
        after_sequence: 0,
    };
    let mut watch = app.runs().watch_run(request).await.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let begun = std::time::Instant::now();
    app.restart().await;
    assert!(begun.elapsed().as_secs() < 8, "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_waits_for_a_compiler() {
    #[derive(diesel::QueryableByName)]
    struct Setting {
        #[diesel(sql_type = diesel::sql_types::Text)]
        jit: String,
    }
    let database = TestDb::new().await.unwrap();
    let pool = moorline_server::db::connect(&SecretString::from(database.url().to_owned())).unwrap();
    let query = diesel::sql_query("select current_setting('jit') as jit");
    let setting: Setting = diesel_async::RunQueryDsl::get_result(query, &mut pool.get().await.unwrap())
        .await
        .unwrap();
    assert_eq!(setting.jit, "off");
}
