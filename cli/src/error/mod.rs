//! What can go wrong in a command.

mod report;
mod status;

use std::io;

pub use report::Report;
pub use status::is_transient;

use crate::{args::Global, exit::Exit};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no, or can't be reached: see [`status`].
    #[error(transparent)]
    Status(Box<tonic::Status>),
    /// The command line asks for something that makes no sense; the text says what to give instead.
    #[error("{0}")]
    Usage(String),
    /// The server's answer lacks a part.
    #[error("the server's answer has no {0}: server and moorline may be of different versions")]
    Incomplete(&'static str),
    /// A download is not what the server says that it stored.
    #[error(
        "the content of artifact {artifact_id} does not match its digest: nothing was kept; try again, and if it stays so the artifact store is damaged"
    )]
    Damaged {
        /// The artifact.
        artifact_id: String,
    },
    /// A file can't be read or written.
    #[error("can't {doing}: {source}")]
    File {
        /// What was being done, as a verb phrase with the file's name.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// Results can't be written.
    #[error("can't write the output: {0}")]
    Output(#[from] io::Error),
    /// Anything else, with its causes.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Status(Box::new(status))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

impl Error {
    /// What to tell the user.
    pub fn report(&self, global: &Global) -> Report {
        match self {
            Self::Status(status) => status::report(status, global),
            Self::Usage(message) => Report::new("usage", message, Exit::Usage),
            // The reader has seen enough, such as `head`: that is its right.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Report::silent(Exit::Ok),
            Self::Incomplete(_) | Self::Damaged { .. } | Self::File { .. } | Self::Output(_) | Self::Other(_) => {
                Report::new("fault", self, Exit::Fault)
            }
        }
    }
}
