//! The policy that counts. A version never changes, so one that was read once is kept; which one counts is asked every time.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::Error;
use crate::{
    db::{Connection, skill_policies},
    domain::skill::Policy,
};

/// The version that was read last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Policies(Arc<Mutex<Option<Arc<Policy>>>>);

impl Policies {
    /// A version of the policy.
    ///
    /// # Errors
    ///
    /// When the database fails, or a newer server has written it in another form.
    pub async fn of(&self, connection: &mut Connection, version: i64) -> Result<Arc<Policy>, Error> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| kept.version == version) {
            return Ok(kept);
        }
        let policy = Arc::new(skill_policies::find(connection, version).await?.policy()?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&policy));
        Ok(policy)
    }

    /// The version that counts now; `None` before the first start.
    ///
    /// # Errors
    ///
    /// As [`Policies::of`].
    pub async fn latest(&self, connection: &mut Connection) -> Result<Option<Arc<Policy>>, Error> {
        match skill_policies::version(connection).await? {
            Some(version) => Ok(Some(self.of(connection, version).await?)),
            None => Ok(None),
        }
    }
}
