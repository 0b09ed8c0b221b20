//! What the programs tell of a whole run: lines of their logs, metrics, and one trace. On real parts: server, workers and CLI as programs, the
//! real Codex CLI with a scripted model.

mod collector;
mod exposition;
mod scrapes;
mod steps;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use moorline_proto::v1;
use moorline_telemetry::{metric, recorder};
use moorline_tests::{
    db::TestDb,
    logins::stack::{Options, Stack},
    repo::{FEATURE, SampleRepository},
};
use serde_json::Value;

use self::{collector::Collector, exposition::Exposition};
use crate::{
    architecture::ROOT,
    support::{Process, ScriptedWorker, TestApp, app::request, process, within},
};

const KEY: &str = "sk-test-telemetry-recognisable-0123456789";

#[test]
fn the_runbook_lists_the_metrics_as_they_are_defined() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/ops-runbook.md")).unwrap();
    for (name, definitions) in [
        ("common", recorder::COMMON),
        ("server", moorline_server::metrics::ALL),
        ("worker", moorline_worker::metrics::ALL),
    ] {
        let (begin, end) = (format!("<!-- metrics-{name}:begin -->\n"), format!("<!-- metrics-{name}:end -->"));
        let written = text
            .split_once(&begin)
            .and_then(|(_, rest)| rest.split_once(&end))
            .expect("the marks")
            .0;
        assert_eq!(
            written,
            metric::table(definitions),
            "copy the right side between the marks of {name}"
        );
    }
}

#[test]
fn the_alerts_name_metrics_and_labels_that_there_are() {
    let text = fs::read_to_string(Path::new(ROOT).join("deploy/prometheus/alerts.yaml")).unwrap();
    let expressions: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(expressions.len() >= 8, "{expressions:?}");
    let all = || [moorline_server::metrics::ALL, moorline_worker::metrics::ALL].into_iter().flatten();
    let used = regex::Regex::new(r"(moorline_\w+)(?:\{(\w+)=)?").unwrap();
    for expression in expressions {
        assert!(used.is_match(expression), "{expression}");
        for found in used.captures_iter(expression) {
            let metric = all().find(|metric| metric.name() == &found[1]);
            let metric = metric.unwrap_or_else(|| panic!("there is no {}", &found[1]));
            if let Some(label) = found.get(2) {
                assert!(metric.labels().contains(&label.as_str()), "{expression}");
            }
        }
    }
}

/// The parts of a run that programs have told of.
struct Scene {
    stack: Stack,
    folder: tempfile::TempDir,
    collector: Collector,
    run: v1::Run,
}

impl Scene {
    /// One run, started by the command-line tool.
    async fn play() -> Self {
        let (folder, collector) = (tempfile::tempdir().unwrap(), Collector::start().await);
        let traces = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
        ];
        let mut programs = vec![
            ("MOORLINE_LOG_FORMAT", "json".to_owned()),
            ("MOORLINE_HTTP_LISTEN", "127.0.0.1:0".to_owned()),
            ("MOORLINE_HEALTH_LISTEN", "127.0.0.1:0".to_owned()),
        ];
        programs.extend(traces.clone());
        let options = Options {
            mode: "leak",
            programs,
            ..Options::default()
        };
        let stack = Stack::start(folder.path(), options).await.unwrap();
        stack.issuer.add_key(KEY);
        stack.log_in_with(KEY).await.expect("a login");

        let origin = SampleRepository::builder().build_at(&folder.path().join("origin")).unwrap();
        let repository = format!("file://{}", origin.origin().display());
        let arguments = [
            "run",
            "create",
            "--server",
            &stack.config.server,
            "--repository",
            &repository,
            "--feature",
            FEATURE,
        ];
        let called = tokio::process::Command::new(env!("CARGO_BIN_EXE_moorline-under-test"))
            .args(arguments)
            .args(["--queue", stack.queue(), "--output", "json"])
            .envs(traces)
            .output()
            .await
            .unwrap();
        assert!(called.status.success(), "{}", String::from_utf8_lossy(&called.stderr));
        let created: Value = serde_json::from_slice(&called.stdout).unwrap();
        let run_id = created["run_id"]
            .as_str()
            .or(created["run"]["run_id"].as_str())
            .expect("a run")
            .to_owned();
        let run = within(Duration::from_secs(120), "the end of the run", async || {
            let request = v1::GetRunRequest { run_id: run_id.clone() };
            let run = stack.runs().get_run(request).await.unwrap().into_inner().run.unwrap();
            run.finished_at.is_some().then_some(run)
        });
        let run = run.await;
        assert_eq!(run.status(), v1::RunStatus::Succeeded, "{:?}", run.failure);
        Self {
            stack,
            folder,
            collector,
            run,
        }
    }

    /// All lines of a program's log, each of them JSON.
    fn log(&self, program: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join(format!("{program}.log"))).unwrap();
        let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        text.lines().map(line).collect()
    }

    /// Those about a step of the run or of one of its jobs.
    fn steps(&self, program: &str) -> Vec<Value> {
        let mut lines = self.log(program);
        lines
            .retain(|line| line["run_id"] == self.run.run_id.as_str() && (!line["status"].is_null() || line["message"] == "login checked"));
        lines
    }

    async fn scrape(&self, program: &str, message: &str, field: &str) -> (String, Exposition) {
        let line = self
            .log(program)
            .into_iter()
            .find(|line| line["message"] == message)
            .expect(message);
        let url = format!("http://{}/metrics", line[field].as_str().unwrap());
        let answer = crate::support::http::client().get(url).send().await.unwrap();
        assert!(
            answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/plain; version=0.0.4")
        );
        let text = answer.text().await.unwrap();
        let told = Exposition::parse(&text);
        (text, told)
    }
}

/// How often a message stands in these lines, of a stage.
fn counted(lines: &[Value], stage: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for line in lines.iter().filter(|line| line["stage"] == stage) {
        *counted.entry(line["message"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counted
}

fn each_once(messages: &[&str]) -> BTreeMap<String, usize> {
    messages.iter().map(|message| ((*message).to_owned(), 1)).collect()
}

fn check_lines(scene: &Scene) {
    let server = scene.steps("server");
    for stage in ["discover", "publish"] {
        let all = each_once(&["job queued", "job offered", "job running", "job succeeded"]);
        assert_eq!(counted(&server, stage), all, "{stage}");
        let own = each_once(&["job accepted", "job succeeded", "job reported"]);
        assert_eq!(counted(&scene.steps("default"), stage), own, "{stage}");
    }
    let of_submit = each_once(&["job queued", "job offered", "job running", "login checked", "job succeeded"]);
    assert_eq!(counted(&server, "submit"), of_submit);
    let own = each_once(&[
        "job accepted",
        "login checked",
        "agent started",
        "agent ended",
        "job succeeded",
        "job reported",
    ]);
    assert_eq!(counted(&scene.steps("shard"), "submit"), own);
    let of_run: Vec<&str> = server
        .iter()
        .filter(|line| line["job_id"].is_null())
        .filter_map(|line| line["message"].as_str())
        .collect();
    assert_eq!(of_run, ["run pending", "run running", "run succeeded"]);

    let volume = scene.stack.volume();
    for line in &server {
        assert_eq!((&line["volume"], &line["shard_index"]), (&volume.into(), &0.into()), "{line}");
        assert!(line["queue"].is_string() && line["trace_id"].is_string(), "{line}");
        let way = (&line["skill"], &line["execution_path"], &line["used_fallback"]);
        let ended = line["message"] == "job succeeded";
        let expected: (Value, Value, Value) = match line["job_id"].is_null() {
            true => (Value::Null, Value::Null, Value::Null),
            false => (
                "speckit".into(),
                "direct_only".into(),
                if ended { false.into() } else { Value::Null },
            ),
        };
        assert_eq!(way, (&expected.0, &expected.1, &expected.2), "{line}");
    }
    for (program, lines) in [
        ("server", server.clone()),
        ("default", scene.steps("default")),
        ("shard", scene.steps("shard")),
    ] {
        assert!(lines.len() >= 6, "{program}: {lines:?}");
        for line in lines.iter().filter(|line| !line["job_id"].is_null()) {
            let queue = if line["stage"] == "submit" {
                scene.stack.queue()
            } else {
                "default"
            };
            assert_eq!((&line["queue"], &line["attempt"]), (&queue.into(), &1.into()), "{program}: {line}");
            let is_queued = line["message"] == "job queued";
            assert_eq!(line["worker"].is_null(), is_queued, "{program}: {line}");
            // From the check on, everything about the agent's work says what it found.
            let checked = line["stage"] == "submit"
                && !["job queued", "job offered", "job running", "job accepted"].contains(&line["message"].as_str().unwrap());
            assert!(!checked || line["preflight"] == "passed", "{program}: {line}");
            assert!(line["stage"] != "submit" || line["volume"] == volume, "{program}: {line}");
        }
    }
}

async fn check_metrics(scene: &Scene) {
    let settled = within(Duration::from_secs(20), "a scrape of the server at rest", async || {
        let (text, told) = scene.scrape("server", "server listens", "http_address").await;
        (told.sum("moorline_frames_total", &[("outcome", "stored")]) > 5.0).then_some((text, told))
    });
    let (text, server) = settled.await;
    let (queue, volume) = (scene.stack.queue(), scene.stack.volume());
    let one = |name: &str, labels: &[(&str, &str)]| assert_eq!(server.sum(name, labels), 1.0, "{name} {labels:?}\n{text}");
    for status in ["pending", "running", "succeeded"] {
        one("moorline_run_transitions_total", &[("status", status)]);
    }
    for (stage, queue) in [("discover", "default"), ("submit", queue), ("publish", "default")] {
        for status in ["queued", "offered", "running", "succeeded"] {
            one(
                "moorline_job_transitions_total",
                &[("stage", stage), ("queue", queue), ("status", status), ("attempt", "1")],
            );
        }
        one("moorline_claim_latency_seconds_count", &[("stage", stage), ("queue", queue)]);
        one(
            "moorline_stage_executions_total",
            &[
                ("stage", stage),
                ("skill", "speckit"),
                ("execution_path", "direct_only"),
                ("outcome", "succeeded"),
            ],
        );
        one("moorline_job_duration_seconds_count", &[("stage", stage), ("status", "succeeded")]);
    }
    one("moorline_preflights_total", &[("volume", volume), ("status", "passed")]);
    one("moorline_run_duration_seconds_count", &[("status", "succeeded")]);
    one("moorline_volume_status", &[("volume", volume), ("status", "ready")]);
    one("moorline_shard_status", &[("queue", queue), ("status", "active")]);
    one("moorline_database_up", &[]);
    one("moorline_artifacts_total", &[("type", "codex_patch")]);
    one(
        "moorline_call_latency_seconds_count",
        &[("method", "moorline.v1.RunService/CreateRun"), ("code", "Ok")],
    );
    assert_eq!(server.sum("moorline_queue_depth", &[]), 0.0);
    assert_eq!(server.sum("moorline_job_failures_total", &[]), 0.0);
    assert_eq!(server.sum("moorline_streams", &[]), 2.0);
    assert_eq!(server.sum("moorline_workers_connected", &[]), 2.0);

    let (of_worker, shard) = scene.scrape("shard", "the health endpoint listens", "address").await;
    let one = |name: &str, labels: &[(&str, &str)]| assert_eq!(shard.sum(name, labels), 1.0, "{name} {labels:?}\n{of_worker}");
    one(
        "moorline_worker_jobs_total",
        &[("stage", "submit"), ("queue", queue), ("outcome", "succeeded"), ("attempt", "1")],
    );
    one("moorline_worker_preflights_total", &[("volume", volume), ("status", "passed")]);
    one("moorline_worker_logins_total", &[("volume", volume), ("outcome", "stored")]);
    one("moorline_worker_reports_total", &[("outcome", "acknowledged")]);
    one("moorline_worker_stream_up", &[]);
    for step in ["preflight", "checkout", "agent", "patch"] {
        one(
            "moorline_worker_step_duration_seconds_count",
            &[("step", step), ("outcome", "succeeded")],
        );
    }
    assert_eq!(shard.sum("moorline_worker_jobs_running", &[]), 0.0);
    let defined: BTreeSet<&str> = [recorder::COMMON, moorline_server::metrics::ALL, moorline_worker::metrics::ALL]
        .iter()
        .flat_map(|all| all.iter().map(|metric| metric.name()))
        .collect();
    for name in server.names().into_iter().chain(shard.names()) {
        assert!(defined.contains(name.as_str()), "{name} is in no table");
    }
    let logs =
        ["server", "default", "shard"].map(|program| fs::read_to_string(scene.folder.path().join(format!("{program}.log"))).unwrap());
    for text in [text, of_worker].into_iter().chain(logs) {
        assert!(!text.contains(KEY));
    }
}

async fn check_trace(scene: &Scene) {
    let run_id = &scene.run.run_id;
    let wanted = [
        ("moorline", "moorline run create"),
        ("moorline-server", "moorline.v1.RunService/CreateRun"),
        ("moorline-server", "queue discover"),
        ("moorline-server", "queue submit"),
        ("moorline-server", "job submit"),
        ("moorline-server", "job publish"),
        ("moorline-worker", "run discover"),
        ("moorline-worker", "run submit"),
        ("moorline-worker", "preflight"),
        ("moorline-worker", "checkout"),
        ("moorline-worker", "agent"),
        ("moorline-worker", "patch"),
        ("moorline-worker", "run publish"),
        ("moorline-worker", "push"),
    ];
    let trace = within(Duration::from_secs(30), "all spans of the run", async || {
        let all = scene.collector.spans();
        let root = all
            .iter()
            .find(|sent| sent.span.name == "moorline run create" && sent.text("moorline.run_id") == *run_id)?;
        let trace: Vec<_> = all
            .iter()
            .filter(|sent| sent.span.trace_id == root.span.trace_id)
            .cloned()
            .collect();
        let has = |(service, name): &(&str, &str)| trace.iter().any(|sent| sent.service == *service && sent.span.name == *name);
        wanted.iter().all(has).then_some(trace)
    });
    let trace = trace.await;
    let ids: BTreeSet<_> = trace.iter().map(|sent| sent.span.span_id.clone()).collect();
    for sent in &trace {
        let is_root = sent.span.name == "moorline run create";
        assert!(is_root || ids.contains(&sent.span.parent_span_id), "nothing is above {sent:?}");
        assert!(sent.text("moorline.run_id").is_empty() || sent.text("moorline.run_id") == *run_id);
    }
    let parent = |name: &str| {
        let of = trace.iter().find(|sent| sent.span.name == name).expect(name);
        let above = trace
            .iter()
            .find(|sent| sent.span.span_id == of.span.parent_span_id)
            .expect("what is above it");
        above.span.name.clone()
    };
    let of_submit = trace
        .iter()
        .find(|sent| sent.span.name == "job submit")
        .expect("the server's span of the job");
    assert_eq!(
        (of_submit.text("moorline.execution_path"), of_submit.text("moorline.used_fallback")),
        ("direct_only".to_owned(), "false".to_owned())
    );
    assert_eq!(parent("agent"), "run submit");
    assert_eq!(parent("run submit"), "queue submit");
    assert_eq!(parent("queue submit"), "moorline.v1.RunService/CreateRun");

    // The agent's own processes know their place: it prints its environment in this mode.
    let request = v1::StreamRunLogsRequest {
        run_id: run_id.clone(),
        ..Default::default()
    };
    let (mut pieces, mut output) = (scene.stack.runs().stream_run_logs(request).await.unwrap().into_inner(), Vec::new());
    while let Some(piece) = pieces.message().await.unwrap() {
        output.extend_from_slice(&piece.content);
    }
    let told = format!("TRACEPARENT=00-{}-", trace[0].trace_id());
    assert!(String::from_utf8_lossy(&output).contains(&told), "the agent was not told {told}");
    let lines = scene.steps("server");
    assert!(lines.iter().all(|line| line["trace_id"] == trace[0].trace_id().as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_run_is_told_line_by_line_in_metrics_and_as_one_trace() {
    let scene = Scene::play().await;
    within(Duration::from_secs(20), "the last lines", async || {
        let reported = counted(&scene.steps("default"), "publish").contains_key("job reported");
        // The server answers a report before it tells of it.
        let ended = scene.steps("server").iter().any(|line| line["message"] == "run succeeded");
        (reported && ended).then_some(())
    })
    .await;
    check_lines(&scene);
    check_metrics(&scene).await;
    check_trace(&scene).await;
    scene.stack.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_s_place_is_passed_on_and_one_that_is_none_is_ignored() {
    let app = TestApp::start().await;
    let mut worker = ScriptedWorker::default_worker(&app, "w").await;
    worker.credit("default", 2).await;
    for (header, trace) in [
        (
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-",
        ),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", ""),
    ] {
        let mut create = tonic::Request::new(request(&format!("f{}", header.len() + trace.len())));
        create.metadata_mut().insert("traceparent", header.parse().unwrap());
        app.runs().create_run(create).await.expect("a run");
        let offer = worker.offer().await;
        assert!(
            offer.traceparent.starts_with(trace) && offer.traceparent.is_empty() == trace.is_empty(),
            "{header}: {offer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_delays_neither_a_call_nor_an_end() {
    // Nobody listens on this port: it was had and given back.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = listener.local_addr().unwrap();
    drop(listener);
    let (database, artifacts) = (TestDb::new().await.unwrap(), tempfile::tempdir().unwrap());
    let collector = ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{away}"));
    let variables = [
        ("MOORLINE_LISTEN", "127.0.0.1:0".to_owned()),
        ("MOORLINE_DATABASE_URL", database.url().to_owned()),
        ("SPEC_WORKFLOW_ARTIFACT_ROOT", artifacts.path().display().to_string()),
        collector.clone(),
    ];
    let (mut server, address) = process::listening(Process::start(process::SERVER, &variables)).await;
    let server_url = format!("http://{address}");
    let call = async |feature: &str, collector: &[(&str, String)]| {
        let began = std::time::Instant::now();
        let called = tokio::process::Command::new(env!("CARGO_BIN_EXE_moorline-under-test"))
            .args(["run", "create", "--server", &server_url, "--repository", "octo/hello"])
            .args(["--feature", feature])
            .envs(collector.iter().cloned())
            .output()
            .await
            .unwrap();
        assert!(called.status.success(), "{}", String::from_utf8_lossy(&called.stderr));
        began.elapsed()
    };
    let without = call("001-a", &[]).await;
    let with = call("001-b", &[collector]).await;
    // Three seconds are what the program gives a collector at its end; the rest is for a busy machine.
    assert!(with < without + Duration::from_secs(8), "{with:?} instead of {without:?}");
    let began = std::time::Instant::now();
    server.terminate().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    // One that is none is refused at the start, with what to set.
    let program = Process::start(
        env!("CARGO_BIN_EXE_moorline-server-under-test"),
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address".to_owned())],
    );
    program.says("OTEL_EXPORTER_OTLP_ENDPOINT can't be used").await;
}
