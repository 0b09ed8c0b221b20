//! The worker's stream: who is let in, who is refused, and what happens when it ends.
//!
//! Contract: 001/FR-029, 001/FR-034, 007/FR-008, 007/FR-009, 007/FR-014.

use std::time::Duration;

use moorline_proto::v1::{self, connect_request};
use moorline_server::flow::Timers;

use crate::support::{
    ScriptedWorker, TestApp, fact, kind,
    scripted_worker::{discovered, hello, shard_hello},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_speaks_before_its_hello_is_refused() {
    let app = TestApp::start().await;
    let credit = connect_request::Frame::Credit(v1::Credit {
        queue: "default".to_owned(),
        jobs: 1,
    });
    let refused = ScriptedWorker::first_frame(&app, credit).await.unwrap_err();
    assert_eq!(kind(&refused), "FailedPrecondition HELLO_EXPECTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_says_nothing_is_refused_when_its_deadline_has_passed() {
    let timers = Timers {
        hello_deadline: Duration::from_millis(200),
        ..Timers::default()
    };
    let app = TestApp::with_timers(timers).await;
    let (_silent, frames) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(frames);
    let mut answers = app.workers().connect(stream).await.unwrap().into_inner();
    assert_eq!(kind(&answers.message().await.unwrap_err()), "FailedPrecondition HELLO_EXPECTED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_that_can_not_be_served_is_refused_with_what_to_set() {
    let app = TestApp::start().await;
    let refused = async |hello| kind(&ScriptedWorker::connect(&app, hello).await.err().expect("a refusal"));
    assert_eq!(refused(hello("w", "codex-9")).await, "InvalidArgument UNKNOWN_QUEUE");
    assert_eq!(refused(hello("w", "codex-1")).await, "FailedPrecondition VOLUME_MISMATCH");
    assert_eq!(
        refused(v1::Hello {
            protocol_version: 7,
            ..hello("w", "default")
        })
        .await,
        "FailedPrecondition PROTOCOL_VERSION"
    );
    assert_eq!(
        refused(v1::Hello {
            slots: 0,
            ..hello("w", "default")
        })
        .await,
        "InvalidArgument INVALID_HELLO"
    );
    assert_eq!(
        refused(v1::Hello {
            instance_id: "x".to_owned(),
            ..hello("w", "default")
        })
        .await,
        "InvalidArgument INVALID_ID"
    );
    let mut other_volume = shard_hello("w", 1);
    other_volume.volume.as_mut().unwrap().volume = "codex_auth_2".to_owned();
    assert_eq!(refused(other_volume).await, "FailedPrecondition VOLUME_MISMATCH");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_on_a_volume_is_refused_with_the_name_of_the_first() {
    let app = TestApp::start().await;
    let first = ScriptedWorker::shard_worker(&app, "first", 1).await;
    let refused = ScriptedWorker::connect(&app, shard_hello("second", 1))
        .await
        .err()
        .expect("a refusal");
    assert_eq!(kind(&refused), "AlreadyExists VOLUME_HELD");
    assert_eq!(
        (fact(&refused, "worker"), fact(&refused, "hostname")),
        ("first".to_owned(), "host-of-first".to_owned())
    );
    assert!(
        refused.message().contains("first") && refused.message().contains("codex_auth_1"),
        "{}",
        refused.message()
    );

    // A broken line doesn't give the volume up: its worker may come back.
    first.vanish();
    let refused = ScriptedWorker::connect(&app, shard_hello("second", 1))
        .await
        .err()
        .expect("a refusal");
    assert_eq!(kind(&refused), "AlreadyExists VOLUME_HELD");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_says_goodbye_gives_its_volume_up() {
    let app = TestApp::start().await;
    ScriptedWorker::shard_worker(&app, "first", 1).await.leave().await;
    ScriptedWorker::connect(&app, shard_hello("second", 1))
        .await
        .expect("the volume at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_instance_of_a_live_name_is_refused_and_the_first_goes_on() {
    let app = TestApp::start().await;
    let mut first = ScriptedWorker::default_worker(&app, "w").await;
    let second = ScriptedWorker::connect(&app, hello("w", "default"));
    let alive = async {
        // The server asks the first for a sign of life.
        loop {
            if let Some(v1::connect_response::Frame::Ping(ping)) = first.next().await.unwrap() {
                first
                    .send(connect_request::Frame::Pong(v1::Pong {
                        nonce: ping.nonce,
                        lease_age: None,
                    }))
                    .await;
                return first;
            }
        }
    };
    let (second, mut first) = tokio::join!(second, alive);
    let refused = second.err().expect("a refusal");
    assert_eq!(
        (kind(&refused).as_str(), fact(&refused, "hostname").as_str()),
        ("AlreadyExists WORKER_NAME_TAKEN", "host-of-w")
    );
    app.create("001-a").await;
    first.work("default", discovered()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_whose_holder_gives_no_sign_of_life_is_taken_over() {
    let app = TestApp::start().await;
    let _silent = ScriptedWorker::default_worker(&app, "w").await;
    ScriptedWorker::connect(&app, hello("w", "default"))
        .await
        .expect("the seat of the silent one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_sign_of_life_is_ended() {
    let timers = Timers {
        ping_timeout: Duration::from_millis(300),
        poll: Duration::from_millis(100),
        ..Timers::default()
    };
    let app = TestApp::with_timers(timers).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    assert_eq!(worker.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    worker.send(connect_request::Frame::Ping(v1::Ping { nonce: 42 })).await;
    let Some(v1::connect_response::Frame::Pong(pong)) = worker.next().await.unwrap() else {
        panic!("a ping is answered by a pong");
    };
    assert_eq!(pong.nonce, 42);
    // The registration has begun the lease.
    assert!(pong.lease_age.is_some_and(|age| age.seconds < 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_active_while_its_worker_is_there() {
    let app = TestApp::start().await;
    let status = async || {
        let request = v1::GetShardRequest {
            queue: "codex-1".to_owned(),
        };
        app.shards().get_shard(request).await.unwrap().into_inner().shard.unwrap()
    };
    assert_eq!(status().await.status(), v1::ShardStatus::Offline);
    let worker = ScriptedWorker::shard_worker(&app, "w", 1).await;
    let shard = status().await;
    assert_eq!(
        (shard.status(), shard.worker_hostname.as_str()),
        (v1::ShardStatus::Active, "host-of-w")
    );
    let volume = shard.volume.unwrap();
    assert_eq!(
        (volume.status(), volume.owner_worker.as_str(), volume.generation > 0),
        (v1::VolumeStatus::Ready, "w", true)
    );
    worker.vanish();
    let offline = async {
        while status().await.status() != v1::ShardStatus::Offline {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), offline)
        .await
        .expect("offline in time");
    let request = v1::GetShardRequest {
        queue: "codex-77".to_owned(),
    };
    assert_eq!(
        kind(&app.shards().get_shard(request).await.unwrap_err()),
        "NotFound SHARD_NOT_FOUND"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shuts_down_sends_its_workers_elsewhere() {
    let mut app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    app.restart().await;
    assert!(matches!(
        worker.next().await.unwrap(),
        Some(v1::connect_response::Frame::Redirect(_))
    ));
    assert_eq!(worker.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_workers_that_present_a_free_volume_at_once_one_gets_it() {
    let app = TestApp::start().await;
    for round in 0..10 {
        let (left, right) = (format!("left-{round}"), format!("right-{round}"));
        let (left, right) = tokio::join!(
            ScriptedWorker::connect(&app, shard_hello(&left, 1)),
            ScriptedWorker::connect(&app, shard_hello(&right, 1)),
        );
        let (held, refused) = match (left, right) {
            (Ok(held), Err(refused)) | (Err(refused), Ok(held)) => (held, refused),
            (Ok(_), Ok(_)) => panic!("both hold the volume"),
            (Err(left), Err(right)) => panic!("neither holds the volume: {left} {right}"),
        };
        assert_eq!(kind(&refused), "AlreadyExists VOLUME_HELD");
        held.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_presented_for_the_queue_that_it_belongs_to_or_not_at_all() {
    let app = TestApp::start().await;
    let mut elsewhere = shard_hello("w", 0);
    elsewhere.queues = vec!["default".to_owned()];
    let refused = ScriptedWorker::connect(&app, elsewhere).await.err().expect("a refusal");
    assert_eq!(kind(&refused), "FailedPrecondition VOLUME_MISMATCH");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_that_end_at_once_do_not_hold_the_server_up() {
    let app = TestApp::start().await;
    let mut workers = Vec::new();
    for index in 0..24 {
        app.create(&format!("{index:03}-x")).await;
        let mut worker = ScriptedWorker::default_worker(&app, &format!("w-{index}")).await;
        worker.credit("default", 1).await;
        let offer = worker.offer().await;
        worker.accept(&offer).await;
        let progress = v1::report::News::Progress(v1::StageProgress::default());
        worker.report(&offer, 1, progress).await;
        assert_eq!(worker.acknowledged().await, Some(1));
        workers.push(worker);
    }
    workers.into_iter().for_each(ScriptedWorker::vanish);
    let mut last = ScriptedWorker::default_worker(&app, "last").await;
    last.credit("default", 24).await;
    for _ in 0..24 {
        assert_eq!(last.offer().await.attempt, 2);
    }
}
