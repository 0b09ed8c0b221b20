//! How it stands with the line, for whoever asks.

use std::fmt;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// What the link is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// There is no session.
    Down {
        /// Why not.
        why: String,
    },
    /// There is none because another worker holds the name, or the volume; this one takes over when that one has gone.
    StandingBy {
        /// The server's own words.
        why: String,
    },
    /// There is a session.
    Live {
        /// Its id.
        session_id: String,
    },
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down { .. } => "down",
            Self::StandingBy { .. } => "standing_by",
            Self::Live { .. } => "live",
        })
    }
}

/// How it stands with the line.
#[derive(Debug, Clone)]
pub struct Status {
    /// What the link is at.
    pub line: Line,
    /// Since when it is down, standing by or live.
    pub since: DateTime<Utc>,
    /// When the server last answered a ping.
    pub last_pong: Option<Instant>,
    /// When the server last renewed the worker's lease, as far as the worker knows.
    pub renewed: Option<Instant>,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            line: Line::Down {
                why: "the worker has not dialled yet".to_owned(),
            },
            since: Utc::now(),
            last_pong: None,
            renewed: None,
        }
    }
}

impl Status {
    /// Whether the server has refused this worker because another one has its volume: its leases are over.
    pub fn is_volume_held(&self) -> bool {
        matches!(&self.line, Line::StandingBy { why } if why.starts_with("VOLUME_HELD"))
    }

    /// The newest state. A line that is down for another reason is still down since then.
    pub(super) fn set(&mut self, line: Line) {
        if std::mem::discriminant(&line) != std::mem::discriminant(&self.line) {
            self.since = Utc::now();
        }
        self.line = line;
    }
}
