//! Logins by device code on each engine, with a stand-in for the CLI: their output is followed while they run.

use std::sync::{Arc, Mutex};

use moorline_worker::{agent::DeviceCode, engine::Engine, login};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::{agent::Site, world::World};

/// Prints page and code as the CLI does, and stores a login once the person has agreed.
const WORK: &str = r#"
[ ! -e "$CODEX_HOME/auth.json" ] || echo "it meets the old login" >&2
printf '1. Open this link\n   \033[94mhttps://issuer.test/codex/device\033[0m\n\n2. Enter this one-time code (expires in 15 minutes)\n'
printf '   \033[94mABCD-EFGH\033[0m\n\n'
while [ ! -e "${CODEX_HOME%/.moorline/login}/agreed" ]; do sleep 0.1; done
printf '%s' '{"auth_mode":"apikey","OPENAI_API_KEY":"sk-test-new-0123456789"}' >"$CODEX_HOME/auth.json"
"#;
const OLD: &str = r#"{"auth_mode":"apikey","OPENAI_API_KEY":"sk-test-old-0123456789"}"#;

async fn site(world: World) -> Site {
    let site = Site::new(world).await;
    site.put("work", WORK, "644").await;
    site.put("auth.json", OLD, "600").await;
    site
}

async fn stored(site: &Site) -> String {
    let file = site.world.engine.read_volume_file(&site.volume, "auth.json").await.unwrap();
    String::from_utf8_lossy(file.unwrap().expose_secret()).into_owned()
}

/// Logs in; `shown` is told of the code.
async fn log_in(site: &Site, shown: impl Fn(DeviceCode), stop: &CancellationToken) -> Result<(), login::Error> {
    let engine: Arc<dyn Engine> = site.world.engine.clone();
    login::by_device_code(&engine, &site.config, &site.volume, 1, shown, stop).await
}

pub async fn a_login_by_device_code_shows_its_code_while_it_waits(world: World) {
    let site = site(world).await;
    let told = Mutex::new(None);
    let shown = CancellationToken::new();
    let agrees = async {
        shown.cancelled().await;
        assert!(
            stored(&site).await.contains("sk-test-old"),
            "the old login is there as long as there is no new one"
        );
        site.put("agreed", "", "644").await;
    };
    let never = CancellationToken::new();
    let tell = |code| {
        *told.lock().unwrap() = Some(code);
        shown.cancel();
    };
    let (done, ()) = tokio::join!(log_in(&site, tell, &never), agrees);
    done.unwrap();
    let code = told.lock().unwrap().take().unwrap();
    assert_eq!(
        (code.verification_url.as_str(), code.user_code.as_str()),
        ("https://issuer.test/codex/device", "ABCD-EFGH")
    );
    assert!(stored(&site).await.contains("sk-test-new"));
    let logins = site.config.work_root.join("logins");
    assert_eq!(std::fs::read_dir(logins).unwrap().count(), 0, "nothing of its output stays");
}

pub async fn a_login_that_is_broken_off_leaves_the_old_one_and_no_container(world: World) {
    let site = site(world).await;
    let stop = CancellationToken::new();
    let done = log_in(&site, |_| stop.cancel(), &stop).await;
    assert!(matches!(done, Err(login::Error::Stopped { .. })), "{done:?}");
    assert!(stored(&site).await.contains("sk-test-old"));
    let labels = [("moorline.volume".to_owned(), site.volume.clone())].into();
    assert!(site.world.engine.list(&labels).await.unwrap().is_empty());
    let login = site.world.engine.read_volume_file(&site.volume, ".moorline/login/auth.json").await;
    assert!(login.unwrap().is_none());
}
