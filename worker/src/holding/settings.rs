//! The policy in the agent's settings, where the start could not merge it: somebody was at work in the volume.

use std::sync::atomic::Ordering;

use moorline_proto::v1::{Failure, FailureClass};

use super::{Alone, Holding};
use crate::{
    login,
    policy::{self, Error},
    redact::chain,
    stage::failure,
};

impl Holding {
    /// Takes note that the policy is still to be merged.
    pub(crate) fn owe_policy(&self) {
        self.0.policy_owed.store(true, Ordering::SeqCst);
    }

    /// The volume alone, once nobody else uses it, if the policy is still to be merged.
    pub(crate) async fn alone_for_policy(&self) -> Option<Alone> {
        let owed = || self.0.policy_owed.load(Ordering::SeqCst);
        if !owed() {
            return None;
        }
        let alone = self.0.gate.alone_at_last("the merge of its policy").await;
        // Another job may have done it meanwhile.
        owed().then_some(alone)
    }

    /// Merges the policy, for whoever has the volume alone.
    pub(crate) async fn merge_policy(&self, _alone: &Alone, generation: i64) -> Result<(), Failure> {
        let engine = self.engine().as_ref();
        let merged = policy::enforce(engine, self.agent(), self.config(), self.volume(), generation).await;
        let merged = merged.map_err(|error| {
            let code = match &error {
                Error::Engine(error) => login::code(error),
                _ => None,
            };
            let message = format!("the policy can't be merged into the agent's settings: {}", chain(&error));
            failure(code.unwrap_or("POLICY_NOT_MERGED"), FailureClass::Environment, message)
        })?;
        tracing::info!(
            volume = self.volume(),
            ?merged,
            "the policy, for which the volume was in use at the start, is merged"
        );
        self.0.policy_owed.store(false, Ordering::SeqCst);
        Ok(())
    }
}
