//! Help, completions and what is wrong with a command line.

use moorline::exit::Exit;

use crate::moorline;

const NOBODY: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn help_lists_commands_and_exit_codes() {
    let seen = moorline(NOBODY, "--help").await;
    assert_eq!(seen.exit, Exit::Ok);
    insta::assert_snapshot!(seen.out, @"
    Moorline: runs of coding agents, routed by hash to shards that each hold one login

    Usage: moorline [OPTIONS] <COMMAND>

    Commands:
      run          Start, show, watch, cancel and retry runs
      shard        Show and watch shards; drain, activate and count them
      volume       Show, check, renew and clean up the volumes that hold logins
      preflight    Check the login that a run needs
      worker       Show workers, and drain them
      skill        Show and check skills, and say which of them carry which stages
      route        Say which shard a key goes to, and why
      completions  Print a completion script for a shell
      dev          Start a server, its workers and a database in this process, for trying things
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Options of every command:
          --server <URL>
              Server to talk to
              
              [env: MOORLINE_SERVER]
              [default: http://127.0.0.1:7420]

      -o, --output <OUTPUT>
              Form of the output: tables for people, JSON for programs

              Possible values:
              - table: Tables and lines for people
              - json:  JSON for programs: one document, or one line per event
              
              [default: table]

          --timeout <DURATION>
              Longest time for a call to be answered, or for a stream to begin. Where a worker has to look at a login first it is 5m unless given
              
              [default: 30s]

    Exit codes:
      0  done; a watched run ended succeeded or no_work
      1  the watched run failed
      2  wrong usage
      3  not found
      4  refused: invalid value, wrong state, exists already, no permission
      5  server not reachable, or no answer in time
      6  the watched run was cancelled
      7  any other fault: of the server, of a file, of a part of `moorline dev`
      8  the login that was checked is bad
      130  stopped by Ctrl-C
    ");
}

#[tokio::test]
async fn help_of_create_explains_every_option() {
    insta::assert_snapshot!(moorline(NOBODY, "run create -h").await.out, @"
    Start a run

    Usage: moorline run create [OPTIONS] --repository <REPOSITORY> --feature <KEY>

    Options:
      -r, --repository <REPOSITORY>        `owner/name`, or a git URL
      -f, --feature <KEY>                  Folder under `specs/` that holds the task list
          --affinity-key <KEY>             Chooses the shard; made of repository, feature and task when not given
          --base-ref <BRANCH>              Branch to start from; the remote's HEAD when not given
          --task-id <ID>                   Your own name for the task
          --queue <QUEUE>                  Queue for the agent's work, instead of the one that the hash chooses
          --force-phase <PHASE>            Run one phase alone [possible values: discover, submit, publish]
          --agent <AGENT>                  Agent that does the work [default: codex] [possible values: codex, gemini]
          --notes <NOTES>                  Free text, stored with the run
          --idempotency-key <KEY>          Makes the request safe to repeat: the same key and content give the same run
          --priority <PRIORITY>            Higher goes first within a queue, -100 to 100 [default: 0]
          --on-shard-unavailable <POLICY>  What to do while the shard takes no work [default: wait] [possible values: wait, refuse]
          --on-auth-failure <POLICY>       What to do when the shard's login is bad [default: fail] [possible values: fail, wait]
          --agent-timeout <DURATION>       Longest time that the agent may take, such as 30m; the server's default when not given
          --not-before <TIME>              Offer it to no worker before this time, such as 2026-01-02T03:04:05Z, or 2h from now
          --queue-timeout <DURATION>       Fail it when a job has waited this long for a worker, such as 30m; the server's default when not given
          --skill <STAGE=SKILL>            Skill for a stage, in place of the one that the policy names; can be given for each
          --watch                          Follow the run until it ends, as `run watch` does
          --reconnect-for <DURATION>       How long to try again when the connection is lost while following [default: 5m]
      -h, --help                           Print help (see more with '--help')
      -V, --version                        Print version

    Options of every command:
          --server <URL>        Server to talk to [env: MOORLINE_SERVER] [default: http://127.0.0.1:7420]
      -o, --output <OUTPUT>     Form of the output: tables for people, JSON for programs [default: table] [possible values: table, json]
          --timeout <DURATION>  Longest time for a call to be answered, or for a stream to begin. Where a worker has to look at a login first it is 5m unless given [default: 30s]
    ");
}

#[tokio::test]
async fn wrong_usage_is_explained_on_stderr() {
    let seen = moorline(NOBODY, "run list --status nonsense").await;
    assert_eq!((seen.exit, seen.out.as_str()), (Exit::Usage, ""));
    insta::assert_snapshot!(seen.err, @"
    error: invalid value 'nonsense' for '--status <STATUS>'
      [possible values: pending, running, succeeded, failed, no_work, cancelled, retrying]

    For more information, try '--help'.
    ");
    for line in [
        "",
        "run create -r a/b",
        "run list --limit 0",
        "run watch x --after -1",
        "run create -r a/b -f c --priority 101",
        "frobnicate",
        "dev --data-dir /dev/null/nowhere",
    ] {
        assert_eq!(moorline(NOBODY, line).await.exit, Exit::Usage, "{line}");
    }
}

#[tokio::test]
async fn every_shell_gets_its_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let seen = moorline(NOBODY, &format!("completions {shell}")).await;
        assert!(seen.exit == Exit::Ok && seen.out.contains("shard"), "{shell}");
    }
}
