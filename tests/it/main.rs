//! Behaviour through the public API, against a real Postgres, real streams and, where a test says so, the real worker and Codex CLI.
//!
//! A test runs against its own database; [`support`] holds what they share.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on says so by panicking")]

mod support;

mod adoption;
mod architecture;
mod artifacts;
mod cancel_and_retry;
mod compose;
mod configuration;
mod create_run;
mod env_template;
mod errors_doc;
mod fair_order;
mod faults;
mod fencing;
mod foreign_clients;
mod gate;
mod gemini;
mod gemini_queue;
mod generated;
mod hosts;
mod http;
mod http_preflight;
mod http_rpc;
mod http_schema;
mod http_server;
mod kubernetes;
mod links;
mod list_runs;
mod logins;
mod migrations;
mod model;
mod queue_times;
mod real_docker;
mod real_failures;
mod real_publish;
mod real_run;
mod retries;
mod retry_after_login;
mod runbook;
mod serving;
mod sessions;
mod several_servers;
mod skills;
mod specs;
mod spool;
mod stages;
mod startup;
mod swarm;
mod telemetry;
mod vllm;
mod volumes;
mod watch_run;
