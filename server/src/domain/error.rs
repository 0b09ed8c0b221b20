//! What a caller did wrong, or found the system unable to do.
//!
//! Every variant carries a stable `reason` for programs and a message that tells a person what to do next. `wire/status.rs` is the only
//! place that turns them into a gRPC status.

use std::{borrow::Cow, time::Duration};

/// A rule of the domain refused something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Which kind of refusal it is.
    pub kind: Kind,
    /// Stable upper-case name, listed in `docs/errors.md`.
    pub reason: &'static str,
    /// What happened and what to do next.
    pub message: Cow<'static, str>,
    /// Facts for programs, such as the `run_id` of the run that is in the way.
    pub metadata: Vec<(&'static str, String)>,
    /// How long to wait before the same call may work, where that is known.
    pub retry_after: Option<Duration>,
}

/// Kinds of refusal, as far as callers tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The named field of the request is wrong; another call with it will fail the same way.
    Invalid(&'static str),
    /// There is no such thing.
    NotFound,
    /// Something that excludes it is there already.
    AlreadyExists,
    /// It is there, but in a state that doesn't allow this.
    Precondition,
    /// The caller's lease has passed on.
    Fenced,
    /// There is no room for it now.
    Exhausted,
    /// This server is going.
    Leaving,
    /// It is in the contract, but this server can't do it yet.
    Unsupported,
}

impl Error {
    /// A field of the request is wrong.
    pub fn invalid(field: &'static str, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid(field), reason, message)
    }

    /// There is no such thing.
    pub fn not_found(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, reason, message)
    }

    /// Something that excludes it is there already.
    pub fn already_exists(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::AlreadyExists, reason, message)
    }

    /// The state of a thing doesn't allow this.
    pub fn precondition(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Precondition, reason, message)
    }

    /// The caller's lease has passed on.
    pub fn fenced(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Fenced, "FENCED", message)
    }

    /// There is no room for it now.
    pub fn exhausted(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Exhausted, reason, message)
    }

    /// This server is going.
    pub fn leaving(reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Leaving, reason, message)
    }

    /// Says how long to wait before the same call may work.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// This server can't do it yet.
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unsupported, "UNSUPPORTED", message)
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((name, value.into()));
        self
    }

    fn new(kind: Kind, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            reason,
            message: message.into(),
            metadata: Vec::new(),
            retry_after: None,
        }
    }
}
