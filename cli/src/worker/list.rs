//! `moorline worker list`.

use moorline_proto::v1::ListWorkersRequest;

use crate::{args::Global, client, console::Console, error::Error, exit::Exit, view::Workers};

/// Lists the workers.
pub async fn execute(global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let workers = client::fleet(global)?
        .list_workers(ListWorkersRequest {})
        .await?
        .into_inner()
        .workers;
    console.show(&Workers {
        workers: workers.into_iter().map(Into::into).collect(),
    })?;
    Ok(Exit::Ok)
}
