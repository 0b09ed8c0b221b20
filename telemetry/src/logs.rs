//! The log, on standard error: for people, or as one JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, filter::Directive};

use crate::variables::{LOG, LOG_FORMAT};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `MOORLINE_LOG` is no filter.
    #[error("MOORLINE_LOG is `{filter}`: {why}; set a level such as info")]
    Filter {
        /// As set.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// `MOORLINE_LOG_FORMAT` is no form.
    #[error("MOORLINE_LOG_FORMAT is `{0}`: set human or json")]
    Format(String),
}

/// What is logged, and how.
#[derive(Debug)]
pub struct Logs {
    filter: EnvFilter,
    json: bool,
}

impl Logs {
    /// Reads `MOORLINE_LOG` and `MOORLINE_LOG_FORMAT`; blank ones count as not given. Unless told otherwise, `usual` is logged.
    ///
    /// # Errors
    ///
    /// When one of them says nothing that is understood.
    pub fn from_env(usual: &str) -> Result<Self, Error> {
        Self::read(usual, |name| std::env::var(name).ok())
    }

    fn read(usual: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let given = |name| {
            variable(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let filter = given(LOG.name).unwrap_or_else(|| usual.to_owned());
        let json = match given(LOG_FORMAT.name).as_deref() {
            None | Some("human") => false,
            Some("json") => true,
            Some(other) => return Err(Error::Format(other.to_owned())),
        };
        match EnvFilter::try_new(&filter) {
            Ok(filter) => Ok(Self { filter, json }),
            Err(why) => Err(Error::Filter {
                filter,
                why: why.to_string(),
            }),
        }
    }

    /// Logs less of something, whatever the filter says of everything.
    #[must_use]
    pub fn quiet(mut self, directive: &str) -> Self {
        // Written in the program, and tested there.
        if let Ok(directive) = directive.parse::<Directive>() {
            self.filter = self.filter.add_directive(directive);
        }
        self
    }

    /// Begins to log. A second beginning in one process, as in a test, goes on with the first one's log.
    pub fn begin(self) {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let log = tracing_subscriber::fmt()
            .with_env_filter(self.filter)
            .with_writer(std::io::stderr)
            .with_ansi(colours);
        // The only error is that there is a log already.
        drop(match self.json {
            true => log.json().flatten_event(true).try_init(),
            false => log.with_target(false).try_init(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(filter: &str, format: &str) -> Result<(String, bool), String> {
        let variable = |name: &str| match name {
            "MOORLINE_LOG" => Some(filter.to_owned()),
            "MOORLINE_LOG_FORMAT" => Some(format.to_owned()),
            _ => None,
        };
        let read = Logs::read("info,h2=warn", variable).map_err(|error| error.to_string())?;
        Ok((read.filter.to_string(), read.json))
    }

    #[test]
    fn blank_variables_count_as_not_given() {
        assert_eq!(with("debug", " json "), Ok(("debug".to_owned(), true)));
        assert_eq!(with(" ", ""), Ok(("h2=warn,info".to_owned(), false)));
    }

    #[test]
    fn a_log_that_can_t_be_written_so_is_refused_with_what_to_set() {
        let refused = with("a=b=c", "").unwrap_err();
        assert!(
            refused.starts_with("MOORLINE_LOG is `a=b=c`") && refused.ends_with("set a level such as info"),
            "{refused}"
        );
        assert_eq!(with("info", "xml").unwrap_err(), "MOORLINE_LOG_FORMAT is `xml`: set human or json");
    }
}
