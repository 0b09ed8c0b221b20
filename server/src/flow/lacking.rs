//! Jobs that nobody can take, since no worker of their queue has the skill that they need. Found out when it is asked, and stored nowhere.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::{
    db::{Connection, jobs::Job, sessions},
    domain::job::Status,
};

use super::Error;

/// Those of some jobs that wait for a skill which no connected worker of their queue has ready for their stage.
///
/// # Errors
///
/// When the database fails.
pub(super) async fn skill(connection: &mut Connection, jobs: &[Job]) -> Result<HashSet<Uuid>, Error> {
    let mut lacking = HashSet::new();
    // Many jobs wait for one and the same.
    let mut known = HashMap::new();
    let free = |job: &&Job| job.status == Status::Queued && job.hold_reason.is_none() && job.lease_instance_id.is_none();
    for job in jobs.iter().filter(free) {
        let Some(skill) = job.skill.as_deref() else { continue };
        let asked = (job.queue.as_str(), skill, job.stage);
        let has = match known.get(&asked) {
            Some(has) => *has,
            None => {
                let has = sessions::have_skill(connection, &job.queue, skill, job.stage).await?;
                known.insert(asked, has);
                has
            }
        };
        if !has {
            lacking.insert(job.id);
        }
    }
    Ok(lacking)
}
