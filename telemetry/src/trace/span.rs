//! One step of a run, from its beginning to its end.

use std::{borrow::Cow, time::SystemTime};

use opentelemetry::{
    KeyValue, Value,
    trace::{Span as _, SpanBuilder, SpanKind, Status, Tracer as _},
};
use opentelemetry_sdk::trace::Span as Recorded;

use super::{Place, export};

/// What a step is to the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call that this program makes.
    Client,
    /// A call that this program answers.
    Server,
    /// Work that is handed over, and waits.
    Producer,
    /// Work that was handed over, and is done.
    Consumer,
    /// Anything else.
    Internal,
}

/// See the module. It ends when it is dropped, also where the work that it stands for is given up.
#[derive(Debug)]
pub struct Span {
    recorded: Option<Recorded>,
    /// What hangs below it hangs below this where it is not recorded itself.
    above: Place,
}

impl Span {
    /// Begins a step below a place, now.
    pub fn begin(name: impl Into<Cow<'static, str>>, kind: Kind, above: &Place) -> Self {
        Self::start(name, kind, above, None)
    }

    /// Begins a step that began earlier.
    pub fn begun(at: SystemTime, name: impl Into<Cow<'static, str>>, kind: Kind, above: &Place) -> Self {
        Self::start(name, kind, above, Some(at))
    }

    fn start(name: impl Into<Cow<'static, str>>, kind: Kind, above: &Place, at: Option<SystemTime>) -> Self {
        let recorded = export::tracer().map(|tracer| {
            let mut builder = SpanBuilder::from_name(name).with_kind(match kind {
                Kind::Client => SpanKind::Client,
                Kind::Server => SpanKind::Server,
                Kind::Producer => SpanKind::Producer,
                Kind::Consumer => SpanKind::Consumer,
                Kind::Internal => SpanKind::Internal,
            });
            builder.start_time = at;
            tracer.build_with_context(builder, &above.context())
        });
        Self {
            recorded,
            above: above.clone(),
        }
    }

    /// Where what follows from this step hangs.
    pub fn place(&self) -> Place {
        match &self.recorded {
            Some(recorded) => Place::of(recorded.span_context()),
            None => self.above.clone(),
        }
    }

    /// Says something of the step. Nothing secret: spans leave the machine.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.set_attribute(KeyValue::new(name, value));
        }
    }

    /// Says that the step failed, by a stable name.
    pub fn fail(&mut self, code: &str) {
        if let Some(recorded) = &mut self.recorded {
            recorded.set_status(Status::error(code.to_owned()));
            recorded.set_attribute(KeyValue::new("error.type", code.to_owned()));
        }
    }

    /// Ends it at a time that has passed.
    pub fn end_at(mut self, at: SystemTime) {
        if let Some(recorded) = &mut self.recorded {
            recorded.end_with_timestamp(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_exporter_a_caller_s_place_is_passed_on() {
        let place = Place::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(Span::begin("a call", Kind::Server, &place).place(), place);
        assert!(Span::begin("a call", Kind::Server, &Place::default()).place().is_none());
    }
}
