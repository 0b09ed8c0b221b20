//! *lost worker*: a worker's process is killed with eight jobs: until all of them run elsewhere, or again with the worker.

mod agent;
mod cheap;
mod holder;

use anyhow::Result;

use super::stage::Stage;

/// Jobs that are lost.
const JOBS: usize = 8;
const SLOTS: i32 = 8;

/// Measures it.
pub async fn measure(stage: &mut Stage) -> Result<()> {
    cheap::measure(stage).await?;
    agent::measure(stage).await
}
