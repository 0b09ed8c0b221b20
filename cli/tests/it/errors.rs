//! Errors: one clear line, the facts, what to do next, and an exit code that scripts can use.

use moorline::exit::Exit;
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{fake::Fake, moorline, samples::RUN};

async fn refused(refusal: Status, line: &str) -> (Exit, String) {
    let server = Fake {
        refusal: Some(refusal),
        ..Fake::default()
    }
    .start()
    .await;
    let seen = moorline(&server.url, line).await;
    assert_eq!(seen.out, "");
    (seen.exit, seen.err)
}

fn already_open() -> Status {
    let details = ErrorDetails::with_error_info("RUN_ALREADY_OPEN", "moorline", [("run_id".to_owned(), RUN.to_owned())]);
    Status::with_error_details(Code::AlreadyExists, "a run of 001-login is open: watch or cancel it", details)
}

#[tokio::test]
async fn a_second_open_run_names_the_first_one() {
    let (exit, err) = refused(already_open(), "run create -r acme/site -f 001-login").await;
    assert_eq!(exit, Exit::Refused);
    insta::assert_snapshot!(err, @"
    error: a run of 001-login is open: watch or cancel it (RUN_ALREADY_OPEN)
      run_id: 019a0000-0000-7000-8000-000000000001
    next: follow it with `moorline run watch 019a0000-0000-7000-8000-000000000001`, or end it with `moorline run cancel 019a0000-0000-7000-8000-000000000001`
    ");
}

#[tokio::test]
async fn programs_get_errors_as_json() {
    let (_, err) = refused(already_open(), "run create -r acme/site -f 001-login --output json").await;
    insta::assert_snapshot!(err, @r#"{"error":{"code":"already_exists","reason":"RUN_ALREADY_OPEN","message":"a run of 001-login is open: watch or cancel it","metadata":{"run_id":"019a0000-0000-7000-8000-000000000001"},"field_violations":[],"next":"follow it with `moorline run watch 019a0000-0000-7000-8000-000000000001`, or end it with `moorline run cancel 019a0000-0000-7000-8000-000000000001`","exit_code":4}}"#);
}

#[tokio::test]
async fn wrong_fields_are_listed() {
    let mut details = ErrorDetails::with_bad_request_violation("feature_key", "must not leave specs/");
    details.add_bad_request_violation("repository", "is empty");
    let (exit, err) = refused(
        Status::with_error_details(Code::InvalidArgument, "the request is invalid", details),
        "run list",
    )
    .await;
    assert_eq!(exit, Exit::Refused);
    insta::assert_snapshot!(err, @"
    error: the request is invalid
      feature_key: must not leave specs/
      repository: is empty
    ");
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let (exit, err) = refused(
        Status::with_error_details(
            Code::NotFound,
            "no run has this id",
            ErrorDetails::with_error_info("RUN_NOT_FOUND", "moorline", []),
        ),
        &format!("run watch {RUN}"),
    )
    .await;
    assert_eq!(exit, Exit::NotFound);
    insta::assert_snapshot!(err, @"
    error: no run has this id (RUN_NOT_FOUND)
    next: list the runs with `moorline run list`
    ");
}

#[tokio::test]
async fn a_fault_of_the_server_is_told_apart() {
    let (exit, err) = refused(Status::internal("something broke\u{7}"), "shard list").await;
    assert_eq!(exit, Exit::Fault);
    insta::assert_snapshot!(err, @"
    error: something broke 
    next: look at the server's log
    ");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_how_to_start_one() {
    // A port that was free a moment ago, and that nobody listens on.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for line in ["shard list", "run watch x", "run create -r a/b -f c"] {
        let seen = moorline(&url, line).await;
        assert_eq!((seen.exit, seen.out.as_str()), (Exit::Unreachable, ""));
        insta::allow_duplicates! { insta::assert_snapshot!(seen.err, @"
        error: can't reach the server at http://server: Connection refused (os error 111)
        next: start a server on this machine with `moorline dev`, or name another with --server or MOORLINE_SERVER
        ") };
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    // It accepts connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let seen = moorline(&url, "shard list --timeout 100ms").await;
    assert_eq!(seen.exit, Exit::Unreachable);
    insta::assert_snapshot!(seen.err, @"
    error: the server at http://server did not answer within 100ms
    next: try again, or allow more time with --timeout
    ");
}

#[tokio::test]
async fn a_server_address_that_makes_no_sense_is_a_usage_error() {
    for server in ["https://example.com", "http://", "http://a b"] {
        let words = ["moorline", "--server", server, "shard", "list"].map(Into::into);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(moorline::run(words, &mut out, &mut err).await, Exit::Usage, "{server}");
    }
}

#[tokio::test]
async fn what_the_server_says_already_is_not_said_again() {
    let message = "repository is empty: see `moorline run create --help`";
    let details = ErrorDetails::with_bad_request_violation("repository", message);
    let refusal = Status::with_error_details(Code::NotFound, message, details);
    let (_, err) = refused(refusal, "run list").await;
    insta::assert_snapshot!(err, @"error: repository is empty: see `moorline run create --help`");
}
