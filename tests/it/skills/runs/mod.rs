//! Whole runs by skills, on real parts: a server, workers, skills in containers of their own, the Codex CLI with a scripted model.
//!
//! Contract: 007/FR-036 to 007/FR-039.

mod by_skill;
mod docker;
mod fallback;
mod killed;
mod repository;
mod rollout;

use moorline_proto::v1::{self, Stage};
use moorline_server::domain::skill;
use moorline_tests::repo::SampleRepository;

use super::{root::Root, view::ended};
use crate::support::{Fleet, TestApp};

const STAGES: [Stage; 3] = [Stage::Discover, Stage::Submit, Stage::Publish];

/// A default worker and one for shard 0, logged in, with the skills of a root.
async fn fleet(root: &Root, policy: skill::Policy) -> Fleet {
    let mut fleet = Fleet::of(TestApp::with_skills(policy).await, "work").await;
    fleet.default_worker(|config| config.skills_root = root.path().to_owned()).await;
    fleet.log_in(0).await;
    fleet.shard_worker(0, |config| config.skills_root = root.path().to_owned()).await;
    fleet
}

/// Creates a run on shard 0, and watches it to its end.
async fn run(fleet: &Fleet, origin: &SampleRepository) -> v1::GetRunResponse {
    let run = fleet.app.create_with(fleet.request(origin)).await.expect("a run");
    ended(&fleet.app, &run.run_id).await
}

/// A policy that allows these skills beside `speckit`, which goes first.
fn allowing(skills: &[&str]) -> skill::Policy {
    let skills = skills.iter().copied().chain(["speckit"]);
    skill::Policy {
        allowed_skills: skills.map(str::to_owned).collect(),
        ..skill::Policy::default()
    }
}
