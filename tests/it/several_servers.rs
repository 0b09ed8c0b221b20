//! Several servers on one database: what one is asked reaches the worker on another, and what one leaves behind the others put right.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use moorline_proto::v1::{self, command_result, connect_request, connect_response::Frame};
use moorline_server::{flow::Timers, session::Limits};
use tonic_types::StatusExt as _;

use crate::support::{
    ScriptedWorker, TestApp, fact, kind,
    scripted_worker::{discovered, finished, hello, no_work, shard_hello},
};

/// Within this time whatever the tests wait for has happened.
const PATIENCE: Duration = Duration::from_secs(20);

/// Servers that look by themselves so rarely that only a hint explains what comes earlier.
fn rare_looks() -> Timers {
    Timers {
        poll: Duration::from_secs(60),
        ..Timers::default()
    }
}

/// Servers whose death is found out quickly.
fn quick_burial() -> Timers {
    Timers {
        poll: Duration::from_millis(100),
        server_timeout: Duration::from_millis(700),
        ..Timers::default()
    }
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn count(app: &TestApp, query: &str) -> i64 {
    app.database.connect().await.unwrap().query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_through_one_server_reaches_the_worker_on_another_at_once() {
    let here = TestApp::with_timers(rare_looks()).await;
    let there = here.peer().await;
    let run = here.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&here, "w").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    until("the job runs", async || {
        here.get(&run.run_id).await.jobs[0].status() == v1::JobStatus::Running
    })
    .await;

    let begun = Instant::now();
    let request = v1::CancelRunRequest {
        run_id: run.run_id.clone(),
        reason: "test".to_owned(),
    };
    there.runs().cancel_run(request).await.unwrap();
    assert!(matches!(worker.next().await.unwrap(), Some(Frame::Cancel(cancel)) if cancel.job_id == offer.job_id));
    assert!(begun.elapsed() < Duration::from_secs(12), "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_one_server_queues_is_offered_by_another_at_once() {
    let here = TestApp::with_timers(rare_looks()).await;
    let there = here.peer().await;
    let mut worker = ScriptedWorker::default_worker(&here, "w").await;
    worker.credit("default", 1).await;
    // The credit has been looked at when the answer to a later frame is here.
    worker.send(connect_request::Frame::Ping(v1::Ping { nonce: 1 })).await;
    assert!(matches!(worker.next().await.unwrap(), Some(Frame::Pong(_))));

    let begun = Instant::now();
    there.create("001-a").await;
    worker.offer().await;
    assert!(begun.elapsed() < Duration::from_secs(12), "it took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_end_could_not_be_stored_is_taken_out_by_its_own_server() {
    let app = TestApp::with_timers(quick_burial()).await;
    ScriptedWorker::default_worker(&app, "w").await.vanish();
    let open = "select count(*) from worker_sessions where ended_at is null";
    until("its end is stored", async || count(&app, open).await == 0).await;
    // As it would be had the database been away in that moment.
    let lost = "update worker_sessions set ended_at = null, end_reason = null";
    app.database.connect().await.unwrap().execute(lost, &[]).await.unwrap();
    until("it is taken out", async || count(&app, open).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_live_on_one_server_is_taken_on_all() {
    let here = TestApp::start().await;
    let there = here.peer().await;
    let mut first = ScriptedWorker::default_worker(&here, "w").await;
    let refused = tokio::select! {
        () = first.live() => panic!("the first one's stream ended"),
        second = ScriptedWorker::connect(&there, hello("w", "default")) => second.err().expect("a refusal"),
    };
    assert_eq!(kind(&refused), "AlreadyExists WORKER_NAME_TAKEN");
    assert_eq!(
        (fact(&refused, "hostname"), fact(&refused, "instance_id")),
        ("host-of-w".to_owned(), first.hello.instance_id.clone())
    );
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_whose_holder_on_another_server_gives_no_sign_of_life_is_taken_over() {
    let here = TestApp::start().await;
    let there = here.peer().await;
    let mut silent = ScriptedWorker::shard_worker(&here, "w", 1).await;
    let _second = ScriptedWorker::connect(&there, shard_hello("w", 1))
        .await
        .expect("the name of the silent one");
    assert!(matches!(silent.next().await.unwrap(), Some(Frame::Ping(_))));
    assert_eq!(silent.next().await.unwrap(), None);
    // The old stream's end has not taken the new one's shard out.
    assert_eq!(shard(&there, "codex-1").await, v1::ShardStatus::Active);
}

async fn shard(app: &TestApp, queue: &str) -> v1::ShardStatus {
    let request = v1::GetShardRequest { queue: queue.to_owned() };
    app.shards().get_shard(request).await.unwrap().into_inner().shard.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_take_a_name_at_once_on_two_servers_one_gets_it() {
    let here = TestApp::start().await;
    let there = here.peer().await;
    for round in 0..5 {
        let name = format!("w-{round}");
        let welcome = AtomicUsize::new(0);
        let contend = async |app: &TestApp| {
            let mut worker = match ScriptedWorker::connect(app, hello(&name, "default")).await {
                Ok(worker) => worker,
                Err(refused) => return kind(&refused),
            };
            welcome.fetch_add(1, Ordering::Relaxed);
            worker.live().await;
            "replaced".to_owned()
        };
        let (left, right) = (Box::pin(contend(&here)), Box::pin(contend(&there)));
        // The winner lives on; the first that ends is the loser.
        let loser = tokio::time::timeout(PATIENCE, futures::future::select(left, right));
        let (outcome, winner) = loser.await.expect("a loser").factor_first();
        assert_eq!(outcome, "AlreadyExists WORKER_NAME_TAKEN");
        let lives_on = tokio::time::timeout(Duration::from_millis(300), winner).await;
        assert!(lives_on.is_err() && welcome.load(Ordering::Relaxed) == 1, "{lives_on:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dials_another_server_takes_its_jobs_along() {
    let here = TestApp::start().await;
    let there = here.peer().await;
    let run = here.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&here, "w").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    until("the job runs", async || {
        here.get(&run.run_id).await.jobs[0].status() == v1::JobStatus::Running
    })
    .await;

    let held = v1::HeldJob {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        ..Default::default()
    };
    let again = v1::Hello {
        inventory: vec![held.clone()],
        ..worker.hello.clone()
    };
    let mut moved = ScriptedWorker::connect(&there, again).await.expect("a welcome without a probe");
    assert_eq!(moved.welcome.keep, [held]);
    // The old stream ends, and takes nothing out.
    assert_eq!(worker.next().await.unwrap(), None);
    moved.report(&offer, 1, finished(no_work())).await;
    assert_eq!(moved.acknowledged().await, Some(1));
    let jobs = there.finished(&run.run_id).await.jobs;
    assert_eq!(jobs.iter().map(|job| job.attempt).max(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_server_leaves_behind_is_put_right_by_another() {
    let here = TestApp::with_timers(quick_burial()).await;
    let there = here.peer().await;
    let run = here.create("001-a").await;
    let mut lost = ScriptedWorker::default_worker(&there, "lost").await;
    lost.credit("default", 1).await;
    let offer = lost.offer().await;
    lost.accept(&offer).await;
    until("the job runs", async || {
        here.get(&run.run_id).await.jobs[0].status() == v1::JobStatus::Running
    })
    .await;
    let _shard = ScriptedWorker::shard_worker(&there, "shard", 1).await;
    assert_eq!(shard(&here, "codex-1").await, v1::ShardStatus::Active);
    there.crash();

    let mut second = ScriptedWorker::default_worker(&here, "second").await;
    second.credit("default", 1).await;
    assert_eq!(second.offer().await.attempt, 2);
    until("the shard is offline", async || {
        shard(&here, "codex-1").await == v1::ShardStatus::Offline
    })
    .await;
    const OPEN: &str = "select count(*) from worker_sessions where ended_at is null";
    until("its sessions are closed", async || count(&here, OPEN).await == 1).await;
    assert_eq!(count(&here, "select count(*) from servers").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_taken_for_dead_has_its_workers_dial_again() {
    let here = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&here, "w").await;
    let database = here.database.connect().await.unwrap();
    database.execute("delete from servers", &[]).await.unwrap();
    assert!(matches!(worker.next().await.unwrap(), Some(Frame::Redirect(_))));
    assert_eq!(worker.next().await.unwrap(), None);
    ScriptedWorker::connect(&here, worker.hello.clone()).await.expect("a welcome");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_reaps_and_another_does_when_the_first_loses_its_connection_or_its_life() {
    const REAPERS: &str = "select coalesce(array_agg(pid order by pid), '{}') from pg_locks where locktype = 'advisory' and granted
        and database = (select oid from pg_database where datname = current_database()) and objid = hashtext('moorline.reaper')::oid";
    let here = TestApp::with_timers(quick_burial()).await;
    let database = std::sync::Arc::clone(&here.database);
    let client = database.connect().await.unwrap();
    let reapers = async || client.query_one(REAPERS, &[]).await.unwrap().get::<_, Vec<i32>>(0);
    until("somebody reaps", async || reapers().await.len() == 1).await;
    let peers = [here.peer().await, here.peer().await];
    let first = reapers().await;
    assert_eq!(first.len(), 1, "the lock stays where it is");
    client.execute("select pg_terminate_backend($1)", &[&first[0]]).await.unwrap();
    until("another connection has the lock", async || {
        let now = reapers().await;
        now.len() == 1 && now != first
    })
    .await;
    drop(here);
    for peer in peers {
        peer.crash();
        tokio::task::yield_now().await;
    }
    until("the lock is free", async || reapers().await.is_empty()).await;
}

async fn drain(app: &TestApp, worker_name: &str) -> Result<i32, tonic::Status> {
    let request = v1::DrainWorkerRequest {
        worker_name: worker_name.to_owned(),
        reason: "new kernel".to_owned(),
    };
    Ok(app.fleet().drain_worker(request).await?.into_inner().running_jobs)
}

/// Takes the next command and answers it.
async fn answer(worker: &mut ScriptedWorker, result: command_result::Result) -> v1::Command {
    loop {
        if let Some(Frame::Command(command)) = worker.next().await.unwrap() {
            worker
                .send(connect_request::Frame::CommandResult(v1::CommandResult {
                    command_id: command.command_id.clone(),
                    result: Some(result),
                }))
                .await;
            return command;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_drained_through_any_server_and_takes_nothing_more() {
    let here = TestApp::with_timers(rare_looks()).await;
    let there = here.peer().await;
    let mut worker = ScriptedWorker::shard_worker(&here, "w", 1).await;
    let begun = command_result::Result::DrainBegun(v1::DrainBegun { running: 2 });
    let (drained, command) = tokio::join!(drain(&there, "w"), answer(&mut worker, begun));
    assert_eq!(drained.unwrap(), 2);
    assert!(matches!(command.command, Some(v1::command::Command::Drain(drain)) if drain.reason == "new kernel"));

    let workers = there
        .fleet()
        .list_workers(v1::ListWorkersRequest {})
        .await
        .unwrap()
        .into_inner()
        .workers;
    let [listed] = &workers[..] else { panic!("{workers:?}") };
    assert_eq!(
        (listed.name.as_str(), listed.status(), listed.volume.as_str(), &listed.queues[..]),
        ("w", v1::WorkerStatus::Draining, "codex_auth_1", &["codex-1".to_owned()][..])
    );
    assert!(listed.server.ends_with(&here.address()), "{}", listed.server);
    let seconds = |time: Option<prost_types::Timestamp>| time.map_or(0, |time| time.seconds);
    assert!(
        seconds(listed.last_heartbeat_at) >= seconds(listed.connected_at) && seconds(listed.connected_at) > 0,
        "{listed:?}"
    );

    worker.credit("codex-1", 1).await;
    let request = v1::CreateRunRequest {
        codex_queue: "codex-1".to_owned(),
        force_phase: v1::Phase::Submit.into(),
        ..crate::support::app::request("001-a")
    };
    there.create_with(request).await.unwrap();
    worker.send(connect_request::Frame::Ping(v1::Ping { nonce: 1 })).await;
    assert!(matches!(worker.next().await.unwrap(), Some(Frame::Pong(_))), "no offer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_can_not_be_says_why() {
    let here = TestApp::start().await;
    let there = here.peer().await;
    assert_eq!(kind(&drain(&there, "nobody").await.unwrap_err()), "NotFound WORKER_NOT_FOUND");

    let mut worker = ScriptedWorker::default_worker(&here, "w").await;
    let cannot = command_result::Result::Failure(v1::Failure {
        code: "UNKNOWN_COMMAND".to_owned(),
        message: "too old".to_owned(),
        ..Default::default()
    });
    let (refused, _) = tokio::join!(drain(&there, "w"), answer(&mut worker, cannot));
    let refused = refused.unwrap_err();
    assert_eq!(kind(&refused), "FailedPrecondition WORKER_REFUSED");
    assert!(refused.message().contains("too old"), "{}", refused.message());

    // Its line breaks: it may come back.
    worker.vanish();
    until("the session's end is stored", async || {
        kind(&drain(&there, "w").await.unwrap_err()) == "FailedPrecondition WORKER_AWAY"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_answers_no_command_is_asked_again_on_its_next_stream_and_not_waited_for_without_end() {
    let here = TestApp::start().await;
    let there = here.peer().await;
    let mut worker = ScriptedWorker::default_worker(&here, "w").await;
    let redial = async {
        let Some(Frame::Command(first)) = worker.next().await.unwrap() else {
            panic!("a command")
        };
        let mut worker = ScriptedWorker::connect(&there, worker.hello.clone()).await.unwrap();
        let begun = command_result::Result::DrainBegun(v1::DrainBegun { running: 0 });
        assert_eq!(answer(&mut worker, begun).await.command_id, first.command_id);
        worker
    };
    let (drained, _worker) = tokio::join!(drain(&here, "w"), redial);
    assert_eq!(drained.unwrap(), 0);

    let _mute = ScriptedWorker::default_worker(&here, "mute").await;
    assert_eq!(kind(&drain(&there, "mute").await.unwrap_err()), "FailedPrecondition WORKER_SILENT");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_hellos_than_there_is_room_for_are_told_when_to_come_back_and_then_get_in() {
    let here = TestApp::start().await;
    let narrow = here.peer_with(Limits { at_once: 1, waiting: 2 }).await;
    let refused = AtomicUsize::new(0);
    let dial = async |number: u32| loop {
        match ScriptedWorker::connect(&narrow, hello(&format!("w-{number}"), "default")).await {
            Ok(worker) => return worker,
            Err(refusal) => {
                assert_eq!(kind(&refusal), "ResourceExhausted TOO_MANY_HELLOS");
                refused.fetch_add(1, Ordering::Relaxed);
                let delay = refusal.get_details_retry_info().unwrap().retry_delay.expect("a delay");
                tokio::time::sleep(delay).await;
            }
        }
    };
    let workers = tokio::time::timeout(3 * PATIENCE, futures::future::join_all((0..20).map(dial)))
        .await
        .expect("room for all");
    assert_eq!(workers.len(), 20);
    assert!(refused.load(Ordering::Relaxed) > 0, "nobody was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_waits_as_long_as_it_is_told_gets_the_volume_when_the_lease_lapses() {
    let here = TestApp::with_timers(Timers {
        lease: Duration::from_secs(2),
        poll: Duration::from_millis(100),
        ..Timers::default()
    })
    .await;
    let there = here.peer().await;
    ScriptedWorker::shard_worker(&here, "first", 1).await.vanish();
    let begun = Instant::now();
    let mut told = Vec::new();
    loop {
        match ScriptedWorker::connect(&there, shard_hello("standby", 1)).await {
            Ok(_) => break,
            Err(refused) => {
                assert_eq!(kind(&refused), "AlreadyExists VOLUME_HELD");
                let delay = refused.get_details_retry_info().unwrap().retry_delay.expect("a delay");
                told.push(delay);
                tokio::time::sleep(delay).await;
            }
        }
    }
    assert!(
        told.len() <= 2 && begun.elapsed() < Duration::from_secs(4),
        "{told:?} {:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_cut_off_from_its_database_sends_its_workers_elsewhere_and_takes_them_back_afterwards() {
    let here = TestApp::with_timers(Timers {
        lease: Duration::from_secs(4),
        poll: Duration::from_millis(100),
        ..Timers::default()
    })
    .await;
    let mut worker = ScriptedWorker::default_worker(&here, "w").await;
    let mut elsewhere: tokio_postgres::Config = here.database.url().parse().unwrap();
    let name = elsewhere.get_dbname().unwrap().to_owned();
    let (client, connection) = elsewhere.dbname("postgres").connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let cut = format!(
        "alter database {name} with allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' and usename = current_user and pid <> pg_backend_pid()"
    );
    client.batch_execute(&cut).await.unwrap();
    assert!(matches!(worker.next().await.unwrap(), Some(Frame::Redirect(_))));
    assert_eq!(worker.next().await.unwrap(), None);
    let refused = ScriptedWorker::connect(&here, worker.hello.clone()).await.err().expect("a refusal");
    assert_eq!(kind(&refused), "Unavailable DATABASE_UNAVAILABLE");

    client
        .batch_execute(&format!("alter database {name} with allow_connections true"))
        .await
        .unwrap();
    until("it is let in again", async || {
        ScriptedWorker::connect(&here, worker.hello.clone()).await.is_ok()
    })
    .await;
}

fn credit() -> connect_request::Frame {
    connect_request::Frame::Credit(v1::Credit {
        queue: "default".to_owned(),
        jobs: 1,
    })
}

/// The only report of a job.
fn end(offer: &v1::Offer) -> connect_request::Frame {
    connect_request::Frame::Report(v1::Report {
        job_id: offer.job_id.clone(),
        lease_token: offer.lease_token,
        sequence: 1,
        news: Some(finished(no_work())),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_says_so_and_lets_nobody_in_until_its_last_worker_has_left() {
    let here = TestApp::start().await;
    let there = here.peer().await;
    let mut worker = ScriptedWorker::default_worker(&there, "w").await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(there.channel());
    let serves = async |health: &mut tonic_health::pb::health_client::HealthClient<_>| {
        let request = tonic_health::pb::HealthCheckRequest {
            service: "moorline.v1.WorkerService".to_owned(),
        };
        health.check(request).await.unwrap().into_inner().status()
    };
    use tonic_health::pb::health_check_response::ServingStatus;
    assert_eq!(serves(&mut health).await, ServingStatus::Serving);

    // The end of the worker's session can't be stored as long as its row is locked.
    let mut client = here.database.connect().await.unwrap();
    let lock = client.transaction().await.unwrap();
    lock.execute("select from worker_instances for update", &[]).await.unwrap();
    there.terminate();
    assert!(matches!(worker.next().await.unwrap(), Some(Frame::Redirect(_))));
    until("it says that it goes", async || {
        serves(&mut health.clone()).await == ServingStatus::NotServing
    })
    .await;
    let refused = ScriptedWorker::connect(&there, hello("late", "default"))
        .await
        .err()
        .expect("a refusal");
    assert_eq!(kind(&refused), "Unavailable SHUTTING_DOWN");
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    lock.rollback().await.unwrap();
    there.stop().await;
    const MARKED: &str = "select count(*) from worker_sessions where redirected_at is not null and ended_at is null";
    assert_eq!(count(&here, MARKED).await, 1);
    assert_eq!(count(&here, "select count(*) from servers").await, 1);
}

/// A worker that goes where it is sent, and ends each job as soon as it can.
struct Mover {
    hello: v1::Hello,
    /// The job in hand, whose end may not be acknowledged yet.
    held: Option<v1::Offer>,
}

impl Mover {
    async fn work(mut self, servers: &tokio::sync::RwLock<Vec<TestApp>>, stop: &tokio_util::sync::CancellationToken) {
        let mut turn = self.hello.worker_name.len();
        while !stop.is_cancelled() {
            turn += 1;
            let inventory = self.held.iter().map(|offer| v1::HeldJob {
                job_id: offer.job_id.clone(),
                lease_token: offer.lease_token,
                finished: true,
                last_sequence: 1,
            });
            self.hello.inventory = inventory.collect();
            let dialled = {
                let servers = servers.read().await;
                ScriptedWorker::connect(&servers[turn % servers.len()], self.hello.clone()).await
            };
            let Ok(mut worker) = dialled else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if let Some(offer) = &self.held {
                assert!(worker.welcome.kill.is_empty(), "a job was lost in the move: {:?}", worker.welcome);
                if worker.welcome.keep.is_empty() {
                    self.held = None;
                } else {
                    worker.try_send(end(offer)).await;
                }
            }
            if self.held.is_none() {
                worker.try_send(credit()).await;
            }
            self.serve(&mut worker, stop).await;
        }
    }

    async fn serve(&mut self, worker: &mut ScriptedWorker, stop: &tokio_util::sync::CancellationToken) {
        loop {
            let frame = tokio::select! {
                () = stop.cancelled() => return,
                frame = worker.frame() => frame,
            };
            match frame {
                Ok(Some(Frame::Offer(offer))) => {
                    let accept = v1::Accept {
                        job_id: offer.job_id.clone(),
                        lease_token: offer.lease_token,
                    };
                    worker.try_send(connect_request::Frame::Accept(accept)).await;
                    // Some time at work, in which a server may go.
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    worker.try_send(end(&offer)).await;
                    self.held = Some(offer);
                }
                Ok(Some(Frame::Ack(_))) => {
                    self.held = None;
                    worker.try_send(credit()).await;
                }
                // An offer that the move overtook: it was never accepted, and is offered again.
                Ok(Some(Frame::Fenced(_))) => self.held = None,
                Ok(Some(Frame::Redirect(_)) | None) | Err(_) => return,
                Ok(Some(_)) => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_all_servers_under_load_loses_nothing_and_runs_nothing_twice() {
    let here = TestApp::start().await;
    let servers = tokio::sync::RwLock::new(vec![here.peer().await, here.peer().await]);
    let mut runs = Vec::new();
    for number in 0..80 {
        runs.push(here.create(&format!("{number:03}-x")).await.run_id);
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let movers = (0..6).map(|number| {
        let mover = Mover {
            hello: hello(&format!("{}w-{number}", "x".repeat(number % 2)), "default"),
            held: None,
        };
        mover.work(&servers, &stop)
    });
    let restarts = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let next = here.peer().await;
            let old = {
                let mut servers = servers.write().await;
                servers.push(next);
                servers.remove(0)
            };
            old.stop().await;
        }
        for run in &runs {
            let attempts: Vec<i32> = here.finished(run).await.jobs.iter().map(|job| job.attempt).collect();
            assert_eq!(attempts.iter().max(), Some(&1), "a job ran twice");
        }
        stop.cancel();
    };
    tokio::time::timeout(4 * PATIENCE, futures::future::join(futures::future::join_all(movers), restarts))
        .await
        .expect("all runs end");
    assert_eq!(count(&here, "select count(*) from runs where status <> 'no_work'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_sent_elsewhere_and_never_arrives_is_given_up() {
    let here = TestApp::with_timers(quick_burial()).await;
    let there = here.peer().await;
    let run = here.create("001-a").await;
    let mut worker = ScriptedWorker::default_worker(&there, "w").await;
    worker.credit("default", 1).await;
    let offer = worker.offer().await;
    worker.accept(&offer).await;
    until("the job runs", async || {
        here.get(&run.run_id).await.jobs[0].status() == v1::JobStatus::Running
    })
    .await;
    there.stop().await;
    assert!(matches!(worker.next().await.unwrap(), Some(Frame::Redirect(_))));
    let mut second = ScriptedWorker::default_worker(&here, "second").await;
    let offer = second.work("default", discovered()).await;
    assert_eq!(offer.attempt, 2);
}
