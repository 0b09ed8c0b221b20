//! The rungs of the ladder with the real CLI, and what an operator reads of each. Without that CLI they are skipped.

use std::{fs, os::unix::fs::chown, path::PathBuf};

use chrono::Utc;
use moorline_proto::v1::{self, PreflightRung as Rung, PreflightStatus as Status};
use moorline_worker::{
    agent::codex::Codex,
    preflight,
    volume::steward::{self, Outcome},
};
use secrecy::SecretString;

use crate::{
    agent::{Site, real},
    logins::{KEY, ask, chatgpt, site},
    model::Model,
    world::World,
};

const HOUR: i64 = 3600;

/// The real CLI on local processes, with a model and an issuer of its own.
struct Real {
    site: Site,
    model: Model,
}

impl Real {
    async fn new() -> Option<Self> {
        if real().is_none() {
            println!("skipped: MOORLINE_TEST_CODEX names no CLI");
            return None;
        }
        let (mut site, model) = (site(World::process()).await, Model::start().await);
        site.config.codex_config = vec![
            format!("openai_base_url={:?}", format!("{}/v1", model.url)),
            format!("chatgpt_base_url={:?}", format!("{}/backend", model.url)),
        ];
        let refresh = SecretString::from(format!("{}/oauth/token", model.url));
        site.config.codex_env.insert("CODEX_REFRESH_TOKEN_URL_OVERRIDE".to_owned(), refresh);
        Some(Self { site, model })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.config.volume_root.join(&self.site.volume).join(name)
    }

    async fn put(&self, auth: &str) {
        self.site.put("auth.json", auth, "600").await;
    }

    async fn checked(&self, probe: bool) -> preflight::Checked {
        let ask = preflight::Ask {
            probe,
            ..ask(Some(&self.site.volume))
        };
        let engine = self.site.world.engine.as_ref();
        let checked = preflight::check(engine, &Codex::new(&self.site.config), &self.site.config, &ask).await;
        let shown = format!("{checked:?}");
        for secret in ["sk-test-0123", "eyJ", "rt-"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        checked
    }

    /// Rung and message, with names in the place of what differs from test to test.
    async fn said(&self, probe: bool) -> String {
        let v1::Preflight { rung, message, .. } = self.checked(probe).await.preflight;
        let rung = Rung::try_from(rung).unwrap().as_str_name().trim_start_matches("PREFLIGHT_RUNG_");
        let program = real().unwrap();
        let message = message.replace(
            &self.file("").display().to_string().trim_end_matches('/').to_owned(),
            "VOLUME_FOLDER",
        );
        let message = message.replace(&self.site.volume, "VOLUME").replace(&program, "codex");
        format!("{rung}: {}", message.replace(&self.model.url, "MODEL"))
    }

    async fn settle(&self, outcome: Outcome) {
        let (config, engine) = (&self.site.config, self.site.world.engine.as_ref());
        steward::settle(engine, &Codex::new(config), config, &self.site.volume, 0, &outcome)
            .await
            .unwrap();
    }

    /// Leaves a doubt, as an agent does that was killed.
    fn doubt(&self) {
        fs::write(self.file(".moorline/doubt"), "u1 broke off\n").unwrap();
        let owner = fs::metadata(self.file("")).unwrap();
        use std::os::unix::fs::MetadataExt;
        chown(self.file(".moorline/doubt"), Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

/// Times differ from test to test.
fn timeless(said: String) -> String {
    let at = said.find("valid until ").map(|at| at + "valid until ".len());
    at.map_or(said.clone(), |at| {
        format!("{}TIME{}", &said[..at], &said[at + "2026-11-20 16:00:00 UTC".len()..])
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_reads_what_is_wrong_and_what_mends_it() {
    let Some(real) = Real::new().await else { return };
    let mut said = vec![real.said(false).await];
    for auth in [
        KEY[..30].to_owned(),
        "{}".to_owned(),
        chatgpt(-HOUR).replace("rt-very-secret", ""),
        KEY.to_owned(),
        chatgpt(-HOUR),
        chatgpt(HOUR),
    ] {
        real.put(&auth).await;
        // Nothing of the one before is put back.
        let _ = fs::remove_dir_all(real.file(".moorline/snapshot"));
        said.push(timeless(real.said(false).await));
    }
    real.settle(Outcome::Refused(
        Rung::Revoked,
        "your session has ended; log out and sign in again".to_owned(),
    ))
    .await;
    said.push(real.said(false).await);
    // Short, since the path of the program, which differs from machine to machine, takes of the room that a message has.
    real.model.fails(400, r#"{"error":"no"}"#);
    said.push(real.said(true).await);
    real.model.works();
    said.push(real.said(true).await);
    said.push(timeless(real.said(false).await));
    real.site.put("config.toml", "= broken", "600").await;
    said.push(real.said(false).await);
    insta::assert_snapshot!(said.join("\n"), @r#"
    NOT_LOGGED_IN: Codex login check failed: nobody is logged in [Not logged in] (volume VOLUME, shard codex-0, worker w1). Log in with: moorline volume login VOLUME
    CORRUPT: Codex login check failed: the credential file is damaged or empty [Error checking login status: EOF while parsing a string at line 1 column 30] (volume VOLUME, shard codex-0, worker w1). Log in with: moorline volume login VOLUME
    CORRUPT: Codex login check failed: the credential file is damaged or empty [auth.json holds no key and no token] (volume VOLUME, shard codex-0, worker w1). Log in with: moorline volume login VOLUME
    EXPIRED: Codex login check failed: the login has expired [the token has expired, and there is no refresh token] (volume VOLUME, shard codex-0, worker w1). Log in with: moorline volume login VOLUME
    PRESENT: Codex login check passed: an API key is stored (volume VOLUME, shard codex-0, worker w1)
    PRESENT: Codex login check passed: a ChatGPT login is stored; its token has expired and is renewed at the next use (volume VOLUME, shard codex-0, worker w1)
    UNEXPIRED: Codex login check passed: a ChatGPT login is stored, its token is valid until TIME (volume VOLUME, shard codex-0, worker w1)
    REVOKED: Codex login check failed: the login was refused, or its refresh token was used elsewhere [your session has ended; log out and sign in again] (volume VOLUME, shard codex-0, worker w1). Log in with: moorline volume login VOLUME
    UNKNOWN: Codex login check failed: its answer is not understood [a real call was made and failed: codex ended with exit code 1: {"error":"no"}] (volume VOLUME, shard codex-0, worker w1). Look again with: moorline volume check --probe VOLUME; if that does not help, log in with: moorline volume login VOLUME
    PROVEN: Codex login check passed: a real call has just worked (volume VOLUME, shard codex-0, worker w1)
    PROVEN: Codex login check passed: a ChatGPT login is stored, its token is valid until TIME; a real call has worked lately (volume VOLUME, shard codex-0, worker w1)
    ENVIRONMENT_BROKEN: Codex login check failed: it could not be run [mend config.toml in the volume: Error loading configuration: VOLUME_FOLDER/config.toml:1:1: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`] (volume VOLUME, shard codex-0, worker w1). Mend the cause on the worker's machine, then retry the run.
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_another_user_is_unreadable_and_one_that_can_be_copied_is_mended() {
    let Some(real) = Real::new().await else { return };
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can give files away");
        return;
    }
    real.put(KEY).await;
    chown(real.file("auth.json"), Some(0), Some(0)).unwrap();
    insta::assert_snapshot!(real.said(false).await, @"UNREADABLE: Codex login check failed: the job user 1000:1000 can't read the volume [Error checking login status: Permission denied (os error 13)] (volume VOLUME, shard codex-0, worker w1). Give it to that user: chown -R 1000:1000 VOLUME_FOLDER && chmod -R u+rwX VOLUME_FOLDER");
    std::process::Command::new("chmod")
        .arg("0644")
        .arg(real.file("auth.json"))
        .status()
        .unwrap();
    let checked = real.checked(false).await;
    assert_eq!(checked.preflight.rung(), Rung::Present, "{}", checked.preflight.message);
    assert_eq!(checked.diagnostics.mended, ["owner of auth.json"]);
    chown(real.file(""), Some(0), Some(0)).unwrap();
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::Unreadable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_tells_until_when() {
    let Some(real) = Real::new().await else { return };
    real.put(KEY).await;
    real.model.fails(
        429,
        r#"{"error":{"type":"usage_limit_reached","message":"limit reached","plan_type":"plus","resets_in_seconds":7200}}"#,
    );
    let preflight = real.checked(true).await.preflight;
    insta::assert_snapshot!(real.said(true).await, @"RATE_LIMITED: Codex login check failed: the account is rate-limited or out of quota [codex ended with exit code 1: You’ve hit your usage limit. Upgrade to Pro (https://chatgpt.com/explore/pro), visit https://chatgpt.com/settings/usage to purchase more credits or try again later.] (volume VOLUME, shard codex-0, worker w1). Wait until the account's limit is lifted, then retry the run.");
    assert_eq!((preflight.rung(), preflight.status()), (Rung::RateLimited, Status::Failed));
    // Not refused: a check without a call passes.
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::Present);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_stays_refused_until_it_changes_or_works() {
    let Some(real) = Real::new().await else { return };
    real.put(&chatgpt(HOUR)).await;
    real.settle(Outcome::Refused(Rung::Revoked, "401 Unauthorized".to_owned())).await;
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::Revoked);
    assert!(!real.file(".moorline/snapshot/auth.json").exists(), "it is no good one");
    real.put(&chatgpt(2 * HOUR)).await;
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::Unexpired);
    real.settle(Outcome::Refused(Rung::Revoked, "401 Unauthorized".to_owned())).await;
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::Revoked);
    assert_eq!(real.checked(true).await.preflight.rung(), Rung::Proven);
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::Proven);
    real.put(&chatgpt(3 * HOUR)).await;
    assert_eq!(
        real.checked(false).await.preflight.rung(),
        Rung::Unexpired,
        "another login is not proven"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_doubt_is_tried_before_it_passes() {
    let Some(real) = Real::new().await else { return };
    // Its token is valid: no refresh was due.
    real.put(&chatgpt(HOUR)).await;
    real.checked(false).await;
    real.doubt();
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::Unexpired);
    assert!(!real.file(".moorline/doubt").exists());
    assert_eq!(real.model.asked(), (0, 0));
    // It has run out: only a real call tells.
    real.put(&chatgpt(-HOUR)).await;
    real.doubt();
    let said = real.said(false).await;
    assert!(real.model.asked().1 > 0, "{said}");
    insta::assert_snapshot!(said, @"NOT_LOGGED_IN: Codex login check failed: nobody is logged in [the login was lost when a process was ended while it renewed the token: Failed to refresh token: Your access token could not be refreshed because your refresh token was already used. Please log out and sign in again.] (volume VOLUME, shard codex-0, worker w1). Log in with: moorline volume login VOLUME");
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::NotLoggedIn, "and it stays so");
    // Another one is renewed by the call.
    let renewed = serde_json::from_str::<serde_json::Value>(&chatgpt(HOUR)).unwrap()["tokens"].clone();
    real.model.issues(&renewed.to_string());
    real.put(&chatgpt(-2 * HOUR)).await;
    real.doubt();
    let checked = real.checked(false).await;
    assert_eq!(checked.preflight.rung(), Rung::Proven, "{}", checked.preflight.message);
    assert!(!real.file(".moorline/doubt").exists());
    assert!(checked.diagnostics.token_expires_at.unwrap().seconds > Utc::now().timestamp());
    assert_eq!(
        fs::read(real.file(".moorline/snapshot/auth.json")).unwrap(),
        fs::read(real.file("auth.json")).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_doubt_that_can_not_be_tried_does_not_pass() {
    let Some(mut real) = Real::new().await else { return };
    let nowhere = SecretString::from("http://127.0.0.1:1/oauth/token");
    real.site
        .config
        .codex_env
        .insert("CODEX_REFRESH_TOKEN_URL_OVERRIDE".to_owned(), nowhere);
    real.model.fails(400, r#"{"error":{"message":"no"}}"#);
    real.put(&chatgpt(-HOUR)).await;
    real.checked(false).await;
    real.doubt();
    let checked = real.checked(false).await;
    assert_eq!(checked.preflight.status(), Status::Failed, "{}", checked.preflight.message);
    assert!(real.file(".moorline/doubt").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_credential_is_put_back_only_where_nothing_was_rotated() {
    let Some(real) = Real::new().await else { return };
    let login = chatgpt(HOUR);
    real.put(&login).await;
    assert!(real.checked(false).await.diagnostics.snapshot_at.is_some());
    real.put(&login[..login.len() - 40]).await;
    let checked = real.checked(false).await;
    assert_eq!(checked.preflight.rung(), Rung::Unexpired, "{}", checked.preflight.message);
    assert_eq!(checked.diagnostics.mended, ["auth.json, from its snapshot"]);
    assert_eq!(fs::read_to_string(real.file("auth.json")).unwrap(), login);
    let rotated = chatgpt(2 * HOUR);
    for damaged in [&rotated[..rotated.len() - 40], &login[..50], ""] {
        real.put(damaged).await;
        let preflight = real.checked(false).await.preflight;
        assert_eq!(preflight.rung(), Rung::Corrupt, "{}", preflight.message);
        assert_eq!(fs::read_to_string(real.file("auth.json")).unwrap(), damaged);
    }
    real.put(KEY).await;
    real.checked(false).await;
    real.put("").await;
    assert_eq!(real.checked(false).await.preflight.rung(), Rung::Present);
}
