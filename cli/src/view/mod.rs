//! What commands show: the contract's messages under the domain's names.
//!
//! A view is separate from the message that it is made of: it is the format that scripts rely on. All of its keys are always
//! there; what is unset is `null`.

mod artifact;
mod audit;
mod diagnostics;
mod event;
mod job;
mod login;
mod preflight;
mod route;
mod run;
mod shard;
mod skill;
mod skill_policy;
mod startup;
mod volume;
mod way;
mod worker;

pub use artifact::{Artifact, Artifacts};
pub use audit::CredentialAudit;
pub use diagnostics::Diagnostics;
pub use event::Event;
pub use job::{Failure, Job};
pub use login::LoginStep;
pub use preflight::{Checked, Preflight, Preflights, RunChecked};
pub use route::Route;
pub use run::{CreatedRun, Run, RunDetail, Runs};
pub use shard::{Shard, Shards};
pub use skill::{Resolution, Skills};
pub use skill_policy::{SkillPolicies, SkillPolicy};
pub use startup::WorkerDetail;
pub use volume::{Cleaned, ListedVolume, Volume, VolumeDetail, Volumes};
pub use way::{Decision, Execution};
pub use worker::{Drained, Workers};

/// A text that the contract leaves empty when it is unset.
fn set(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A value for a table: empty when unset.
fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
