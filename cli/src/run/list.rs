//! `moorline run list`.

use moorline_proto::v1;
use prost_types::Timestamp;

use crate::{
    args::{Global, one_of},
    client,
    console::Console,
    error::Error,
    exit::Exit,
    time,
    view::Runs,
};

/// Longest page that a server sends.
const LONGEST_PAGE: u32 = 500;

/// List runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only runs with this status; may be given several times.
    #[arg(long, value_parser = one_of::<v1::RunStatus, 7>(["pending", "running", "succeeded", "failed", "no_work", "cancelled", "retrying"]))]
    status: Vec<v1::RunStatus>,
    /// Only runs of this repository.
    #[arg(long, short)]
    repository: Option<String>,
    /// Only runs of this feature.
    #[arg(long, short, value_name = "KEY")]
    feature: Option<String>,
    /// Only runs of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only runs created since then: a time such as 2026-01-02T03:04:05Z, or an age such as 24h.
    #[arg(long, value_name = "TIME", value_parser = time::parse_moment)]
    created_after: Option<Timestamp>,
    /// List at most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on after an earlier list, with the same filters: its `next_page_token`.
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
}

/// Lists runs, page after page up to the limit.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mut client = client::runs(global)?;
    let mut list = Runs {
        runs: Vec::new(),
        next_page_token: args.page_token.clone(),
    };
    loop {
        let wanted = args.limit - u32::try_from(list.runs.len()).unwrap_or(args.limit).min(args.limit);
        let page = client
            .list_runs(request(args, wanted.min(LONGEST_PAGE), list.next_page_token.take()))
            .await?
            .into_inner();
        list.runs.extend(page.runs.into_iter().map(Into::into));
        list.next_page_token = Some(page.next_page_token).filter(|token| !token.is_empty());
        if list.next_page_token.is_none() || list.runs.len() >= args.limit as usize {
            break;
        }
    }
    console.show(&list)?;
    if let Some(token) = &list.next_page_token {
        console.note(format!("\nThere are more: raise --limit, or go on with --page-token {token}"))?;
    }
    Ok(Exit::Ok)
}

fn request(args: &Args, page_size: u32, page_token: Option<String>) -> v1::ListRunsRequest {
    v1::ListRunsRequest {
        page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
        page_token: page_token.unwrap_or_default(),
        statuses: args.status.iter().map(|status| i32::from(*status)).collect(),
        repository: args.repository.clone().unwrap_or_default(),
        feature_key: args.feature.clone().unwrap_or_default(),
        codex_queue: args.queue.clone().unwrap_or_default(),
        created_after: args.created_after,
    }
}
