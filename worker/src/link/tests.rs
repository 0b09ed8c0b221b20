//! The link against a server that the test plays by hand.

use std::{collections::HashMap, fs};

use moorline_proto::v1::{connect_response::Frame as Answer, report::News};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::{
    stage::{Outlet, RunFolder},
    testing::{Line, Server, calm, patient},
};

struct Worker {
    handle: Handle,
    events: mpsc::Receiver<Event>,
    running: JoinHandle<Result<(), Error>>,
}

impl Worker {
    fn dial(server: &Server) -> Self {
        let (link, handle, events) = Link::new(
            &server.url,
            v1::Hello {
                worker_name: "w".to_owned(),
                ..Default::default()
            },
            Ledger::default(),
            None,
            &Timers::default(),
        )
        .expect("a link");
        Self {
            handle,
            events,
            running: tokio::spawn(link.run()),
        }
    }

    async fn event(&mut self) -> Event {
        patient(self.events.recv()).await.expect("an event")
    }

    fn say(&self, lease: &Lease, message: &str) {
        let progress = v1::StageProgress {
            message: message.to_owned(),
            ..Default::default()
        };
        self.handle.ledger.report(lease, News::Progress(progress));
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn refusal(code: Code, reason: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "moorline", HashMap::new());
    Status::with_error_details(code, "words of the server", details)
}

async fn sequences(line: &mut Line, count: usize) -> Vec<i64> {
    let mut heard = Vec::new();
    while heard.len() < count {
        if let Frame::Report(report) = line.heard().await {
            heard.push(report.sequence);
        }
    }
    heard
}

fn held(lease: &Lease, last_sequence: i64) -> v1::HeldJob {
    v1::HeldJob {
        job_id: lease.job_id.clone(),
        lease_token: lease.token,
        last_sequence,
        ..Default::default()
    }
}

fn milliseconds(milliseconds: i32) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: 0,
        nanos: milliseconds * 1_000_000,
    })
}

#[tokio::test]
async fn reports_are_sent_again_on_a_new_line_until_they_are_acknowledged() {
    let mut server = Server::start().await;
    let worker = Worker::dial(&server);
    let lease = Lease::new("job", 7);
    let mut line = server.welcomed().await;
    assert!(line.hello.inventory.is_empty());
    worker.handle.ledger.open(&lease);
    for message in ["one", "two", "three"] {
        worker.say(&lease, message);
    }
    assert_eq!(sequences(&mut line, 3).await, [1, 2, 3]);
    line.send(Answer::Ack(v1::Ack {
        job_id: "job".to_owned(),
        lease_token: 7,
        sequence: 1,
    }))
    .await;
    line.send(Answer::Ping(v1::Ping { nonce: 5 })).await;
    assert!(
        matches!(line.heard().await, Frame::Pong(v1::Pong { nonce: 5, .. })),
        "what came before the ping is read"
    );
    drop(line);
    let mut line = server.welcomed().await;
    assert_eq!(line.hello.inventory, [held(&lease, 3)]);
    worker.say(&lease, "four");
    assert_eq!(sequences(&mut line, 3).await, [2, 3, 4]);
}

#[tokio::test]
async fn a_server_that_answers_no_ping_is_left_and_dialled_again() {
    let mut server = Server::start().await;
    let mut worker = Worker::dial(&server);
    let mut silent = server.line().await;
    silent
        .send(Answer::Welcome(v1::Welcome {
            ping_interval: milliseconds(20),
            ping_timeout: milliseconds(100),
            ..calm()
        }))
        .await;
    assert!(matches!(worker.event().await, Event::Welcomed(_)));
    silent.left().await;
    assert!(matches!(worker.event().await, Event::Lost));
    server.welcomed().await;
    assert!(matches!(worker.event().await, Event::Welcomed(_)));
}

#[tokio::test]
async fn a_server_that_answers_pings_is_kept() {
    let mut server = Server::start().await;
    let mut worker = Worker::dial(&server);
    let mut line = server.line().await;
    line.send(Answer::Welcome(v1::Welcome {
        ping_interval: milliseconds(10),
        ping_timeout: milliseconds(400),
        ..calm()
    }))
    .await;
    assert!(matches!(worker.event().await, Event::Welcomed(_)));
    line.answer_pings(60).await;
    while let Ok(event) = worker.events.try_recv() {
        assert!(matches!(event, Event::Renewed(_)), "something has happened to the line: {event:?}");
    }
}

#[tokio::test]
async fn some_refusals_end_the_worker_and_others_are_tried_again() {
    let mut server = Server::start().await;
    server.store().refusals.extend([
        refusal(Code::AlreadyExists, "VOLUME_HELD"),
        refusal(Code::AlreadyExists, "WORKER_NAME_TAKEN"),
        Status::unavailable("starting"),
    ]);
    let mut worker = Worker::dial(&server);
    let line = server.welcomed().await;
    assert!(matches!(worker.event().await, Event::Welcomed(_)));
    server.store().refusals.push_back(refusal(Code::NotFound, "UNKNOWN_QUEUE"));
    drop(line);
    let error = patient(&mut worker.running).await.expect("no panic").expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the server refused this worker (UNKNOWN_QUEUE): words of the server"
    );
}

#[tokio::test]
async fn a_worker_with_the_wrong_volume_ends_with_the_server_s_words() {
    let server = Server::start().await;
    server
        .store()
        .refusals
        .push_back(refusal(Code::FailedPrecondition, "VOLUME_MISMATCH"));
    let mut worker = Worker::dial(&server);
    let error = patient(&mut worker.running).await.expect("no panic").expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the server refused this worker (VOLUME_MISMATCH): words of the server"
    );
}

#[tokio::test]
async fn what_a_welcome_says_of_the_inventory_counts() {
    let mut server = Server::start().await;
    let mut worker = Worker::dial(&server);
    let (kept, killed, stored) = (Lease::new("kept", 1), Lease::new("killed", 2), Lease::new("stored", 3));
    for lease in [&kept, &killed, &stored] {
        worker.handle.ledger.open(lease);
        worker.handle.ledger.report(lease, News::Finished(v1::Finished::default()));
    }
    let mut line = server.line().await;
    let welcome = v1::Welcome {
        keep: vec![held(&kept, 0)],
        kill: vec![held(&killed, 1)],
        acknowledged: vec![held(&stored, 1)],
        ..calm()
    };
    line.send(Answer::Welcome(welcome)).await;
    assert!(matches!(worker.event().await, Event::Settled(lease) if lease == stored));
    assert!(matches!(worker.event().await, Event::Fenced(lease, _) if lease == killed));
    assert!(matches!(worker.event().await, Event::Welcomed(_)));
    assert!(matches!(line.heard().await, Frame::Report(report) if report.job_id == "kept"));
    assert_eq!(worker.handle.ledger.inventory().len(), 1);
}

#[tokio::test]
async fn a_kept_job_whose_end_the_server_has_is_over() {
    let mut server = Server::start().await;
    let mut worker = Worker::dial(&server);
    let (ended, running) = (Lease::new("ended", 1), Lease::new("running", 2));
    worker.handle.ledger.open(&ended);
    worker.handle.ledger.open(&running);
    worker.handle.ledger.report(&ended, News::Finished(v1::Finished::default()));
    let mut line = server.line().await;
    let keep = vec![held(&ended, 1), held(&running, 3)];
    line.send(Answer::Welcome(v1::Welcome { keep, ..calm() })).await;
    assert!(matches!(worker.event().await, Event::Settled(lease) if lease == ended));
    assert!(matches!(worker.event().await, Event::Welcomed(welcomed) if welcomed.kept == [running]));
}

#[tokio::test]
async fn a_redirected_worker_dials_again() {
    let mut server = Server::start().await;
    let mut worker = Worker::dial(&server);
    let mut line = server.welcomed().await;
    line.send(Answer::Redirect(v1::Redirect {
        reason: "rolling update".to_owned(),
        retry_after: milliseconds(1),
    }))
    .await;
    line.left().await;
    server.welcomed().await;
    assert!(matches!(worker.event().await, Event::Welcomed(_)));
    assert!(matches!(worker.event().await, Event::Lost));
    assert!(matches!(worker.event().await, Event::Welcomed(_)));
}

#[tokio::test]
async fn after_a_steady_session_a_worker_is_quick_to_dial_again_whatever_ended_it() {
    let mut server = Server::start().await;
    let (mut link, _handle, mut events) =
        Link::new(&server.url, v1::Hello::default(), Ledger::default(), None, &Timers::default()).expect("a link");
    link.redial = Redial::weary();
    let running = tokio::spawn(link.run());
    let mut line = server.line().await;
    let ping_interval = milliseconds(5);
    line.send(Answer::Welcome(v1::Welcome { ping_interval, ..calm() })).await;
    assert!(matches!(patient(events.recv()).await, Some(Event::Welcomed(_))));
    line.answer_pings(3).await;
    line.send(Answer::Redirect(v1::Redirect::default())).await;
    line.left().await;
    let again = tokio::time::timeout(Duration::from_secs(1), server.line()).await;
    assert!(again.is_ok(), "the worker still pays for what was before the session");
    running.abort();
}

fn with_hint(status: Status, hint: Duration) -> Status {
    let mut details = status.get_error_details();
    details.set_retry_info(Some(hint));
    Status::with_error_details(status.code(), status.message(), details)
}

#[tokio::test]
async fn a_server_s_hint_is_kept_to_exactly() {
    let mut server = Server::start().await;
    let hint = Duration::from_millis(400);
    let busy = Status::resource_exhausted("too many at once");
    server
        .store()
        .refusals
        .extend([with_hint(busy, hint), with_hint(refusal(Code::AlreadyExists, "VOLUME_HELD"), hint)]);
    let began = Instant::now();
    let _worker = Worker::dial(&server);
    let mut line = server.welcomed().await;
    assert!(began.elapsed() >= 2 * hint, "{:?}", began.elapsed());
    let began = Instant::now();
    line.send(Answer::Redirect(v1::Redirect {
        reason: "rolling update".to_owned(),
        retry_after: milliseconds(400),
    }))
    .await;
    line.left().await;
    server.line().await;
    assert!(began.elapsed() >= hint, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_worker_whose_place_is_taken_stands_by() {
    let mut server = Server::start().await;
    let taken = with_hint(refusal(Code::AlreadyExists, "WORKER_NAME_TAKEN"), Duration::from_millis(10));
    server.store().refusals.extend(std::iter::repeat_n(taken, 50));
    let worker = Worker::dial(&server);
    let mut status = worker.handle.status.subscribe();
    let standing = |status: &super::Status| matches!(&status.line, super::Line::StandingBy { why } if why.starts_with("WORKER_NAME_TAKEN"));
    patient(status.wait_for(standing)).await.expect("a link");
    let _line = server.welcomed().await;
    patient(status.wait_for(|status| matches!(status.line, super::Line::Live { .. })))
        .await
        .expect("a link");
}

#[tokio::test]
async fn a_lease_is_counted_from_the_ping_less_the_age_that_the_pong_tells() {
    let mut server = Server::start().await;
    let mut worker = Worker::dial(&server);
    let began = Instant::now();
    let mut line = server.line().await;
    let ping_interval = milliseconds(20);
    line.send(Answer::Welcome(v1::Welcome { ping_interval, ..calm() })).await;
    let Event::Welcomed(welcomed) = worker.event().await else {
        panic!("no welcome");
    };
    assert!(welcomed.renewed >= began && welcomed.renewed <= Instant::now());
    let age = Duration::from_secs(5);
    line.answer_pings_with(2, |index| (index == 1).then_some(age)).await;
    let Event::Renewed(fresh) = worker.event().await else {
        panic!("no renewal");
    };
    let Event::Renewed(stale) = worker.event().await else {
        panic!("no renewal");
    };
    assert!(fresh > welcomed.renewed);
    assert!(
        stale + age > fresh && stale + age <= Instant::now(),
        "the second ping, less the age"
    );
}

struct Place {
    dir: TempDir,
    outlet: JobOutlet,
    stop: CancellationToken,
}

impl Place {
    fn new(server: &Server) -> Self {
        Self::at(&server.url)
    }

    fn at(url: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let (_, handle, _) = Link::new(url, v1::Hello::default(), Ledger::default(), None, &Timers::default()).expect("a link");
        let folder = RunFolder::below(dir.path(), "run", "job");
        folder.create_private().expect("folders");
        let stop = CancellationToken::new();
        let told = Arc::new(crate::told::Told::of(&v1::Offer::default(), "w"));
        let outlet = JobOutlet::new(handle, (Lease::new("job", 7), v1::Stage::Submit), told, folder, stop.clone());
        Self { dir, outlet, stop }
    }
}

#[tokio::test]
async fn an_artifact_arrives_whole_through_a_server_that_stumbles() {
    let server = Server::start().await;
    server
        .store()
        .broken
        .extend([Status::unavailable("not now"), Status::internal("oops")]);
    let place = Place::new(&server);
    let file = place.dir.path().join("codex.patch");
    let content: Vec<u8> = (0..200_000_u32).map(|byte| byte as u8).collect();
    fs::write(&file, &content).expect("a file");
    place
        .outlet
        .upload_artifact(v1::ArtifactType::CodexPatch, &file, "text/x-patch")
        .await
        .expect("stored");
    assert!(server.store().artifacts == [("codex.patch".to_owned(), content)]);
}

#[tokio::test]
async fn a_transfer_is_given_up_when_the_server_says_no_or_the_job_must_stop() {
    let server = Server::start().await;
    let place = Place::new(&server);
    let file = place.dir.path().join("x");
    fs::write(&file, "x").expect("a file");
    server.store().broken.push_back(refusal(Code::Aborted, "FENCED"));
    let failure = place
        .outlet
        .upload_artifact(v1::ArtifactType::PushLog, &file, "text/plain")
        .await
        .expect_err("fenced");
    assert!(failure.message.contains("FENCED: words of the server"), "{}", failure.message);
    place.stop.cancel();
    server.store().broken.push_back(Status::unavailable("not now"));
    place
        .outlet
        .upload_artifact(v1::ArtifactType::PushLog, &file, "text/plain")
        .await
        .expect_err("stopped");
    place
        .outlet
        .upload_artifact(v1::ArtifactType::PushLog, &file, "text/plain")
        .await
        .expect("one try is made all the same");
}

#[tokio::test]
async fn a_transfer_that_hangs_does_not_hold_up_a_cancel() {
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let place = Place::at(&url);
    let file = place.dir.path().join("x");
    fs::write(&file, "x").expect("a file");
    let upload = place.outlet.upload_artifact(v1::ArtifactType::PushLog, &file, "text/plain");
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        place.stop.cancel();
        Instant::now()
    };
    let both = async { tokio::join!(upload, cancel) };
    let (stored, cancelled) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("given up");
    stored.expect_err("stopped");
    assert!(cancelled.elapsed() < Duration::from_secs(15), "{:?}", cancelled.elapsed());
}

#[tokio::test]
async fn a_server_that_fails_inside_costs_no_artifact() {
    let server = Server::start().await;
    server.store().broken.extend([
        refusal(Code::Internal, "INTERNAL"),
        refusal(Code::Internal, "ARTIFACT_STORE"),
        Status::cancelled("the server goes"),
        refusal(Code::InvalidArgument, "UPLOAD_BROKEN_OFF"),
    ]);
    let place = Place::new(&server);
    let file = place.dir.path().join("codex.patch");
    fs::write(&file, "paid for").expect("a file");
    let stored = place.outlet.upload_artifact(v1::ArtifactType::CodexPatch, &file, "text/x-patch");
    patient(stored).await.expect("stored");
    assert!(server.store().artifacts == [("codex.patch".to_owned(), b"paid for".to_vec())]);
}

#[tokio::test]
async fn an_upload_that_never_arrives_as_announced_is_given_up() {
    let server = Server::start().await;
    server
        .store()
        .broken
        .extend((0..10).map(|_| refusal(Code::InvalidArgument, "DIGEST_MISMATCH")));
    let place = Place::new(&server);
    let file = place.dir.path().join("x");
    fs::write(&file, "x").expect("a file");
    let stored = place.outlet.upload_artifact(v1::ArtifactType::PushLog, &file, "text/plain");
    patient(stored).await.expect_err("given up");
    assert_eq!(server.store().broken.len(), 6, "it was tried four times");
}

#[tokio::test]
async fn a_final_no_is_not_asked_again() {
    let server = Server::start().await;
    let place = Place::new(&server);
    let file = place.dir.path().join("x");
    fs::write(&file, "x").expect("a file");
    for status in [
        Status::invalid_argument("x"),
        Status::not_found("x"),
        Status::failed_precondition("x"),
        Status::unimplemented("x"),
        refusal(Code::Aborted, "FENCED"),
    ] {
        server.store().broken.push_back(status);
        let stored = place.outlet.upload_artifact(v1::ArtifactType::PushLog, &file, "text/plain");
        patient(stored).await.expect_err("final");
    }
    assert!(server.store().artifacts.is_empty());
}

#[tokio::test]
async fn an_artifact_is_fetched_and_its_absence_has_a_remedy() {
    let server = Server::start().await;
    server.store().download = vec![7; 5000];
    server.store().broken.push_back(Status::unavailable("not now"));
    let place = Place::new(&server);
    let to = place.dir.path().join("fetched");
    place.outlet.download_artifact("id", &to).await.expect("fetched");
    assert_eq!(fs::read(&to).expect("a file"), vec![7; 5000]);
    server.store().broken.push_back(Status::not_found("gone"));
    assert_eq!(
        place.outlet.download_artifact("id", &to).await.expect_err("gone").code,
        "ARTIFACT_MISSING"
    );
}

#[tokio::test]
async fn output_is_followed_to_its_end_by_the_offsets_of_the_server() {
    let server = Server::start().await;
    // Each call stores less than it is sent: the next one begins where the server says.
    server.store().output_limit = Some(100_000);
    server.store().broken.push_back(Status::unavailable("not now"));
    let place = Place::new(&server);
    let file = place.dir.path().join("log");
    let content: Vec<u8> = (0..300_000_u32).map(|byte| byte as u8).collect();
    let done = CancellationToken::new();
    let follow = place.outlet.follow_output(&file, done.clone());
    let write = async {
        tokio::task::yield_now().await;
        fs::write(&file, &content).expect("a file");
        done.cancel();
    };
    patient(async { tokio::join!(follow, write) }).await.0.expect("sent");
    assert!(server.store().output == content);
}

#[test]
fn what_the_server_can_not_read_ends_a_session_and_not_the_worker() {
    let unread = Status::invalid_argument("no such frame");
    assert!(matches!(refusal::end(&unread), End::Refused(_)), "before the welcome");
    assert!(matches!(refusal::after_welcome(&unread), End::Lost { .. }));
    let unknown = self::refusal(Code::InvalidArgument, "UNKNOWN_QUEUE");
    assert!(matches!(refusal::after_welcome(&unknown), End::Refused(_)));
}
