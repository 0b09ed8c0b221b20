//! The log of `moorline dev`, on standard error.

use moorline_telemetry::logs::Logs;
use moorline_worker::redact::QUIET;

use crate::error::Error;

/// What is logged unless told otherwise: the parts of Moorline in detail, and the rest when it matters.
const USUAL: &str = "warn,moorline=info,moorline_server=info,moorline_worker=info";

/// Begins to log what `MOORLINE_LOG` says, in the form that `MOORLINE_LOG_FORMAT` says, as server and worker do by themselves.
pub fn begin() -> Result<(), Error> {
    let logs = Logs::from_env(USUAL).map_err(|wrong| Error::Usage(wrong.to_string()))?;
    logs.quiet(QUIET).begin();
    Ok(())
}
