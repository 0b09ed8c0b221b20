//! What a person reads once everything is up.

use std::net::SocketAddr;

use moorline_worker::engine::EngineInfo;

use super::{plan::Plan, ready::Ready, volumes::ShardVolume};
use crate::{
    console::{Console, Format},
    error::Error,
    table,
};

/// Says that everything is up, where, and what to do with it; for programs, what the ready file says.
pub fn show(
    plan: &Plan,
    (endpoint, http): (&str, Option<SocketAddr>),
    engine: &EngineInfo,
    shards: &[ShardVolume],
    workers: &[String],
    console: &mut Console<'_>,
) -> Result<(), Error> {
    if console.format == Format::Json {
        return console.json_line(&Ready::now(endpoint, workers));
    }
    for shard in shards {
        if let Some(trouble) = &shard.trouble {
            console.note(format!(
                "{} has no login that can be used: {}",
                shard.queue,
                table::one_line(trouble)
            ))?;
        }
    }
    let text = text(&plan.data_dir.display().to_string(), (endpoint, http), engine, shards, workers);
    console.line(text)
}

fn text(
    data_dir: &str,
    (endpoint, http): (&str, Option<SocketAddr>),
    engine: &EngineInfo,
    shards: &[ShardVolume],
    workers: &[String],
) -> String {
    let shards: Vec<String> = shards.iter().map(|shard| format!("{} ({})", shard.queue, shard.volume)).collect();
    let facts = [
        ("shards", shards.join(", ")),
        ("workers", workers.join(", ")),
        ("engine", format!("{} {}", engine.kind, engine.version)),
        (
            "http",
            http.map_or_else(|| "off".to_owned(), |address| format!("http://{address}/openapi.json")),
        ),
        ("data", data_dir.to_owned()),
        (
            "try",
            format!("moorline run create --server {endpoint} --repository OWNER/NAME --feature KEY --watch"),
        ),
        ("stop", "Ctrl-C; data and logins are kept".to_owned()),
    ];
    format!("\nMoorline is up at {endpoint}\n\n{}\n", table::card(facts, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_says_what_runs_where_and_how_to_go_on() {
        let engine = EngineInfo {
            kind: "process",
            version: "0.1.0".to_owned(),
        };
        let shard = |n| ShardVolume {
            queue: format!("codex-{n}"),
            volume: format!("codex_auth_{n}"),
            trouble: None,
        };
        let workers = ["dev-codex-0", "dev-codex-1", "dev-default"].map(str::to_owned);
        insta::assert_snapshot!(text("/data", ("http://127.0.0.1:7420", Some(SocketAddr::from(([127, 0, 0, 1], 7421)))), &engine, &[shard(0), shard(1)], &workers), @"
        Moorline is up at http://127.0.0.1:7420

        shards   codex-0 (codex_auth_0), codex-1 (codex_auth_1)
        workers  dev-codex-0, dev-codex-1, dev-default
        engine   process 0.1.0
        http     http://127.0.0.1:7421/openapi.json
        data     /data
        try      moorline run create --server http://127.0.0.1:7420 --repository OWNER/NAME --feature KEY --watch
        stop     Ctrl-C; data and logins are kept
        ");
    }
}
