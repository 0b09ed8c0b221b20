//! The same on a real Docker engine: job containers with the shard's volume mounted.
//!
//! Contract: 001/FR-022, 001/FR-023.

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveVolumeOptions};
use moorline_proto::v1;
use moorline_tests::repo::SampleRepository;

use crate::support::{Fleet, fleet::repository};

/// Stops the fleet, and checks that no container of the run is left.
async fn clean(mut fleet: Fleet, run_id: &str) {
    fleet.stop().await;
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let filters = [("label".to_owned(), vec![format!("moorline.run={run_id}")])].into();
    let left = docker
        .list_containers(Some(ListContainersOptionsBuilder::new().all(true).filters(&filters).build()))
        .await
        .unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_worked_in_a_container_with_the_shards_volume_mounted() {
    let mut fleet = Fleet::in_docker("work").await;
    fleet.shard_worker(0, |_| {}).await;
    let origin = repository(SampleRepository::builder());
    let view = fleet.run(&origin).await;
    let run = view.run.clone().unwrap();
    assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
    assert_eq!(origin.log(&run.branch_name).unwrap().len(), 2);
    assert_eq!(view.preflight.unwrap().status(), v1::PreflightStatus::Passed);
    let shard = fleet
        .app
        .shards()
        .get_shard(v1::GetShardRequest {
            queue: "codex-0".to_owned(),
        })
        .await
        .unwrap()
        .into_inner()
        .shard
        .unwrap();
    let seen = shard.volume.unwrap().diagnostics.unwrap();
    assert_eq!((seen.exists, seen.owner.as_str(), seen.mode.as_str()), (true, "1000:1000", "0700"));
    assert_eq!((seen.credential_mode.as_str(), seen.login_method.as_str()), ("0600", "api_key"));
    clean(fleet, &run.run_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_gone_fails_the_run_as_the_environments_fault() {
    let mut fleet = Fleet::in_docker("work").await;
    // There when the worker starts, and removed before the job: a tag of its own for the same image.
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    let (image, tag) = (fleet.config("any", "default").job_image, fleet.volume(9));
    let options = bollard::query_parameters::TagImageOptionsBuilder::new()
        .repo("moorline-test")
        .tag(&tag)
        .build();
    docker
        .tag_image(&image, Some(options))
        .await
        .expect("the job image: cargo xtask test builds it");
    let name = format!("moorline-test:{tag}");
    fleet.shard_worker(0, |config| config.job_image = name.clone()).await;
    docker
        .remove_image(&name, None::<bollard::query_parameters::RemoveImageOptions>, None)
        .await
        .unwrap();

    let run = fleet.run(&repository(SampleRepository::builder())).await.run.unwrap();
    let failure = run.failure.clone().unwrap();
    assert_eq!(
        (failure.code.as_str(), failure.class()),
        ("ENVIRONMENT_BROKEN", v1::FailureClass::Environment)
    );
    assert!(failure.message.contains(&name), "{}", failure.message);
    clean(fleet, &run.run_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_gone_is_told_and_not_made_anew() {
    let mut fleet = Fleet::in_docker("work").await;
    fleet.shard_worker(0, |_| {}).await;
    let docker = bollard::Docker::connect_with_defaults().unwrap();
    docker.remove_volume(&fleet.volume(0), None::<RemoveVolumeOptions>).await.unwrap();
    let run = fleet.run(&repository(SampleRepository::builder())).await.run.unwrap();
    let failure = run.failure.clone().unwrap();
    assert_eq!(failure.code, "VOLUME_MISSING");
    assert!(failure.message.contains(&fleet.volume(0)), "{}", failure.message);
    assert!(docker.inspect_volume(&fleet.volume(0)).await.is_err());
    clean(fleet, &run.run_id).await;
}
