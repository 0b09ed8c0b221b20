//! The log of `moorline dev`, on standard error.

use std::io::{self, IsTerminal};

use moorline_worker::{
    redact::QUIET,
    variables::{LOG, LOG_FORMAT},
};
use tracing_subscriber::EnvFilter;

use crate::error::Error;

/// What is logged unless told otherwise: the parts of Moorline in detail, and the rest when it matters.
const USUAL: &str = "warn,moorline=info,moorline_server=info,moorline_worker=info";

/// Begins to log what `MOORLINE_LOG` says, in the form that `MOORLINE_LOG_FORMAT` says, as server and worker do by themselves.
pub fn begin() -> Result<(), Error> {
    let (mut filter, json) = settings(|name| std::env::var(name).ok())?;
    if let Ok(quiet) = QUIET.parse() {
        filter = filter.add_directive(quiet);
    }
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour);
    // A second start in the same process, as in a test, goes on with the first one's log.
    let _ = if json {
        log.json().flatten_event(true).try_init()
    } else {
        log.try_init()
    };
    Ok(())
}

/// The filter, and whether the log is for programs. A blank variable counts as not given.
fn settings(variable: impl Fn(&str) -> Option<String>) -> Result<(EnvFilter, bool), Error> {
    let given = |name| {
        variable(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let filter = given(LOG.name).unwrap_or_else(|| USUAL.to_owned());
    let filter = EnvFilter::try_new(&filter)
        .map_err(|error| Error::Usage(format!("MOORLINE_LOG is `{filter}`: {error}; set a level such as info")))?;
    match given(LOG_FORMAT.name).as_deref() {
        None | Some("human") => Ok((filter, false)),
        Some("json") => Ok((filter, true)),
        Some(other) => Err(Error::Usage(format!("MOORLINE_LOG_FORMAT is `{other}`: set human or json"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(filter: &str, format: &str) -> Result<(String, bool), Error> {
        let variable = |name: &str| match name {
            "MOORLINE_LOG" => Some(filter.to_owned()),
            "MOORLINE_LOG_FORMAT" => Some(format.to_owned()),
            _ => None,
        };
        settings(variable).map(|(filter, json)| (filter.to_string(), json))
    }

    #[test]
    fn the_log_listens_to_the_variables_of_server_and_worker() {
        assert_eq!(with("debug", "json").expect("settings"), ("debug".to_owned(), true));
        let (usual, json) = with(" ", "").expect("the usual");
        assert!(usual.contains("moorline_worker=info") && !json, "{usual}");
    }

    #[test]
    fn a_log_that_can_t_be_written_so_is_refused() {
        assert!(matches!(with("a=b=c", ""), Err(Error::Usage(text)) if text.starts_with("MOORLINE_LOG is `a=b=c`")));
        assert!(matches!(with("info", "xml"), Err(Error::Usage(text)) if text == "MOORLINE_LOG_FORMAT is `xml`: set human or json"));
    }
}
