//! Login checks on each engine. With `MOORLINE_TEST_CODEX` or `MOORLINE_CODEX_PROGRAM` naming the real CLI, local processes run that one.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use moorline_proto::v1::{self, FailureClass, PreflightRung as Rung, PreflightStatus as Status};
use moorline_worker::{
    agent::codex::Codex,
    engine::{Engine, docker::DockerEngine},
    login, preflight,
    volume::{
        guard,
        steward::{self, Outcome},
    },
};
use secrecy::SecretString;

use crate::{
    agent::{Site, real},
    world::{USER, World},
};

pub const KEY: &str = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-test-0123456789abcdefghij"}"#;
const SAID_KEY: &str = "Logged in using an API key - sk-test-***fghij\n";
const SAID_CHATGPT: &str = "Logged in using ChatGPT\n";

pub fn chatgpt(seconds_from_now: i64) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let exp = chrono::Utc::now().timestamp() + seconds_from_now;
    let claims = format!(
        r#"{{"exp":{exp},"email":"a@b.c","https://api.openai.com/auth":{{"chatgpt_account_id":"x","chatgpt_plan_type":"plus","chatgpt_user_id":"u"}}}}"#
    );
    let jwt = format!("{}.{}.{}", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(&claims), part("sig"));
    format!(
        r#"{{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{{"id_token":"{jwt}","access_token":"{jwt}","refresh_token":"rt-very-secret","account_id":"x"}},"last_refresh":"2025-01-01T00:00:00Z"}}"#
    )
}

pub fn ask(volume: Option<&str>) -> preflight::Ask<'_> {
    preflight::Ask {
        queue: "codex-0",
        volume,
        generation: 0,
        probe: false,
    }
}

async fn check(site: &Site) -> (v1::Preflight, v1::VolumeDiagnostics) {
    check_with(site, site.world.engine.as_ref()).await
}

async fn check_with(site: &Site, engine: &dyn Engine) -> (v1::Preflight, v1::VolumeDiagnostics) {
    let checked = checked(site, engine).await;
    (checked.preflight, checked.diagnostics)
}

/// The failure that a job would end with.
async fn failure(site: &Site) -> v1::Failure {
    preflight::failure(&checked(site, site.world.engine.as_ref()).await)
}

async fn checked(site: &Site, engine: &dyn Engine) -> preflight::Checked {
    let agent = Codex::new(&site.config);
    let checked = preflight::check(engine, &agent, &site.config, &ask(Some(&site.volume))).await;
    let preflight::Checked {
        preflight, diagnostics, ..
    } = &checked;
    let message = &preflight.message;
    assert!(
        !message.contains('\n') && message.chars().count() <= preflight::MESSAGE_LIMIT,
        "{message}"
    );
    for secret in ["sk-test-0123", "fghij", "eyJ", "rt-very-secret"] {
        assert!(!format!("{preflight:?} {diagnostics:?}").contains(secret), "{secret} in {message}");
    }
    if preflight.status() == Status::Failed {
        for name in [&site.volume, "codex-0", "worker w1"] {
            assert!(message.contains(name), "{name} is not in {message}");
        }
    }
    checked
}

pub async fn site(world: World) -> Site {
    let mut site = Site::new(world).await;
    if let (false, Some(real)) = (site.world.docker, real()) {
        site.config.codex_program = real;
    }
    site
}

pub async fn each_state_of_a_login_is_told_apart(world: World) {
    let site = site(world).await;
    let truncated = "Error checking login status: EOF while parsing a string at line 1 column 30\n";
    for (said, code, auth, mode, rung) in [
        (SAID_KEY, 0, KEY.to_owned(), "600", Rung::Present),
        (SAID_CHATGPT, 0, chatgpt(3600), "600", Rung::Unexpired),
        (SAID_CHATGPT, 0, chatgpt(-3600), "600", Rung::Present),
        (SAID_CHATGPT, 0, "{}".to_owned(), "600", Rung::Corrupt),
        (truncated, 1, KEY[..30].to_owned(), "600", Rung::Corrupt),
    ] {
        site.answer(code, said).await;
        site.put("auth.json", &auth, mode).await;
        let (preflight, diagnostics) = check(&site).await;
        assert_eq!(preflight.rung(), rung, "{}", preflight.message);
        assert_eq!(preflight.exit_code, Some(code));
        assert_eq!(preflight.status() == Status::Passed, preflight::passes(rung));
        assert_eq!(diagnostics.credential_mode, format!("0{mode}"));
    }
}

pub async fn a_volume_without_a_login_is_told_with_the_command_that_mends_it(world: World) {
    let site = site(world).await;
    site.answer(1, "Not logged in\n").await;
    let (preflight, diagnostics) = check(&site).await;
    assert_eq!((preflight.status(), preflight.rung()), (Status::Failed, Rung::NotLoggedIn));
    assert!(diagnostics.exists && diagnostics.credential_mode.is_empty(), "{diagnostics:?}");
    assert_eq!(diagnostics.mode, "0700");
    let message = &preflight.message;
    assert!(message.ends_with(&format!("moorline volume login {}", site.volume)), "{message}");
    let failure = failure(&site).await;
    assert_eq!((failure.code.as_str(), failure.class()), ("NOT_LOGGED_IN", FailureClass::Login));
    assert_eq!(failure.details.get("cause"), None);
    assert_eq!(failure.message, preflight.message);
}

pub async fn a_login_is_described_without_its_secrets(world: World) {
    let site = site(world).await;
    site.answer(0, SAID_CHATGPT).await;
    site.put("auth.json", &chatgpt(3600), "600").await;
    site.put("history.jsonl", &"x".repeat(5000), "600").await;
    let (_, diagnostics) = check(&site).await;
    assert_eq!(diagnostics.login_method, "chatgpt");
    assert!(diagnostics.token_expires_at.is_some() && diagnostics.credential_modified_at.is_some());
    assert_eq!(diagnostics.credential_bytes, i64::try_from(chatgpt(3600).len()).unwrap());
    assert_eq!((diagnostics.session_bytes, diagnostics.log_bytes), (5000, 0));
    assert!(diagnostics.free_bytes > 0 && diagnostics.quota_bytes == 1 << 30, "{diagnostics:?}");
    assert!(diagnostics.owner.contains(':') && !diagnostics.driver.is_empty());
}

pub async fn a_volume_that_is_missing_is_not_created_by_the_check(world: World) {
    let mut site = site(world).await;
    site.volume = format!("{}-gone", site.volume);
    let (preflight, diagnostics) = check(&site).await;
    assert_eq!(preflight.rung(), Rung::VolumeMissing, "{}", preflight.message);
    assert!(!diagnostics.exists && preflight.exit_code.is_none());
    assert!(site.world.engine.volume(&site.volume).await.unwrap().is_none());
}

pub async fn a_cli_that_is_missing_is_the_environments_fault(world: World) {
    let mut site = site(world).await;
    site.config.codex_program = "no-such-codex".to_owned();
    let (preflight, diagnostics) = check(&site).await;
    assert_eq!(
        (preflight.rung(), preflight.exit_code),
        (Rung::EnvironmentBroken, Some(127)),
        "{}",
        preflight.message
    );
    assert!(diagnostics.exists && diagnostics.mode == "0700");
    let failure = failure(&site).await;
    assert_eq!(
        (failure.class(), failure.details["cause"].as_str()),
        (FailureClass::Environment, "program_missing")
    );
}

pub async fn a_cli_that_hangs_has_timed_out(world: World) {
    // The real one doesn't.
    let mut site = Site::new(world).await;
    site.put("hang", "", "644").await;
    site.config.preflight_timeout = Duration::from_secs(1);
    let (preflight, _) = check(&site).await;
    assert_eq!(preflight.rung(), Rung::TimedOut, "{}", preflight.message);
    assert!(preflight.message.contains("1 s"));
}

pub async fn without_a_volume_the_check_is_skipped(world: World) {
    let site = site(world).await;
    let agent = Codex::new(&site.config);
    let checked = preflight::check(site.world.engine.as_ref(), &agent, &site.config, &ask(None)).await;
    let preflight = checked.preflight;
    assert_eq!((preflight.status(), preflight.rung()), (Status::Skipped, Rung::Unspecified));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_missing_and_an_engine_that_is_gone_are_told_apart() {
    let Some(world) = World::docker().await else { return };
    let mut site = Site::new(world).await;
    site.config.login_check_image = Some("moorline-test-no-such-image:1".to_owned());
    let (preflight, diagnostics) = check(&site).await;
    assert_eq!(preflight.rung(), Rung::EnvironmentBroken);
    assert!(
        preflight
            .message
            .contains("the image moorline-test-no-such-image:1 is not on this machine"),
        "{}",
        preflight.message
    );
    assert!(preflight.message.contains("CODEX_LOGIN_CHECK_IMAGE"), "{}", preflight.message);
    assert!(diagnostics.exists);
    assert_eq!(failure(&site).await.details["cause"], "image_missing");
    let gone = DockerEngine::at("tcp://127.0.0.1:1", USER, "x").unwrap();
    let checked = checked(&site, &gone).await;
    assert_eq!(preflight::failure(&checked).details["cause"], "engine_unreachable");
    let preflight = checked.preflight;
    assert_eq!(preflight.rung(), Rung::EnvironmentBroken);
    assert!(
        preflight.message.contains("does not answer at tcp://127.0.0.1:1"),
        "{}",
        preflight.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_is_stored_by_the_cli_from_its_standard_input() {
    let mut site = Site::new(World::process()).await;
    // What the CLI does with a key, as far as a shell can.
    site.put(
        "work",
        r#"read -r key; printf '{"OPENAI_API_KEY":"%s"}' "$key" >"$CODEX_HOME/auth.json"; echo "$*" >"$CODEX_HOME/args""#,
        "644",
    )
    .await;
    if let Some(real) = real() {
        site.config.codex_program = real;
    }
    let engine = site.world.engine.as_ref();
    let key = SecretString::from("sk-test-0123456789abcdefghij");
    login::with_api_key(engine, &site.config, &site.volume, &key).await.unwrap();
    site.answer(0, SAID_KEY).await;
    let (preflight, diagnostics) = check(&site).await;
    assert_eq!((preflight.rung(), diagnostics.login_method.as_str()), (Rung::Present, "api_key"));
    let args = engine.read_volume_file(&site.volume, "args").await.unwrap();
    use secrecy::ExposeSecret;
    assert!(args.is_none_or(|args| args.expose_secret() == b"login --with-api-key\n"));
    assert!(matches!(
        login::with_api_key(engine, &site.config, &site.volume, &SecretString::from(" ")).await,
        Err(login::Error::Empty)
    ));
    site.put("work", "read -r key; echo \"bad key $key\" >&2; exit 1", "644").await;
    if real().is_none() {
        let refused = login::with_api_key(engine, &site.config, &site.volume, &key)
            .await
            .unwrap_err()
            .to_string();
        assert!(refused.contains("bad key [redacted]"), "{refused}");
    }
}

pub async fn modes_that_are_too_wide_are_mended(world: World) {
    let site = site(world).await;
    site.answer(0, SAID_KEY).await;
    site.put("auth.json", KEY, "644").await;
    site.put("widen", "", "644").await;
    let mut spec = site.world.script("chmod 0755 home/.codex/.");
    spec.volume = Some(site.world.mount(&site.volume));
    site.world.capture(&spec).await;
    let (preflight, diagnostics) = check(&site).await;
    assert_eq!(preflight.rung(), Rung::Present, "{}", preflight.message);
    assert_eq!(diagnostics.mended, ["mode of the volume", "mode of auth.json"]);
    assert_eq!((diagnostics.mode.as_str(), diagnostics.credential_mode.as_str()), ("0700", "0600"));
    assert!(check(&site).await.1.mended.is_empty());
}

pub async fn a_volume_that_somebody_uses_is_told_with_who_it_is(world: World) {
    let mut site = site(world).await;
    site.answer(0, SAID_KEY).await;
    site.put("auth.json", KEY, "600").await;
    let pipe = site.world.pipe("busy");
    let held = guard::Use::new("moorline-job-7", guard::Kind::Agent, 0, "w2");
    let home = site.world.mount(&site.volume).target;
    let mut spec = site.world.script("");
    spec.argv = held.guard(&home, vec!["cat".to_owned(), pipe.display().to_string()]);
    spec.volume = Some(site.world.mount(&site.volume));
    let container = site.world.engine.start(&spec).await.unwrap();
    // It has the lock once it reads.
    let writer = tokio::task::spawn_blocking(move || std::fs::File::options().write(true).open(pipe).unwrap());
    let writer = writer.await.unwrap();
    site.config.preflight_timeout = Duration::from_secs(2);
    let agent = Codex::new(&site.config);
    let checked = preflight::check(site.world.engine.as_ref(), &agent, &site.config, &ask(Some(&site.volume))).await;
    let blocked = checked.blocked.clone().unwrap();
    assert_eq!(
        (blocked.code.as_str(), blocked.class()),
        ("VOLUME_IN_USE", FailureClass::Environment)
    );
    assert!(
        blocked.message.contains("agent moorline-job-7 of worker w2, since "),
        "{}",
        blocked.message
    );
    assert_eq!(preflight::failure(&checked), blocked);
    drop(writer);
    site.world.engine.wait(&container).await.unwrap();
    site.world.engine.remove(&container).await.unwrap();
    site.config.preflight_timeout = Duration::from_secs(20);
    assert_eq!(check(&site).await.0.rung(), Rung::Present);
}

pub async fn what_piled_up_is_cleaned_away_and_the_login_stays(world: World) {
    let mut site = site(world).await;
    site.answer(0, SAID_KEY).await;
    site.put("auth.json", KEY, "600").await;
    for (name, bytes) in [
        ("history.jsonl", 5000),
        ("logs_2.sqlite", 6000),
        ("state_5.sqlite-wal", 7000),
        ("config.toml", 1),
    ] {
        site.put(name, &"#".repeat(bytes), "600").await;
    }
    let (engine, agent) = (site.world.engine.clone(), Codex::new(&site.config));
    let settle = async |config: &_| {
        let settled = steward::settle(engine.as_ref(), &agent, config, &site.volume, 0, &Outcome::Unknown);
        settled.await.unwrap();
        engine.read_volume_file(&site.volume, "history.jsonl").await.unwrap().is_some()
    };
    assert!(settle(&site.config).await, "it is within the quota");
    site.config.volume_quota_bytes = 0;
    assert!(settle(&site.config).await, "there is none");
    let diagnostics = check(&site).await.1;
    assert_eq!((diagnostics.session_bytes, diagnostics.log_bytes), (5000, 6000));
    let (freed, diagnostics) = steward::clean(engine.as_ref(), &agent, &site.config, &site.volume, 0)
        .await
        .unwrap();
    assert!((18_000..30_000).contains(&freed), "{freed}");
    assert_eq!((diagnostics.session_bytes, diagnostics.log_bytes), (0, 0));
    assert!(diagnostics.snapshot_at.is_some() && diagnostics.login_method == "api_key");
    site.put("history.jsonl", &"#".repeat(50_000), "600").await;
    site.config.volume_quota_bytes = 40_000;
    assert!(!settle(&site.config).await, "it is over the quota");
    for kept in ["auth.json", "config.toml", ".moorline/snapshot/auth.json"] {
        assert!(engine.read_volume_file(&site.volume, kept).await.unwrap().is_some(), "{kept}");
    }
    assert_eq!(check(&site).await.0.rung(), Rung::Present);
}
