//! An agent that is killed while it renews its login. `cargo xtask soak --logins` kills more of them.

use moorline_tests::logins::kills::{self, Scene};

/// Each case twice; `MOORLINE_TEST_KILLS` says otherwise.
fn count() -> usize {
    std::env::var("MOORLINE_TEST_KILLS").map_or(8, |count| count.parse().expect("MOORLINE_TEST_KILLS is a number"))
}

async fn killed(scene: Scene) {
    let table = kills::run(&scene, count()).await.unwrap();
    println!("{table}");
    assert!(table.wrong().is_empty(), "{:#?}", table.wrong());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_lost_in_a_killed_container_is_never_shown_as_ready() {
    killed(Scene::docker().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_was_lost_with_a_killed_process_is_never_shown_as_ready() {
    killed(Scene::process().await.unwrap()).await;
}
