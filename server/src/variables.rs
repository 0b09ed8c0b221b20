//! Variables that no flag stands for: what is wanted before flags are read, and the embedded Postgres.
//!
//! Beside the flags of the settings in `config` this is all that a server is set by. `docs/configuration.md` is made of both.

pub use moorline_telemetry::variables::Variable;
use moorline_telemetry::variables::{LOG, LOG_FORMAT, OTEL_SERVICE_NAME, OTLP_ENDPOINT, OTLP_TIMEOUT};

/// Where the embedded Postgres has its programs.
pub const POSTGRES_BIN: Variable = Variable::new(
    "MOORLINE_POSTGRES_BIN",
    "Folder with `initdb`, `postgres` and `pg_ctl` for the embedded Postgres; looked for when unset",
);

/// Whom it runs as.
pub const POSTGRES_USER: Variable = Variable::new(
    "MOORLINE_POSTGRES_USER",
    "Whom the embedded Postgres runs as when the server runs as root; `postgres`, else `nobody`, when unset",
);

/// All of them.
pub const ALL: [Variable; 7] = [
    LOG,
    LOG_FORMAT,
    OTLP_ENDPOINT,
    OTLP_TIMEOUT,
    OTEL_SERVICE_NAME,
    POSTGRES_BIN,
    POSTGRES_USER,
];
