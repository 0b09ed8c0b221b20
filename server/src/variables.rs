//! Variables that no flag stands for: what is wanted before flags are read, and the embedded Postgres.
//!
//! Beside the flags of the settings in `config` this is all that a server is set by. `docs/configuration.md` is made of both.

/// A variable that is read by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What counts while it is not set, in words of the variable; empty for nothing.
    pub default: &'static str,
    /// Whether its value must turn up nowhere.
    pub secret: bool,
    /// What it is for, in one sentence or two.
    pub about: &'static str,
}

impl Variable {
    /// What it is set to. Blank counts as not set.
    pub fn read(&self) -> Option<String> {
        let value = std::env::var(self.name).ok()?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The same, or else its default.
    pub fn read_or_default(&self) -> String {
        self.read().unwrap_or_else(|| self.default.to_owned())
    }
}

/// What is logged.
pub const LOG: Variable = Variable {
    name: "MOORLINE_LOG",
    default: "info",
    secret: false,
    about: "What is logged, such as `info,moorline_server=debug`",
};

/// How it is logged.
pub const LOG_FORMAT: Variable = Variable {
    name: "MOORLINE_LOG_FORMAT",
    default: "human",
    secret: false,
    about: "Form of the log on standard error: `human`, or `json` for programs",
};

/// Where the embedded Postgres has its programs.
pub const POSTGRES_BIN: Variable = Variable {
    name: "MOORLINE_POSTGRES_BIN",
    default: "",
    secret: false,
    about: "Folder with `initdb`, `postgres` and `pg_ctl` for the embedded Postgres; looked for when unset",
};

/// Whom it runs as.
pub const POSTGRES_USER: Variable = Variable {
    name: "MOORLINE_POSTGRES_USER",
    default: "",
    secret: false,
    about: "Whom the embedded Postgres runs as when the server runs as root; `postgres`, else `nobody`, when unset",
};

/// All of them.
pub const ALL: [Variable; 4] = [LOG, LOG_FORMAT, POSTGRES_BIN, POSTGRES_USER];
