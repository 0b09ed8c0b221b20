//! A host is cut off while its agent is at work: the agent is stopped there before its lease is over, and nobody has the login twice. The run waits for the
//! host where the volume is on its disk, and goes to a standby where both hosts reach the volume.

use std::time::Duration;

use moorline_proto::v1::{self, HoldReason, JobStatus, RunStatus, Stage};
use moorline_tests::repo::SampleRepository;
use rustix::process::Signal;

use super::{
    network::Cut,
    site::{Site, attempts},
};
use crate::support::{Gate, eventually, fleet::repository, gate::is_alive, promise, within};

/// Short enough to wait for; what is left after 80 % of it is enough to stop an agent on a busy machine.
const LEASE: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(90);
const FENCED: &str = "the server has not renewed this worker's lease";

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_host_is_cut_off_holds_its_work_until_the_host_is_back() {
    let Some(site) = Site::new(LEASE).await else { return };
    let app = &site.fleet.app;
    let _default = site
        .worker("west", &site.on("west", site.fleet.config("default", "default")), &[])
        .await;
    let gate = Gate::closed();
    let mut config = site.on("east", site.fleet.shard_config("codex", 0));
    site.fleet.log_in_with(&config, 0).await;
    config.codex_program = gate.program();
    let worker = site.worker("east", &config, &[]).await;
    let origin = repository(SampleRepository::builder());
    let run = app.create_with(site.fleet.request(&origin)).await.unwrap();
    let agent = gate.agent(1).await;
    let shard = async || {
        let request = v1::GetShardRequest {
            queue: "codex-0".to_owned(),
        };
        app.shards().get_shard(request).await.unwrap().into_inner().shard.unwrap()
    };
    assert_eq!(shard().await.worker_hostname, "east");

    site.network.cut("east", Cut::Unplugged);
    let next = within(PATIENCE, "the next attempt", async || {
        let view = app.get(&run.run_id).await;
        view.jobs.into_iter().find(|job| job.stage() == Stage::Submit && job.attempt == 2)
    })
    .await;
    assert!(!is_alive(agent), "the lease has passed on, and the agent still has the login");
    worker.says(FENCED).await;
    assert_eq!((next.status(), next.hold_reason()), (JobStatus::Queued, HoldReason::ShardOffline));
    assert_eq!(shard().await.status(), v1::ShardStatus::Offline);

    site.network.heal("east", Cut::Unplugged);
    gate.agent(2).await;
    gate.open();
    let view = app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");
    let expected = [
        (1, JobStatus::Failed, "WORKER_LOST".to_owned(), "codex".to_owned()),
        (2, JobStatus::Succeeded, String::new(), "codex".to_owned()),
    ];
    assert_eq!(attempts(&view, Stage::Submit), expected);
    assert_eq!(gate.agents().len(), 2);
    promise::kept(&app.database).await;
}

async fn a_standby_takes_over(cut: Cut) {
    let Some(site) = Site::new(LEASE).await else { return };
    let app = &site.fleet.app;
    let _default = site
        .worker("west", &site.on("west", site.fleet.config("default", "default")), &[])
        .await;
    let gate = Gate::closed();
    // On storage that both hosts reach.
    let config = |host, name| {
        let mut config = site.on(host, site.fleet.shard_config(name, 0));
        config.volume_root = site.fleet.root.path().join("volumes");
        config.codex_program = gate.program();
        config
    };
    site.fleet.log_in(0).await;
    let first = site.worker("east", &config("east", "first"), &[]).await;
    let standby = site.standby("west", &config("west", "standby"), &[]);
    standby.says("standing by").await;
    let origin = repository(SampleRepository::builder());
    let run = app.create_with(site.fleet.request(&origin)).await.unwrap();
    let agent = gate.agent(1).await;

    site.network.cut("east", cut);
    first.says(FENCED).await;
    within(PATIENCE, "the standby's agent", async || gate.agents().get(1).copied()).await;
    assert!(!is_alive(agent), "two agents use one login");
    gate.open();
    let view = app.finished(&run.run_id).await;
    assert_eq!(view.run.as_ref().unwrap().status(), RunStatus::Succeeded, "{view:?}");
    let expected = [
        (1, JobStatus::Failed, "WORKER_LOST".to_owned(), "first".to_owned()),
        (2, JobStatus::Succeeded, String::new(), "standby".to_owned()),
    ];
    assert_eq!(attempts(&view, Stage::Submit), expected, "{cut:?}");

    // Back again it stands by in its turn, and has the volume when the other has gone.
    site.network.heal("east", cut);
    first.says("standing by").await;
    assert_eq!(gate.agents().len(), 2, "it has started nothing");
    standby.signal(Signal::TERM);
    standby.says("the worker has stopped").await;
    let origin = repository(SampleRepository::builder());
    let run = app.create_with(site.fleet.request(&origin)).await.unwrap();
    eventually("an agent of the first host", async || gate.agents().get(2).copied()).await;
    let view = app.finished(&run.run_id).await;
    assert_eq!(
        attempts(&view, Stage::Submit),
        [(1, JobStatus::Succeeded, String::new(), "first".to_owned())]
    );
    promise::kept(&app.database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_volume_that_both_hosts_reach_a_standby_takes_over_from_a_host_whose_cable_is_pulled() {
    a_standby_takes_over(Cut::Unplugged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_volume_that_both_hosts_reach_a_standby_takes_over_from_a_host_that_is_not_heard() {
    a_standby_takes_over(Cut::Unheard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_volume_that_both_hosts_reach_a_standby_takes_over_from_a_host_that_hears_nothing() {
    a_standby_takes_over(Cut::Deaf).await;
}
