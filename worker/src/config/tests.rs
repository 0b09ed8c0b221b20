//! Settings, by example.

use super::*;

fn parse(args: &[&str]) -> Result<Config, Error> {
    Config::try_parse_from(["moorline-worker"].iter().chain(args).copied())
}

#[test]
fn geminis_worker_has_a_volume_of_its_own_and_no_shard_beside_it() {
    let config = parse(&["--queues", "default,gemini", "--volume", "codex_auth_0"]).expect("Gemini's queue");
    assert_eq!(
        (config.login_queue(), config.volume.as_deref()),
        (Some("gemini"), Some("gemini_auth"))
    );
    assert_eq!(config.agent(), moorline_proto::v1::Agent::Gemini);
    let named = parse(&["--queues", "gemini", "--gemini-volume", "mine"]).expect("another name");
    assert_eq!(named.volume.as_deref(), Some("mine"));
    assert!(parse(&["--codex-queue", "codex-0", "--queues", "gemini"]).is_err());
}

#[test]
fn without_settings_a_worker_serves_the_default_queue_of_a_local_server() {
    let config = parse(&[]).expect("defaults");
    assert_eq!(config.server, "http://127.0.0.1:7420");
    assert_eq!(config.queues, ["default"]);
    assert_eq!(config.login_queue(), None);
    assert_eq!(
        (config.slots, config.job_memory_bytes, config.job_user.as_str()),
        (4, 4 << 30, "1000:1000")
    );
    assert_eq!(config.volume_root, config.work_root.join("volumes"));
    assert_eq!(config.engine, EngineChoice::Auto);
    assert_eq!(config.drain_grace, Duration::from_secs(600));
    assert_eq!(parse(&["--drain-seconds", "0"]).expect("none").drain_grace, Duration::ZERO);
}

#[test]
fn a_shard_worker_serves_its_queue_and_what_else_is_named() {
    let config = parse(&[
        "--codex-queue",
        "codex-12",
        "--queues",
        "default, codex-12",
        "--volume",
        "codex_auth_12",
    ])
    .expect("a shard");
    assert_eq!(config.queues, ["codex-12", "default"]);
    assert_eq!(config.login_queue(), Some("codex-12"));
    let config = parse(&["--codex-config", "a=1\n\n b=\"x\" \n"]).expect("settings of Codex");
    assert_eq!(config.codex_config, ["a=1", "b=\"x\""]);
    assert_eq!(
        (config.codex_issuer, config.api_key_capacity, config.volume_quota_bytes),
        (None, 1, 1 << 30)
    );
}

#[test]
fn blank_counts_as_not_given() {
    let config = parse(&["--slots", " ", "--volume", "", "--engine", "", "--server", ""]).expect("blanks");
    assert_eq!((config.slots, config.volume, config.engine), (4, None, EngineChoice::Auto));
}

#[test]
fn a_bad_value_is_refused_with_the_name_of_its_variable() {
    let cases = [
        ["--slots", "none"],
        ["--slots", "0"],
        ["--server", "localhost"],
        ["--codex-queue", "default"],
        ["--queues", "codex-0,codex-1"],
        ["--queues", "gemini,codex-0"],
        ["--queues", "fast"],
        ["--embedding-provider", "acme"],
        ["--embedding-provider=ollama", "--ollama-url=localhost"],
        ["--embedding-provider=openai", "--openai-embedding-model=a?b"],
        ["--embedding-dimension", "many"],
        ["--embedding-probe", "maybe"],
        ["--engine", "podman"],
        ["--job-user", "0:0"],
        ["--codex-config", "model"],
        ["--codex-issuer", "auth.openai.com"],
        ["--api-key-capacity", "0"],
        ["--volume-quota-mib", "1G"],
        ["--git-author", "Moorline"],
        ["--require-login", "maybe"],
        ["--drain-seconds", "10m"],
        ["--leave-agents", "some"],
        ["--slots=64", "--spool-mib=256"],
        ["--health-listen", "7422"],
        ["--redial-seconds=60", "--redial-late-seconds=30"],
        ["--connect-seconds=5", "--welcome-seconds=5"],
        ["--self-fence-percent", "100"],
        ["--codex-queue=codex-0", "--worker-name=codex-*"],
        ["--queues=default", "--worker-name=a-*-b"],
        ["--work-root=/w", "--volume-root=/w/logins"],
        ["--work-root=/w", "--volume-root=/w/x/../git/mine"],
        ["--work-root=/w/x", "--volume-root=/w"],
    ];
    let messages = cases.map(|args| parse(&args).expect_err("refused").to_string()).join("\n");
    insta::assert_snapshot!(messages, @r"
    MOORLINE_SLOTS is `none`: set a whole number from 1 to 1024, or leave it unset for 4
    MOORLINE_SLOTS is `0`: set a whole number from 1 to 1024, or leave it unset for 4
    MOORLINE_SERVER is `localhost`: set a URL such as http://127.0.0.1:7420
    CODEX_QUEUE is `default`: set the queue of a shard, such as codex-0
    MOORLINE_QUEUES names more than one queue that needs a login: start one worker for each, since a worker holds one volume
    MOORLINE_QUEUES names more than one queue that needs a login: start one worker for each, since a worker holds one volume
    MOORLINE_QUEUES names the queue `fast`: use default, gemini or codex-<n>
    DEFAULT_EMBEDDING_PROVIDER is `acme`: set google, openai, ollama or none
    MOORLINE_OLLAMA_URL is `localhost`: set a URL such as http://127.0.0.1:11434
    MOORLINE_OPENAI_EMBEDDING_MODEL is `a?b`: set the name of a model
    MOORLINE_EMBEDDING_DIMENSION is `many`: set a whole number from 1 to 65536, or leave it unset for any
    MOORLINE_EMBEDDING_PROBE is `maybe`: set 1 or 0
    MOORLINE_ENGINE is `podman`: set auto, docker or process
    MOORLINE_JOB_USER is `0:0`: set two numbers such as 1000:1000; jobs never run as root
    MOORLINE_CODEX_CONFIG has the line `model`: write key=value on each
    MOORLINE_CODEX_ISSUER is `auth.openai.com`: set a URL such as https://auth.openai.com
    MOORLINE_API_KEY_CAPACITY is `0`: set a whole number from 1 to 64, or leave it unset for 1
    MOORLINE_VOLUME_QUOTA_MIB is `1G`: set a whole number from 0 to 16777216, or leave it unset for 1024
    MOORLINE_GIT_AUTHOR is `Moorline`: set a name and an address, such as Moorline <moorline@example.com>
    MOORLINE_REQUIRE_LOGIN is `maybe`: set 1 or 0
    MOORLINE_DRAIN_SECONDS is `10m`: set a whole number from 0 to 86400, or leave it unset for 600
    MOORLINE_LEAVE_AGENTS is `some`: set 1 or 0
    MOORLINE_SPOOL_MIB is `256`: set a whole number from 512 to 16777216, or leave it unset for 512
    MOORLINE_HEALTH_LISTEN is `7422`: set an address and a port such as 127.0.0.1:7422, or leave it unset for no health endpoint
    MOORLINE_REDIAL_SECONDS is 60, more than the 30 of MOORLINE_REDIAL_LATE_SECONDS: pauses grow, so set less here, or more there
    MOORLINE_WELCOME_SECONDS is 5, and connecting alone may take 5: set more than MOORLINE_CONNECT_SECONDS
    MOORLINE_SELF_FENCE_PERCENT is `100`: set a whole number from 10 to 95, or leave it unset for 80
    MOORLINE_WORKER_NAME is `codex-*`, the name of several workers, but codex-0 has one login in one volume, and one volume means one worker: set a name without *
    MOORLINE_WORKER_NAME is `a-*-b`: put a single * at its end, where a number takes its place
    MOORLINE_VOLUME_ROOT is /w/logins, and the worker's own /w/logins may not be in it nor around it, since the worker removes what is left there: set another folder, such as /w/volumes
    MOORLINE_VOLUME_ROOT is /w/x/../git/mine, and the worker's own /w/git may not be in it nor around it, since the worker removes what is left there: set another folder, such as /w/volumes
    MOORLINE_VOLUME_ROOT is /w, and the worker's own /w/x/runs may not be in it nor around it, since the worker removes what is left there: set another folder, such as /w/x/volumes
    ");
}

#[test]
fn a_spool_holds_what_all_jobs_at_once_may_need() {
    let config = parse(&[]).expect("defaults");
    assert_eq!((config.spool_bytes, config.spool_record_bytes), (256 << 20, 4 << 20));
    let config = parse(&["--slots", "100", "--queues", "default,codex-0"]).expect("many slots");
    assert_eq!(config.spool_bytes, (2 * 4 * 101) << 20);
    assert_eq!(config.spool().root, config.work_root.join("spool"));
}

#[test]
fn without_settings_the_times_are_those_that_are_documented() {
    assert_eq!(parse(&[]).expect("defaults").timers, Timers::default());
}

#[test]
fn times_of_the_server_that_do_not_fit_are_named() {
    let (timers, seconds) = (Timers::default(), Duration::from_secs);
    assert_eq!(timers.misfits(seconds(10), seconds(30), seconds(600)), [""; 0]);
    let misfits = timers.misfits(seconds(30), seconds(30), seconds(30)).join("\n");
    insta::assert_snapshot!(misfits, @r"
    the server wants a ping every 30s and calls a line dead after 30s: lines will be lost for nothing; set the server's ping interval to a third of its timeout
    a dead line is noticed after 30s, but this worker stops its jobs 24s after its lease (30s) was renewed: one lost line will cost jobs; set a longer lease or a shorter ping timeout on the server
    this worker stops its jobs 6s before its lease of 30s ends, and stopping may take 30s: another worker may begin before they have stopped; set a longer lease on the server, or a smaller MOORLINE_SELF_FENCE_PERCENT
    ");
}
