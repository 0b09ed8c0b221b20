//! The metrics of this process. Without a recorder recording costs a look at a flag.
//!
//! There is one recorder a process: where several servers and workers share one, as with `moorline dev`, they share their metrics, too.

use std::{
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::metric::{BUCKETS, Definitions, Kind, Metric};

/// Media type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often values are moved to their buckets: until then each takes memory of its own.
const UPKEEP: Duration = Duration::from_secs(5);

static ON: AtomicBool = AtomicBool::new(false);
static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Which build it is.
pub const BUILD: Metric<2> = Metric {
    name: "moorline_build_info",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: ["program", "version"],
    help: "Always 1; its labels say which build this is.",
};

/// Since when.
pub const STARTED: Metric<0> = Metric {
    name: "process_start_time_seconds",
    kind: Kind::Gauge,
    unit: Unit::Seconds,
    labels: [],
    help: "When the process began, as seconds since 1970.",
};

/// Memory.
pub const MEMORY: Metric<0> = Metric {
    name: "process_resident_memory_bytes",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: [],
    help: "Memory of the process that is resident.",
};

/// Files and sockets.
pub const FILES: Metric<0> = Metric {
    name: "process_open_fds",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: [],
    help: "Files and sockets that the process has open.",
};

/// What every program tells beside its own metrics.
pub const COMMON: Definitions = &[&BUILD, &STARTED, &MEMORY, &FILES];

/// Begins to record. Definitions of a second program in the same process are added to those of the first.
pub fn begin(program: &'static str, version: &'static str, definitions: Definitions) {
    let handle = HANDLE.get_or_init(|| {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        // Another recorder, of a program that embeds this one, is left alone; then this one has nothing to tell.
        metrics::set_global_recorder(recorder).ok().map(|()| handle)
    });
    if handle.is_none() {
        return;
    }
    ON.store(true, Ordering::Relaxed);
    describe(COMMON);
    describe(definitions);
    BUILD.set(1.0, [program.into(), version.into()]);
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    STARTED.set(started.as_secs_f64(), []);
}

/// Whether anything is recorded.
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// All metrics, in the text format of Prometheus.
pub fn render() -> String {
    if let Some(resident) = resident() {
        MEMORY.set(resident, []);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        FILES.set(files.count() as f64, []);
    }
    HANDLE
        .get()
        .and_then(Option::as_ref)
        .map(PrometheusHandle::render)
        .unwrap_or_default()
}

/// Keeps the memory of what was recorded small, also while nobody scrapes. Never ends.
pub async fn keep() {
    let mut ticks = tokio::time::interval(UPKEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(handle) = HANDLE.get().and_then(Option::as_ref) {
            handle.run_upkeep();
        }
    }
}

/// What is recorded meanwhile by this thread, and nothing else; for tests.
pub fn with(definitions: Definitions, record: impl FnOnce()) -> String {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    ON.store(true, Ordering::Relaxed);
    metrics::with_local_recorder(&recorder, || {
        describe(definitions);
        record();
    });
    handle.render()
}

fn builder() -> PrometheusBuilder {
    BUCKETS.iter().fold(PrometheusBuilder::new(), |builder, (ending, buckets)| {
        // Refused only where there are none.
        let with = builder.set_buckets_for_metric(Matcher::Suffix((*ending).to_owned()), buckets);
        with.unwrap_or_else(|_| PrometheusBuilder::new())
    })
}

fn describe(definitions: Definitions) {
    for metric in definitions {
        let (name, unit, help) = (metric.name(), metric.unit(), metric.help());
        match metric.kind() {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

/// Resident memory of this process in bytes.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"))?;
    Some(kib.trim().parse::<f64>().ok()? * 1024.0)
}
