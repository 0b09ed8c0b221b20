//! Definitions of metrics.
//!
//! A metric is defined once, as a constant with its labels. Recording gives a value for each label, in their order, or doesn't compile; the
//! description that scrapers see and the table in the runbook come from the same constant.

use std::{fmt::Write, time::Duration};

pub use metrics::Unit;
use metrics::{Label, SharedString};

use crate::recorder;

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until its process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How values are spread over buckets; which ones follows from the end of its name, see [`BUCKETS`].
    Histogram,
}

/// Buckets by how the name of a histogram ends: one of the process may be described by two programs, so they can't be told with each.
pub const BUCKETS: [(&str, &[f64]); 3] = [
    // What takes from a millisecond to a minute: claims, statements, calls.
    (
        "_latency_seconds",
        &[
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        ],
    ),
    // What takes from a part of a second to hours: jobs, runs, steps, waiting in a queue.
    (
        "_duration_seconds",
        &[
            0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 21600.0,
        ],
    ),
    // How many go together.
    ("_items", &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]),
];

/// A metric with `N` labels.
#[derive(Debug, Clone, Copy)]
pub struct Metric<const N: usize> {
    /// As scrapers see it, with its base unit at the end.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// Names of its labels. Each has few values: never an id, a repository or a path.
    pub labels: [&'static str; N],
    /// What it counts or measures; a sentence.
    pub help: &'static str,
}

impl<const N: usize> Metric<N> {
    /// A counter.
    pub const fn counter(name: &'static str, labels: [&'static str; N], help: &'static str) -> Self {
        Self::new(Kind::Counter, name, Unit::Count, labels, help)
    }

    /// A gauge.
    pub const fn gauge(name: &'static str, unit: Unit, labels: [&'static str; N], help: &'static str) -> Self {
        Self::new(Kind::Gauge, name, unit, labels, help)
    }

    /// A histogram.
    pub const fn histogram(name: &'static str, unit: Unit, labels: [&'static str; N], help: &'static str) -> Self {
        Self::new(Kind::Histogram, name, unit, labels, help)
    }

    const fn new(kind: Kind, name: &'static str, unit: Unit, labels: [&'static str; N], help: &'static str) -> Self {
        Self {
            name,
            kind,
            unit,
            labels,
            help,
        }
    }
}

/// Defines the metrics of a program, each as a constant, and `ALL` of them in this order.
#[macro_export]
macro_rules! metrics {
    ($($name:ident: $labels:literal = $kind:ident($($argument:expr),* $(,)?);)*) => {
        $(
            #[allow(missing_docs, reason = "each says itself what it is")]
            pub const $name: $crate::metric::Metric<$labels> = $crate::metric::Metric::$kind($($argument),*);
        )*

        /// All of them, in the order of the runbook.
        pub const ALL: $crate::metric::Definitions = &[$(&$name),*];
    };
}

/// A value of a label.
pub type Value = SharedString;

impl<const N: usize> Metric<N> {
    /// Adds one to a counter.
    pub fn count(&self, values: [Value; N]) {
        self.add(1, values);
    }

    /// Adds to a counter.
    pub fn add(&self, more: u64, values: [Value; N]) {
        if recorder::is_on() {
            metrics::counter!(self.name, self.labelled(values)).increment(more);
        }
    }

    /// Puts a counter at a value that was counted elsewhere.
    pub fn reach(&self, total: u64, values: [Value; N]) {
        if recorder::is_on() {
            metrics::counter!(self.name, self.labelled(values)).absolute(total);
        }
    }

    /// Sets a gauge.
    pub fn set(&self, value: f64, values: [Value; N]) {
        if recorder::is_on() {
            metrics::gauge!(self.name, self.labelled(values)).set(value);
        }
    }

    /// Puts a value into a histogram.
    pub fn observe(&self, value: f64, values: [Value; N]) {
        if recorder::is_on() {
            metrics::histogram!(self.name, self.labelled(values)).record(value);
        }
    }

    /// Puts a time into a histogram of seconds.
    pub fn took(&self, time: Duration, values: [Value; N]) {
        self.observe(time.as_secs_f64(), values);
    }

    fn labelled(&self, values: [Value; N]) -> Vec<Label> {
        self.labels
            .into_iter()
            .zip(values)
            .map(|(name, value)| Label::new(name, value))
            .collect()
    }
}

/// A metric, however many labels it has.
pub trait Defined: Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its kind.
    fn kind(&self) -> Kind;
    /// Its unit.
    fn unit(&self) -> Unit;
    /// Its labels.
    fn labels(&self) -> &[&'static str];
    /// What it is.
    fn help(&self) -> &'static str;
}

impl<const N: usize> Defined for Metric<N> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn unit(&self) -> Unit {
        self.unit
    }

    fn labels(&self) -> &[&'static str] {
        &self.labels
    }

    fn help(&self) -> &'static str {
        self.help
    }
}

/// All metrics of a program.
pub type Definitions = &'static [&'static dyn Defined];

/// Attempts by number, as a label: the first ones apart, the rest together.
pub fn attempt(number: i32) -> Value {
    match number {
        ..=1 => "1".into(),
        2 => "2".into(),
        _ => "3+".into(),
    }
}

/// The table of some metrics in Markdown, for a runbook.
pub fn table(definitions: Definitions) -> String {
    let mut table = "| metric | kind | unit | labels | what it is |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for metric in definitions {
        let kind = match metric.kind() {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let unit = match metric.unit() {
            Unit::Count => "",
            unit => unit.as_str(),
        };
        let labels: Vec<String> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
        // A string takes whatever is written to it.
        let _ = writeln!(
            table,
            "| `{}` | {kind} | {unit} | {} | {} |",
            metric.name(),
            labels.join(" "),
            metric.help()
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: Metric<2> = Metric {
        name: "moorline_test_jobs_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        labels: ["stage", "attempt"],
        help: "Jobs.",
    };
    const MANY: Metric<0> = Metric {
        name: "moorline_test_items",
        kind: Kind::Histogram,
        unit: Unit::Count,
        labels: [],
        help: "How many.",
    };

    #[test]
    fn a_definition_makes_a_row_and_what_a_scraper_sees() {
        insta::assert_snapshot!(table(&[&JOBS, &MANY]), @r"
        | metric | kind | unit | labels | what it is |
        | --- | --- | --- | --- | --- |
        | `moorline_test_jobs_total` | counter |  | `stage` `attempt` | Jobs. |
        | `moorline_test_items` | histogram |  |  | How many. |
        ");
        let text = recorder::with(&[&JOBS, &MANY], || {
            JOBS.count(["submit".into(), attempt(1)]);
            JOBS.add(2, ["submit".into(), attempt(7)]);
            MANY.observe(200.0, []);
        });
        for line in [
            "# HELP moorline_test_jobs_total Jobs.",
            "# TYPE moorline_test_jobs_total counter",
            "moorline_test_jobs_total{stage=\"submit\",attempt=\"1\"} 1",
            "moorline_test_jobs_total{stage=\"submit\",attempt=\"3+\"} 2",
            "# TYPE moorline_test_items histogram",
            "moorline_test_items_bucket{le=\"128\"} 0",
            "moorline_test_items_bucket{le=\"256\"} 1",
            "moorline_test_items_sum 200",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
    }
}
