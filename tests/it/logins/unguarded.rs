//! Without a lease on the login.

use std::net::SocketAddr;

use moorline_tests::{
    issuer::Issuer,
    logins::unguarded::{self, Home},
    model::ScriptedModel,
};
use moorline_worker::config::Config;

use crate::support::program;

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_share_a_login_without_a_lease_lose_it() {
    let issuer = Issuer::start().await.unwrap();
    issuer.approve_at_once();
    let model = ScriptedModel::of_issuer(SocketAddr::from(([127, 0, 0, 1], 0)), &issuer)
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let urls = [
        ("openai_base_url", model.base_url("say")),
        ("chatgpt_base_url", model.chatgpt_url()),
    ];
    let config = Config {
        codex_program: program("MOORLINE_CODEX_PROGRAM", "codex"),
        codex_config: urls.map(|(name, url)| format!("{name}={url:?}")).to_vec(),
        ..Config::try_parse_from(["moorline-worker"]).unwrap()
    };
    let home = Home {
        issuer: &issuer,
        config: &config,
        folder: folder.path(),
    };
    let broken = unguarded::run(&home, 4).await.unwrap();
    assert!(broken.is_broken(), "{broken:?}");
}
