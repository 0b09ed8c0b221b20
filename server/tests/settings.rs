//! The program refuses settings that it can't keep its promises with, before it touches anything.

#![allow(clippy::unwrap_used, reason = "a test that can't go on says so by panicking")]

use std::process::{Command, Output};

fn serve(variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_moorline-server"))
        .env_clear()
        .envs(variables.iter().copied())
        // Nothing may come of it: no Postgres could be started there.
        .env("MOORLINE_DATA_DIR", "/dev/null/nowhere")
        .output()
        .unwrap()
}

#[test]
fn times_that_break_a_promise_end_the_program_with_both_variables_and_the_reason() {
    let refused = serve(&[("MOORLINE_LEASE", "45s"), ("MOORLINE_PING_TIMEOUT", "40s")]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(64), "{told}");
    for part in [
        "MOORLINE_PING_TIMEOUT is 40s",
        "MOORLINE_LEASE, which is 45s",
        "dialled again by then",
    ] {
        assert!(told.contains(part), "{part} is missing in: {told}");
    }
}

#[test]
fn what_is_no_time_ends_the_program_with_the_variable() {
    let refused = serve(&[("MOORLINE_ACCEPT_DEADLINE", "soon")]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(64), "{told}");
    assert!(told.contains("accept-deadline") && told.contains("500ms"), "{told}");
}
