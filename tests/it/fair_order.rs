//! The order of a queue: by priority, then fair between repositories, and fixed when a job is queued.
//!
//! Contract: 001/FR-042.

use std::collections::HashMap;

use moorline_proto::v1;

use crate::support::{ScriptedWorker, TestApp, app::request, scripted_worker::no_work};

/// Runs by id, with the name that the test gives them.
struct Runs(HashMap<String, String>);

impl Runs {
    async fn create(&mut self, app: &TestApp, repository: &str, feature: &str, priority: i32) {
        let options = v1::RunOptions {
            priority,
            ..Default::default()
        };
        let request = v1::CreateRunRequest {
            repository: format!("octo/{repository}"),
            options: Some(options),
            ..request(feature)
        };
        let run = app.create_with(request).await.unwrap();
        self.0.insert(run.run_id, format!("{repository}{feature}"));
    }

    /// Names of the next runs that a worker is offered, in that order.
    async fn offered(&self, worker: &mut ScriptedWorker, count: usize) -> Vec<&str> {
        worker.credit("default", i32::try_from(count).unwrap()).await;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push(self.0[&worker.offer().await.run_id].as_str());
        }
        names
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_with_much_to_do_does_not_keep_another_waiting() {
    let app = TestApp::start().await;
    let mut runs = Runs(HashMap::new());
    for feature in 1..=50 {
        runs.create(&app, "a", &feature.to_string(), 0).await;
    }
    runs.create(&app, "b", "1", 0).await;
    runs.create(&app, "b", "2", 0).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    assert_eq!(runs.offered(&mut worker, 6).await, ["a1", "b1", "a2", "b2", "a3", "a4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn priority_goes_before_fairness() {
    let app = TestApp::start().await;
    let mut runs = Runs(HashMap::new());
    runs.create(&app, "b", "1", 0).await;
    for feature in 1..=3 {
        runs.create(&app, "a", &feature.to_string(), 10).await;
    }
    runs.create(&app, "b", "2", -10).await;
    runs.create(&app, "c", "1", 10).await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    assert_eq!(runs.offered(&mut worker, 6).await, ["a1", "c1", "a2", "a3", "b1", "b2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_keeps_its_place_whatever_comes_after_it() {
    let app = TestApp::start().await;
    let mut runs = Runs(HashMap::new());
    for feature in 1..=3 {
        runs.create(&app, "a", &feature.to_string(), 0).await;
    }
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    assert_eq!(runs.offered(&mut worker, 1).await, ["a1"]);
    // Newcomers begin where the queue is now: behind what was claimed, beside what waits, in the order of their coming.
    for (repository, feature) in [("b", "1"), ("c", "1"), ("b", "2"), ("a", "4")] {
        runs.create(&app, repository, feature, 0).await;
    }
    assert_eq!(runs.offered(&mut worker, 6).await, ["a2", "b1", "c1", "a3", "b2", "a4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_queue_holds_no_past_against_a_repository() {
    let app = TestApp::start().await;
    let mut runs = Runs(HashMap::new());
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    for feature in 1..=5 {
        runs.create(&app, "a", &feature.to_string(), 0).await;
        worker.work("default", no_work()).await;
    }
    runs.create(&app, "a", "6", 0).await;
    runs.create(&app, "b", "1", 0).await;
    runs.create(&app, "a", "7", 0).await;
    assert_eq!(runs.offered(&mut worker, 3).await, ["a6", "b1", "a7"]);
}
