//! The command-line tool as its users meet it: command lines in, text and exit codes out, with a stand-in for the server.

#![allow(clippy::expect_used, reason = "a test that can't be set up stops where it stands")]

mod command_line;
mod dev;
mod errors;
mod fake;
mod files;
mod logins;
mod proxy;
mod route;
mod samples;
mod skill_check;
mod skills;
mod tables;
mod volumes;
mod watch;

use moorline::exit::Exit;

/// What a command line led to.
struct Outcome {
    exit: Exit,
    out: String,
    err: String,
}

/// Runs a command line, its words separated by spaces, against a server.
async fn moorline(server: &str, line: &str) -> Outcome {
    let words = ["moorline", "--server", server].into_iter().chain(line.split_whitespace());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = moorline::run(words.map(Into::into), &mut out, &mut err).await;
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8").replace(server, "http://server");
    Outcome {
        exit,
        out: text(out),
        err: text(err),
    }
}
