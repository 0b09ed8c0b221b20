//! Variables that no flag stands for: what one is, and those of logs and traces, which every program reads.

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
    /// One that has no default.
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            default: "",
            secret: false,
            about,
        }
    }

    /// The same, with this default.
    #[must_use]
    pub const fn or(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    /// The same, as a secret.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

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
pub const LOG: Variable = Variable::new("MOORLINE_LOG", "What is logged, such as `info,moorline_worker=debug`").or("info");

/// How it is logged.
pub const LOG_FORMAT: Variable = Variable::new(
    "MOORLINE_LOG_FORMAT",
    "Form of the log on standard error: `human`, or `json` for programs",
)
.or("human");

/// Where spans are sent.
pub const OTLP_ENDPOINT: Variable = Variable::new(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "Collector that gets traces over OTLP (gRPC), such as `http://127.0.0.1:4317`; without one there are none",
);

/// Longest time of one batch of spans.
pub const OTLP_TIMEOUT: Variable = Variable::new(
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "Longest time of one batch of spans, in milliseconds; 5 s when unset",
);

/// The program's name in traces.
pub const OTEL_SERVICE_NAME: Variable = Variable::new("OTEL_SERVICE_NAME", "Name of the program in traces; its own when unset");
