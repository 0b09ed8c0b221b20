//! How a use case fails.

use diesel_async::pooled_connection::deadpool::PoolError;

use super::names::Rival;
use crate::{db::constraint, domain};

/// How a use case fails. `Display` never prints its source: the chain is logged once, where it is turned into a status.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule of the domain refused it.
    #[error(transparent)]
    Refused(#[from] domain::Error),
    /// Another instance with the same name has a stream on another server.
    #[error("the worker's name is taken by another instance, whose stream is on another server")]
    NameTaken(Box<Rival>),
    /// No connection to the database could be had.
    #[error("the database does not answer: try again, and check Postgres if it lasts")]
    Unavailable(#[from] PoolError),
    /// No connection could be had in time.
    #[error("no connection to the database came free in time: try again, and check Postgres if it lasts")]
    Busy,
    /// The database refused a statement.
    #[error("the database refused a statement")]
    Database(#[source] diesel::result::Error),
    /// The artifact store failed.
    #[error("the artifact store failed: check the space and permissions of the artifact root")]
    Artifacts(#[from] object_store::Error),
    /// What a group of callers failed with together.
    #[error(transparent)]
    Together(std::sync::Arc<Error>),
    /// What is stored can't be read.
    #[error("a stored document can't be read")]
    Document(#[from] serde_json::Error),
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        match constraint::broken(&error).and_then(constraint::explain) {
            Some(refusal) => Self::Refused(refusal),
            None => Self::Database(error),
        }
    }
}

impl Error {
    /// Whether the same may succeed when it is done again at once: a deadlock that Postgres resolved, or a connection that broke. What is
    /// done again must be safe to repeat, since a commit may have gone through without its answer.
    pub fn is_passing(&self) -> bool {
        use diesel::result::{DatabaseErrorKind as Kind, Error as Diesel};
        match self {
            Self::Database(Diesel::DatabaseError(Kind::UnableToSendCommand | Kind::ClosedConnection | Kind::SerializationFailure, _)) => {
                true
            }
            // Diesel has no kind for these two; Postgres says them in English unless lc_messages asks otherwise.
            Self::Database(Diesel::DatabaseError(_, information)) => {
                let message = information.message();
                message.contains("deadlock detected") || message.contains("terminating connection")
            }
            Self::Together(error) => error.is_passing(),
            _ => false,
        }
    }

    /// Whether Postgres gave a statement up because it, or a lock that it needed, took too long.
    pub fn took_too_long(&self) -> bool {
        match self {
            Self::Database(diesel::result::Error::DatabaseError(_, information)) => {
                information.message().starts_with("canceling statement due to")
            }
            Self::Together(error) => error.took_too_long(),
            _ => false,
        }
    }

    /// Whether a constraint that means this reason was broken.
    pub fn is(&self, reason: &str) -> bool {
        match self {
            Self::Refused(refusal) => refusal.reason == reason,
            Self::Together(error) => error.is(reason),
            _ => false,
        }
    }
}
