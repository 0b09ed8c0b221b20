//! What servers ask of the volume, with the real Codex CLI.

use moorline_proto::v1::{
    PreflightRung as Rung, command::Command as Ask, command_progress::Progress, command_result::Result as Done,
    login_volume_command::Method,
};
use secrecy::ExposeSecret;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::{
    embedding::Settings as Embedding,
    holding::Holding,
    stage::Owner,
    testing::{CODE, Issuer, Person, lay_skills},
};

const VOLUME: &str = "codex_auth_0";
const KEY: &str = "sk-test-0123456789abcdefghij";

/// A worker of the shard codex-0.
struct Held {
    server: Server,
    issuer: Issuer,
    engine: Arc<dyn Engine>,
    holding: Holding,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), Error>>,
    dir: TempDir,
}

impl Held {
    async fn new() -> Self {
        Self::with(false, |_| {}).await
    }

    async fn with(in_use: bool, change: impl FnOnce(&mut Config)) -> Self {
        let (server, issuer, dir) = (Server::start().await, Issuer::start().await, TempDir::new().expect("a folder"));
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        let mut config = Config::try_parse_from(args(&server, &dir)).expect("settings");
        config.queues = vec!["codex-0".to_owned()];
        config.volume = Some(VOLUME.to_owned());
        config.embedding = Embedding::none();
        config.codex_issuer = Some(issuer.url.clone());
        let revoke = format!("{}/oauth/revoke", issuer.url).into();
        config.codex_env.insert("CODEX_REVOKE_TOKEN_URL_OVERRIDE".to_owned(), revoke);
        config.skills_root = dir.path().join("skills");
        lay_skills(&config.skills_root);
        change(&mut config);
        let folder = |name: &str| dir.path().join(name);
        let engine: Arc<dyn Engine> =
            Arc::new(ProcessEngine::new(&folder("volumes"), &folder("processes"), &config.job_user).expect("an engine"));
        engine.create_volume(VOLUME, &config.job_user).await.expect("a volume");
        let config = Arc::new(config);
        let ready = startup::check(&config, Ok(&engine), in_use).await.expect(
            "this test needs the CLIs of Codex and Spec Kit: `pip install openai-codex-cli-bin specify-cli`, and MOORLINE_CODEX_PROGRAM \
             and MOORLINE_SPECKIT_PROGRAM when they aren't on the PATH",
        );
        let holding = ready.holding.clone().expect("a volume");
        let left = Left::find(&config, engine.as_ref(), open_spool(&config).await.expect("a spool"))
            .await
            .expect("what is left");
        let vitals = Vitals::new(&config.name, config.slots);
        let shutdown = Shutdown::default();
        let serving = serve(
            config,
            engine.clone(),
            ready,
            left,
            vitals,
            shutdown.clone(),
            watch::Sender::new(false),
        );
        Self {
            server,
            issuer,
            engine,
            holding,
            shutdown,
            running: tokio::spawn(serving),
            dir,
        }
    }

    /// The next line, welcomed under a generation and with a key; what the worker says at once is not waited for.
    async fn welcomed(&mut self) -> Line {
        let mut line = self.server.line().await;
        line.send(Answer::Welcome(v1::Welcome {
            volume_generation: 3,
            fingerprint_key: vec![7; 32].into(),
            ..calm()
        }))
        .await;
        line
    }

    /// What is stored in the volume.
    async fn stored(&self) -> String {
        let file = self.engine.read_volume_file(VOLUME, "auth.json").await.expect("a volume");
        file.map(|file| String::from_utf8_lossy(file.expose_secret()).into_owned())
            .unwrap_or_default()
    }

    /// A command that stores the key, sealed for the worker of this line.
    fn api_key(line: &Line, key: &str) -> Ask {
        let public: [u8; 32] = line.hello.sealing_key.as_ref().try_into().expect("32 bytes");
        let sealed = crypto_box::PublicKey::from(public).seal(&mut crypto_box::aead::OsRng, key.as_bytes());
        log_in(Method::ApiKey(v1::SealedApiKey {
            sealed: sealed.expect("a box").into(),
        }))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn log_in(method: Method) -> Ask {
    Ask::LoginVolume(v1::LoginVolumeCommand {
        volume: VOLUME.to_owned(),
        method: Some(method),
    })
}

fn by_device() -> Ask {
    log_in(Method::Device(v1::DeviceLogin {}))
}

fn check() -> Ask {
    Ask::CheckVolume(v1::CheckVolumeCommand {
        volume: VOLUME.to_owned(),
        probe: false,
    })
}

async fn ask(line: &mut Line, id: &str, ask: Ask) {
    line.send(Answer::Command(v1::Command {
        command_id: id.to_owned(),
        command: Some(ask),
    }))
    .await;
}

/// What is said up to the answer to a command, and the answer.
async fn answered(line: &mut Line, id: &str) -> (Vec<Frame>, Done) {
    let mut heard = line
        .until(|frame| matches!(frame, Frame::CommandResult(result) if result.command_id == id))
        .await;
    match heard.pop() {
        Some(Frame::CommandResult(v1::CommandResult { result: Some(done), .. })) => (heard, done),
        other => panic!("no answer: {other:?}"),
    }
}

async fn answer(line: &mut Line, id: &str) -> Done {
    answered(line, id).await.1
}

/// The page and the code that people are told.
async fn code(line: &mut Line) -> v1::DeviceCode {
    let is_code = |frame: &Frame| {
        matches!(
            frame,
            Frame::CommandProgress(v1::CommandProgress {
                progress: Some(Progress::DeviceCode(_)),
                ..
            })
        )
    };
    match line.until(is_code).await.pop() {
        Some(Frame::CommandProgress(v1::CommandProgress {
            progress: Some(Progress::DeviceCode(code)),
            ..
        })) => code,
        other => panic!("no code: {other:?}"),
    }
}

async fn report(line: &mut Line) -> v1::VolumeReport {
    match line.until(|frame| matches!(frame, Frame::VolumeReport(_))).await.pop() {
        Some(Frame::VolumeReport(report)) => report,
        other => panic!("no report: {other:?}"),
    }
}

fn checked(done: Done) -> (v1::Preflight, v1::VolumeDiagnostics) {
    match done {
        Done::VolumeChecked(checked) => (checked.preflight.expect("a check"), checked.diagnostics.expect("diagnostics")),
        other => panic!("not checked: {other:?}"),
    }
}

fn failed(done: Done) -> v1::Failure {
    match done {
        Done::Failure(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

fn hmac(value: &str) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let mac = Hmac::<sha2::Sha256>::new_from_slice(&[7; 32]).expect("a key");
    hex::encode(mac.chain_update(value).finalize().into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_device_code_needs_nothing_but_a_person_with_a_browser() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    let told = line.hello.volume.clone().expect("a volume");
    assert_eq!(told.preflight.expect("a check").rung(), Rung::NotLoggedIn);
    assert_eq!(report(&mut line).await.preflight.expect("a check").rung(), Rung::NotLoggedIn);
    ask(&mut line, "c-1", by_device()).await;
    let code = code(&mut line).await;
    assert_eq!(
        (code.verification_url, code.user_code.as_str()),
        (format!("{}/codex/device", held.issuer.url), CODE)
    );
    assert!((800..=900).contains(&code.expires_in.expect("a duration").seconds));
    held.issuer.desk().person = Person::Agrees;
    let (heard, done) = answered(&mut line, "c-1").await;
    let stored = |frame: &Frame| {
        matches!(
            frame,
            Frame::CommandProgress(v1::CommandProgress {
                progress: Some(Progress::LoginStored(_)),
                ..
            })
        )
    };
    assert!(heard.iter().any(stored), "{heard:?}");
    let printed = format!("{heard:?} {done:?}");
    let (preflight, diagnostics) = checked(done);
    assert_eq!((preflight.rung(), diagnostics.login_method.as_str()), (Rung::Unexpired, "chatgpt"));
    assert_eq!(diagnostics.account_fingerprint, hmac("acct-1"));
    assert_eq!(diagnostics.login_fingerprint, hmac("rt-issued-0"));
    assert_eq!(diagnostics.credential_mode, "0600");
    assert!(held.stored().await.contains("rt-issued-0"));
    for secret in ["rt-issued", "acct-1", "eyJ"] {
        assert!(!printed.contains(secret), "{secret}");
    }
    // The next session begins with it.
    drop(line);
    let mut line = held.welcomed().await;
    let told = line.hello.volume.clone().expect("a volume");
    assert_eq!(told.diagnostics.expect("diagnostics").login_fingerprint, hmac("rt-issued-0"));
    assert_eq!(report(&mut line).await.preflight.expect("a check").rung(), Rung::Unexpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_costs_nothing_of_the_one_before() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    held.issuer.desk().person = Person::Agrees;
    ask(&mut line, "c-1", by_device()).await;
    assert_eq!(checked(answer(&mut line, "c-1").await).0.rung(), Rung::Unexpired);
    held.issuer.desk().person = Person::Refuses;
    ask(&mut line, "c-2", by_device()).await;
    let failure = failed(answer(&mut line, "c-2").await);
    assert_eq!(failure.code, "LOGIN_DENIED", "{}", failure.message);
    assert!(failure.message.contains("400 Bad Request"), "{}", failure.message);
    ask(&mut line, "c-3", check()).await;
    assert_eq!(checked(answer(&mut line, "c-3").await).0.rung(), Rung::Unexpired);
    assert!(held.stored().await.contains("rt-issued-0"));
    assert_eq!(held.issuer.asked("/revoke"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_begin_says_what_may_be_in_its_way() {
    let mut held = Held::with(false, |config| config.codex_issuer = Some("http://127.0.0.1:1".to_owned())).await;
    let mut line = held.welcomed().await;
    ask(&mut line, "c-1", by_device()).await;
    let failure = failed(answer(&mut line, "c-1").await);
    assert_eq!(failure.code, "LOGIN_FAILED");
    assert!(failure.message.contains("Device login must be allowed"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_told_to_stop_leaves_nothing_at_work() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    ask(&mut line, "c-1", by_device()).await;
    code(&mut line).await;
    assert_eq!(held.engine.list(&BTreeMap::new()).await.expect("a list").len(), 1);
    let stop = Ask::Stop(v1::StopCommand {
        command_id: "c-1".to_owned(),
    });
    ask(&mut line, "c-2", stop).await;
    assert_eq!(failed(answer(&mut line, "c-1").await).code, "LOGIN_STOPPED");
    assert!(held.engine.list(&BTreeMap::new()).await.expect("a list").is_empty());
    ask(&mut line, "c-3", check()).await;
    assert_eq!(checked(answer(&mut line, "c-3").await).0.rung(), Rung::NotLoggedIn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_takes_its_login_with_it() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    ask(&mut line, "c-1", by_device()).await;
    code(&mut line).await;
    held.shutdown.drain.cancel();
    assert_eq!(failed(answer(&mut line, "c-1").await).code, "LOGIN_STOPPED");
    line.left().await;
    assert!(held.engine.list(&BTreeMap::new()).await.expect("a list").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_use_of_an_older_generation_is_kept_out() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    ask(&mut line, "c-1", check()).await;
    checked(answer(&mut line, "c-1").await);
    let blocked = held.holding.check(2, false).await.blocked.expect("a fence");
    assert_eq!(blocked.code, "FENCED", "{}", blocked.message);
    let noted = held
        .engine
        .read_volume_file(VOLUME, ".moorline/generation")
        .await
        .expect("a volume");
    assert_eq!(noted.expect("a generation").expose_secret(), b"3\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_up_leaves_the_login_and_says_what_it_freed() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    let key = Held::api_key(&line, KEY);
    ask(&mut line, "c-1", key).await;
    checked(answer(&mut line, "c-1").await);
    let sessions = held
        .engine
        .volume(VOLUME)
        .await
        .expect("an engine")
        .expect("a volume")
        .mountpoint
        .join("sessions");
    sh(
        held.dir.path(),
        &format!("mkdir -m 777 {0}; head -c 100000 /dev/zero > {0}/x.jsonl", sessions.display()),
    );
    let clean = Ask::CleanVolume(v1::CleanVolumeCommand { volume: VOLUME.to_owned() });
    ask(&mut line, "c-2", clean).await;
    match answer(&mut line, "c-2").await {
        Done::VolumeCleaned(cleaned) => {
            assert!(cleaned.freed_bytes >= 100_000, "{}", cleaned.freed_bytes);
            assert_eq!(cleaned.diagnostics.expect("diagnostics").login_method, "api_key");
        }
        other => panic!("not cleaned: {other:?}"),
    }
    assert!(held.stored().await.contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_a_login_that_is_going_on() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    ask(&mut line, "c-1", by_device()).await;
    code(&mut line).await;
    let spec = v1::JobSpec {
        feature_key: "001-x".to_owned(),
        volume: VOLUME.to_owned(),
        volume_generation: 4,
        ..Default::default()
    };
    let offer = v1::Offer {
        job_id: "job-1".to_owned(),
        run_id: "run-1".to_owned(),
        lease_token: 7,
        stage: v1::Stage::Submit.into(),
        attempt: 1,
        queue: "codex-0".to_owned(),
        timeout: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        spec: Some(spec),
        traceparent: String::new(),
        decision: None,
    };
    line.send(Answer::Offer(offer)).await;
    let waits = |frame: &Frame| match frame {
        Frame::Report(report) => format!("{:?}", report.news).contains("waiting for the volume codex_auth_0: a login"),
        _ => false,
    };
    line.until(waits).await;
    assert_eq!(held.holding.generation(), 4, "an offer may name a newer one");
    assert!(held.holding.agents().is_empty());
    let stop = Ask::Stop(v1::StopCommand {
        command_id: "c-1".to_owned(),
    });
    ask(&mut line, "c-2", stop).await;
    assert_eq!(super::code(&line.finished().await), "NOT_LOGGED_IN");
    assert!(held.holding.agents().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_comes_again_after_a_redial_is_done_once() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    ask(&mut line, "c-1", by_device()).await;
    code(&mut line).await;
    drop(line);
    let mut line = held.welcomed().await;
    assert_eq!(code(&mut line).await.user_code, CODE, "the new session is told how it gets on");
    ask(&mut line, "c-1", by_device()).await;
    assert_eq!(code(&mut line).await.user_code, CODE, "and what is asked again is gone on with");
    held.issuer.desk().person = Person::Agrees;
    let first = checked(answer(&mut line, "c-1").await);
    drop(line);
    let mut line = held.welcomed().await;
    ask(&mut line, "c-1", by_device()).await;
    assert_eq!(checked(answer(&mut line, "c-1").await), first, "the answer is said again");
    assert_eq!(held.issuer.asked("/usercode"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_ready_while_the_line_is_down_is_told_in_the_next_session() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    ask(&mut line, "c-1", by_device()).await;
    code(&mut line).await;
    drop(line);
    let mut line = held.server.line().await;
    held.issuer.desk().person = Person::Agrees;
    // The worker is not welcomed before it has its answer.
    patient(async {
        while !held.stored().await.contains("rt-issued-0") || held.holding.busy().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    line.send(Answer::Welcome(calm())).await;
    assert_eq!(checked(answer(&mut line, "c-1").await).0.rung(), Rung::Unexpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_is_unsealed_by_the_worker_alone_and_serves_more_than_one_job() {
    let mut held = Held::with(false, |config| config.api_key_capacity = 3).await;
    let mut line = held.welcomed().await;
    let credit = line.until(is_credit).await;
    assert_eq!(names(&credit[credit.len() - 1..]), ["credit codex-0 1"]);
    let key = Held::api_key(&line, KEY);
    ask(&mut line, "c-1", key).await;
    let (mut heard, done) = answered(&mut line, "c-1").await;
    let printed = format!("{heard:?} {done:?}");
    assert!(!printed.contains(KEY), "{printed}");
    match &done {
        Done::VolumeChecked(checked) => assert_eq!(checked.capacity, 3),
        other => panic!("not checked: {other:?}"),
    }
    let (preflight, diagnostics) = checked(done);
    assert_eq!((preflight.rung(), diagnostics.login_method.as_str()), (Rung::Present, "api_key"));
    assert_eq!(diagnostics.login_fingerprint, "", "an API key has none");
    if !heard.iter().any(is_credit) {
        heard = line.until(is_credit).await;
    }
    heard.retain(is_credit);
    assert_eq!(names(&heard), ["credit codex-0 2"]);
    // Another process could not read it.
    let other = log_in(Method::ApiKey(v1::SealedApiKey {
        sealed: vec![1; 80].into(),
    }));
    ask(&mut line, "c-2", other).await;
    let failure = failed(answer(&mut line, "c-2").await);
    assert_eq!(failure.code, "LOGIN_FAILED");
    assert!(failure.message.contains("send it again"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_logged_out_here_and_with_its_issuer() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    held.issuer.desk().person = Person::Agrees;
    ask(&mut line, "c-1", by_device()).await;
    assert_eq!(checked(answer(&mut line, "c-1").await).0.rung(), Rung::Unexpired);
    let logout = Ask::LogoutVolume(v1::LogoutVolumeCommand { volume: VOLUME.to_owned() });
    ask(&mut line, "c-2", logout).await;
    let (preflight, diagnostics) = checked(answer(&mut line, "c-2").await);
    assert_eq!(preflight.rung(), Rung::NotLoggedIn);
    assert_eq!((diagnostics.login_fingerprint.as_str(), diagnostics.snapshot_at), ("", None));
    assert_eq!(held.issuer.asked("/revoke"), 1);
    assert_eq!(held.stored().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_jobs_uses_the_volume_while_an_agent_works() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    let owner = Owner {
        job_id: "job-9".to_owned(),
        lease_token: 9,
    };
    let share = held.holding.share(&owner).await;
    let clean = Ask::CleanVolume(v1::CleanVolumeCommand { volume: VOLUME.to_owned() });
    let logout = Ask::LogoutVolume(v1::LogoutVolumeCommand { volume: VOLUME.to_owned() });
    for (id, command) in [("c-1", check()), ("c-2", by_device()), ("c-3", logout), ("c-4", clean)] {
        ask(&mut line, id, command).await;
        let failure = failed(answer(&mut line, id).await);
        assert_eq!(
            (failure.code.as_str(), failure.class()),
            ("VOLUME_IN_USE", v1::FailureClass::Environment)
        );
        assert!(failure.message.contains("job-9"), "{}", failure.message);
    }
    drop(share);
    ask(&mut line, "c-5", check()).await;
    checked(answer(&mut line, "c-5").await);
    let strange = Ask::CheckVolume(v1::CheckVolumeCommand {
        volume: "codex_auth_7".to_owned(),
        probe: false,
    });
    ask(&mut line, "c-6", strange).await;
    assert_eq!(failed(answer(&mut line, "c-6").await).code, "VOLUME_NOT_HELD");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_could_not_look_at_the_login_looks_once_its_agent_has_ended() {
    let mut held = Held::with(true, |_| {}).await;
    let owner = Owner {
        job_id: "job-9".to_owned(),
        lease_token: 9,
    };
    let share = held.holding.share_of_adopted(&owner);
    let mut line = held.welcomed().await;
    let told = line.hello.volume.clone().expect("a volume");
    assert_eq!((told.preflight, told.diagnostics), (None, None));
    ask(&mut line, "c-1", check()).await;
    let (heard, done) = answered(&mut line, "c-1").await;
    assert_eq!(failed(done).code, "VOLUME_IN_USE");
    assert!(!heard.iter().any(|frame| matches!(frame, Frame::VolumeReport(_))), "{heard:?}");
    drop(share);
    assert_eq!(report(&mut line).await.preflight.expect("a check").rung(), Rung::NotLoggedIn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_from_before_another_worker_had_the_volume_is_made_again() {
    let mut held = Held::new().await;
    let mut line = held.welcomed().await;
    let before = report(&mut line).await.preflight.expect("a check").checked_at;
    let mut details = ErrorDetails::new();
    details.set_error_info("VOLUME_HELD", "moorline", std::collections::HashMap::new());
    let refusal = Status::with_error_details(Code::AlreadyExists, "another worker has it", details);
    held.server.store().refusals.push_back(refusal);
    drop(line);
    let mut line = held.welcomed().await;
    assert_eq!(line.hello.volume.clone().expect("a volume").preflight, None);
    let after = report(&mut line).await.preflight.expect("a check").checked_at;
    assert_ne!(after, before);
}
