//! What a stage works with, for what needs no more of it than its offer.

use std::sync::Arc;

use moorline_proto::v1;
use tokio_util::sync::CancellationToken;

use super::{Idle, Silent};
use crate::{
    config::Config,
    stage::{AgentEnded, Context, Course, RunFolder},
};

/// The context of an offer, whose engine has nothing, and whose words nobody hears.
pub(crate) fn offered(offer: v1::Offer) -> Context {
    let config = Config::try_parse_from(["moorline-worker"]).expect("settings");
    Context {
        folder: RunFolder::below(&config.work_root, &offer.run_id, &offer.job_id),
        config: Arc::new(config),
        engine: Arc::new(Idle),
        holding: None,
        skills: Arc::default(),
        course: Course::of(&offer),
        offer,
        outlet: Arc::new(Silent),
        stop: CancellationToken::new(),
        leaving: CancellationToken::new(),
        going: CancellationToken::new(),
        agent_ended: AgentEnded::default(),
    }
}
