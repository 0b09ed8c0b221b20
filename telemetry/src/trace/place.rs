//! A place in a trace, as W3C Trace Context has it: what comes next hangs below it.

use std::fmt;

use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The header of a call that bears the caller's place.
pub const HEADER: &str = "traceparent";

/// The variable of a program that bears the place of whoever started it.
pub const VARIABLE: &str = "TRACEPARENT";

/// See the module. Its text is empty where there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place(Option<SpanContext>);

impl Place {
    /// The place that a text names. A text that names none is no error: the caller's trace is the caller's matter.
    pub fn parse(text: &str) -> Self {
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &One(text));
        let found = context.span().span_context().clone();
        Self(found.is_valid().then_some(found))
    }

    /// The place of whoever started this program.
    pub fn of_environment() -> Self {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    pub(super) fn of(context: &SpanContext) -> Self {
        Self(context.is_valid().then(|| context.clone()))
    }

    pub(super) fn context(&self) -> Context {
        match &self.0 {
            Some(place) => Context::new().with_remote_span_context(place.clone()),
            None => Context::new(),
        }
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The trace, in hex; none without a place.
    pub fn trace_id(&self) -> Option<String> {
        self.0.as_ref().map(|place| place.trace_id().to_string())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(place) => write!(f, "00-{}-{}-{:02x}", place.trace_id(), place.span_id(), place.trace_flags().to_u8()),
            None => Ok(()),
        }
    }
}

/// The one header that counts. Vendors' own, `tracestate`, is not passed on.
struct One<'a>(&'a str);

impl Extractor for One<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == HEADER).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![HEADER]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_written_as_w3c_has_it() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let place = Place::parse(text);
        assert_eq!(place.to_string(), text);
        assert_eq!(place.trace_id().as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        let not_sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        assert_eq!(Place::parse(not_sampled).to_string(), not_sampled);
    }

    #[test]
    fn a_text_that_names_no_place_is_ignored() {
        for text in [
            "",
            "nonsense",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX: y",
        ] {
            let place = Place::parse(text);
            assert!(place.is_none() && place.to_string().is_empty(), "{text:?}: {place:?}");
        }
    }
}
