//! Gemini's queue on the server: where runs go, whose logins serve them, and what becomes of databases from before it.

use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use moorline_proto::v1;

use crate::support::{
    ScriptedWorker, TestApp,
    app::request,
    eventually, fact, kind,
    scripted_worker::{discovered, hello},
};

fn gemini(feature: &str) -> v1::CreateRunRequest {
    v1::CreateRunRequest {
        agent: v1::Agent::Gemini.into(),
        ..request(feature)
    }
}

/// A Hello of the worker that holds Gemini's volume, with a check of this result.
fn gemini_hello(name: &str, status: v1::PreflightStatus) -> v1::Hello {
    let (queue, volume) = ("gemini".to_owned(), "gemini_auth".to_owned());
    let rung = match status {
        v1::PreflightStatus::Passed => v1::PreflightRung::Present,
        _ => v1::PreflightRung::NotLoggedIn,
    };
    let preflight = v1::Preflight {
        status: status.into(),
        rung: rung.into(),
        message: "volume gemini_auth: moorline volume login gemini_auth".to_owned(),
        volume: volume.clone(),
        queue: queue.clone(),
        worker_name: name.to_owned(),
        ..Default::default()
    };
    v1::Hello {
        volume: Some(v1::VolumeBinding {
            volume,
            queue,
            preflight: Some(preflight),
            capacity: 1,
            ..Default::default()
        }),
        ..hello(name, "gemini")
    }
}

async fn shard(app: &TestApp) -> v1::Shard {
    let queue = "gemini".to_owned();
    let shard = app.shards().get_shard(v1::GetShardRequest { queue }).await.unwrap();
    shard.into_inner().shard.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gemini_run_goes_to_geminis_queue_and_records_its_volume_and_no_number() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "d").await;
    let mut worker = ScriptedWorker::connect(&app, gemini_hello("g", v1::PreflightStatus::Passed))
        .await
        .unwrap();
    let run = app.create_with(gemini("001-a")).await.unwrap();
    assert_eq!((run.codex_queue.as_str(), run.codex_volume.as_str()), ("gemini", "gemini_auth"));
    assert_eq!(
        (run.codex_shard_index, run.hash_modulo, run.agent()),
        (None, None, v1::Agent::Gemini)
    );

    default.work("default", discovered()).await;
    worker.credit("gemini", 1).await;
    let submit = worker.offer().await;
    let spec = submit.spec.unwrap();
    assert_eq!(
        (spec.agent(), spec.volume.as_str(), spec.shard_index),
        (v1::Agent::Gemini, "gemini_auth", None)
    );
    let shown = shard(&app).await;
    assert_eq!((shown.shard_index, shown.hash_modulo, shown.routed), (None, 0, true));
    assert_eq!((shown.status(), shown.latest_run_id), (v1::ShardStatus::Active, run.run_id));
    assert_eq!(shown.volume.unwrap().provider(), v1::Provider::Gemini);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_for_one_agent() {
    let app = TestApp::start().await;
    let explicit = |queue: &str, agent: v1::Agent, feature: &str| v1::CreateRunRequest {
        codex_queue: queue.to_owned(),
        agent: agent.into(),
        ..request(feature)
    };
    for (queue, agent, told) in [
        ("codex-1", v1::Agent::Gemini, "--agent codex"),
        ("gemini", v1::Agent::Codex, "--agent gemini"),
        ("gemini", v1::Agent::Unspecified, "--agent gemini"),
    ] {
        let refused = app.create_with(explicit(queue, agent, "001-a")).await.unwrap_err();
        assert_eq!(kind(&refused), "InvalidArgument QUEUE_OF_OTHER_AGENT", "{queue} {agent:?}");
        assert_eq!(fact(&refused, "queue"), queue);
        assert!(refused.message().contains(told), "{}", refused.message());
    }
    let run = app.create_with(explicit("gemini", v1::Agent::Gemini, "001-b")).await.unwrap();
    assert_eq!(run.codex_queue, "gemini");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_says_that_the_agent_chose_it() {
    let app = TestApp::start().await;
    let route = async |agent: v1::Agent, queue: &str| {
        let asked = v1::ResolveRouteRequest {
            affinity_key: "k".to_owned(),
            agent: agent.into(),
            codex_queue: queue.to_owned(),
            ..Default::default()
        };
        app.shards().resolve_route(asked).await.unwrap().into_inner()
    };
    let by_agent = route(v1::Agent::Gemini, "").await;
    assert_eq!((by_agent.queue.as_str(), by_agent.volume.as_str()), ("gemini", "gemini_auth"));
    assert_eq!((by_agent.shard_index, by_agent.hash_modulo), (None, None));
    assert_eq!(
        (by_agent.reason(), by_agent.shard_status()),
        (v1::RouteReason::Agent, v1::ShardStatus::Offline)
    );
    assert_eq!(
        route(v1::Agent::Unspecified, "gemini").await.reason(),
        v1::RouteReason::ExplicitQueue
    );
    assert_eq!(route(v1::Agent::Codex, "").await.reason(), v1::RouteReason::Hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn geminis_queue_is_gated_by_its_login_and_drained_like_a_shard() {
    let app = TestApp::start().await;
    let mut default = ScriptedWorker::default_worker(&app, "d").await;
    let mut worker = ScriptedWorker::connect(&app, gemini_hello("g", v1::PreflightStatus::Failed))
        .await
        .unwrap();
    let run = app.create_with(gemini("001-a")).await.unwrap();
    default.work("default", discovered()).await;
    let failure = app.finished(&run.run_id).await.run.unwrap().failure.unwrap();
    assert_eq!(failure.code, "NOT_LOGGED_IN");
    assert!(failure.message.contains("moorline volume login gemini_auth"), "{}", failure.message);

    worker.leave().await;
    worker = ScriptedWorker::connect(&app, gemini_hello("g", v1::PreflightStatus::Passed))
        .await
        .unwrap();
    let drain = v1::DrainShardRequest {
        queue: "gemini".to_owned(),
        reason: "a new key".to_owned(),
    };
    let drained = app.shards().drain_shard(drain).await.unwrap().into_inner().shard.unwrap();
    assert_eq!(drained.status(), v1::ShardStatus::Draining);
    app.create_with(gemini("001-b")).await.unwrap();
    default.work("default", discovered()).await;
    worker.credit("gemini", 1).await;
    eventually("the job waits", async || (shard(&app).await.queued_jobs == 1).then_some(())).await;
    let queue = "gemini".to_owned();
    let active = app.shards().activate_shard(v1::ActivateShardRequest { queue }).await.unwrap();
    assert_eq!(active.into_inner().shard.unwrap().status(), v1::ShardStatus::Active);
    assert_eq!(worker.offer().await.spec.unwrap().volume, "gemini_auth");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_geminis_volume_is_told_which_to_present() {
    let app = TestApp::start().await;
    let refused = ScriptedWorker::connect(&app, hello("g", "gemini")).await.err().unwrap();
    assert_eq!(kind(&refused), "FailedPrecondition VOLUME_MISMATCH");
    for told in ["gemini_auth", "MOORLINE_GEMINI_VOLUME"] {
        assert!(refused.message().contains(told), "{}", refused.message());
    }
    let _first = ScriptedWorker::connect(&app, gemini_hello("g", v1::PreflightStatus::Passed))
        .await
        .unwrap();
    let second = ScriptedWorker::connect(&app, gemini_hello("h", v1::PreflightStatus::Passed))
        .await
        .err()
        .unwrap();
    assert_eq!(kind(&second), "AlreadyExists VOLUME_HELD");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_from_before_gemini_gets_its_queue_and_keeps_everything_else() {
    let app = TestApp::start().await;
    let mut connection = AsyncPgConnection::establish(app.database.url()).await.unwrap();
    // As a server from before it has left the database, with a shard more than the settings say.
    app.shards().set_shard_count(v1::SetShardCountRequest { count: 4 }).await.unwrap();
    connection
        .batch_execute("delete from shards where queue_name = 'gemini'; delete from auth_volumes where provider = 'gemini'")
        .await
        .unwrap();
    let second = app.peer().await;
    let listed = second
        .shards()
        .list_shards(v1::ListShardsRequest {})
        .await
        .unwrap()
        .into_inner()
        .shards;
    let told: Vec<_> = listed
        .iter()
        .map(|shard| (shard.queue.as_str(), shard.shard_index, shard.hash_modulo))
        .collect();
    assert_eq!(
        told,
        [
            ("codex-0", Some(0), 3),
            ("codex-1", Some(1), 3),
            ("codex-2", Some(2), 3),
            ("codex-3", Some(3), 4),
            ("gemini", None, 0)
        ]
    );
    // The number that isn't one belongs to this queue alone, and no shard can be without its own.
    for wrong in [
        "update shards set shard_index = 9 where queue_name = 'gemini'",
        "update shards set shard_index = -1 where queue_name = 'codex-3'",
        "update shards set queue_name = 'other' where queue_name = 'gemini'",
    ] {
        let refused = connection.batch_execute(wrong).await.unwrap_err().to_string();
        assert!(
            refused.contains("shards_queue_name_check") || refused.contains("shards_shard_index_key"),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_that_reaches_geminis_volume_is_refused_as_a_whole() {
    let app = TestApp::start().await;
    let mut connection = AsyncPgConnection::establish(app.database.url()).await.unwrap();
    connection
        .batch_execute(
            "insert into auth_volumes (name, provider) values ('codex_auth_3', 'gemini');
             update shards set volume_name = 'codex_auth_3' where queue_name = 'gemini'",
        )
        .await
        .unwrap();
    let refused = app
        .shards()
        .set_shard_count(v1::SetShardCountRequest { count: 4 })
        .await
        .unwrap_err();
    assert_eq!(kind(&refused), "AlreadyExists VOLUME_TAKEN");
    assert_eq!(fact(&refused, "volume"), "codex_auth_3");
    let shards = app
        .shards()
        .list_shards(v1::ListShardsRequest {})
        .await
        .unwrap()
        .into_inner()
        .shards;
    assert!(
        shards
            .iter()
            .filter(|shard| shard.queue != "gemini")
            .all(|shard| shard.hash_modulo == 3)
    );
    for feature in ["001-a", "001-b", "001-c", "001-d", "001-e"] {
        app.create(feature).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_servers_that_make_geminis_queue_at_once_one_does() {
    let app = TestApp::start().await;
    let mut first = AsyncPgConnection::establish(app.database.url()).await.unwrap();
    // As another server that is in the middle of it, with another name for the volume.
    first
        .batch_execute(
            "delete from shards where queue_name = 'gemini'; delete from auth_volumes where provider = 'gemini';
             begin; select hash_modulo from routing_settings for update;
             insert into auth_volumes (name, provider) values ('gemini_other', 'gemini');
             insert into shards (queue_name, shard_index, volume_name, hash_modulo) values ('gemini', -1, 'gemini_other', 3)",
        )
        .await
        .unwrap();
    let mut look = AsyncPgConnection::establish(app.database.url()).await.unwrap();
    let (second, ()) = tokio::join!(app.peer(), async {
        let waits =
            "select 1 / (count(*) filter (where wait_event_type = 'Lock'))::int from pg_stat_activity where datname = current_database()";
        eventually("the second server waits", async || look.batch_execute(waits).await.ok()).await;
        first.batch_execute("commit").await.unwrap();
    });
    let listed = second
        .shards()
        .list_shards(v1::ListShardsRequest {})
        .await
        .unwrap()
        .into_inner()
        .shards;
    let gemini = listed.iter().find(|shard| shard.queue == "gemini").unwrap();
    assert_eq!(gemini.volume.as_ref().unwrap().name, "gemini_other");
    let alone = "select 1 / (count(*) = 1)::int from auth_volumes where provider = 'gemini'";
    look.batch_execute(alone).await.expect("one volume of Gemini's");
}
