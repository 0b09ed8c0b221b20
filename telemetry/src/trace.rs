//! Traces: what a run went through, from the client to the agent's container, as one tree of spans.
//!
//! Spans are sent over OTLP where `OTEL_EXPORTER_OTLP_ENDPOINT` is set. Where it isn't nothing is recorded, and a caller's place in a trace is
//! passed on all the same: programs beside this one may record. Spans are begun and ended by hand, since a run's life is no stack of calls: its
//! steps are on several machines, and some are known only once they are over.

mod export;
mod place;
mod span;

pub use export::{Error, Exporting, begin};
pub use place::{HEADER, Place, VARIABLE};
pub use span::{Kind, Span};
