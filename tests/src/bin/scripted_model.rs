//! `moorline-scripted-model`: the scripted model as a program, for the demo.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use clap::Parser;
use moorline_tests::model::ScriptedModel;
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for the model behind a coding agent: the OpenAI Responses API with scripted answers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File that receives the address, such as `127.0.0.1:4711`, once it listens.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Before anyone can know the address, so that no signal finds the program unprepared.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let model = ScriptedModel::start(arguments.listen)
        .await
        .with_context(|| format!("could not listen on {}: choose another address with --listen", arguments.listen))?;
    println!(
        "scripted model on http://{}/<mode>/v1, its requests on http://{0}/requests",
        model.address()
    );
    if let Some(file) = arguments.ready_file {
        // Moved into place whole, so that whoever waits for the file never reads half of it.
        let unfinished = file.with_extension("unfinished");
        std::fs::write(&unfinished, model.address().to_string()).with_context(|| format!("could not write {}", unfinished.display()))?;
        std::fs::rename(&unfinished, &file).with_context(|| format!("could not write {}", file.display()))?;
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    model.stop().await.context("the scripted model failed")
}
