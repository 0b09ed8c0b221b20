//! `moorline volume checks`.

use moorline_proto::v1::{self, ListPreflightsRequest};

use crate::{
    args::{Global, one_of},
    client,
    console::Console,
    error::Error,
    exit::Exit,
    view::Preflights,
};

/// Longest page that a server sends.
const LONGEST_PAGE: u32 = 500;

/// List login checks, newest first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those of this volume.
    volume: Option<String>,
    /// Only those made for this run.
    #[arg(long, value_name = "RUN_ID")]
    run: Option<String>,
    /// Only those with this result.
    #[arg(long, value_parser = one_of::<v1::PreflightStatus, 3>(["passed", "failed", "skipped"]))]
    status: Option<v1::PreflightStatus>,
    /// List at most this many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Go on after an earlier list, with the same filters: its `next_page_token`.
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
}

/// Lists login checks, page after page up to the limit.
pub async fn execute(args: &Args, global: &Global, console: &mut Console<'_>) -> Result<Exit, Error> {
    let mut client = client::shards(global)?;
    let mut list = Preflights {
        preflights: Vec::new(),
        next_page_token: args.page_token.clone(),
    };
    loop {
        let wanted = args.limit - u32::try_from(list.preflights.len()).unwrap_or(args.limit).min(args.limit);
        let request = request(args, wanted.min(LONGEST_PAGE), list.next_page_token.take());
        let page = client.list_preflights(request).await?.into_inner();
        list.preflights.extend(page.preflights.into_iter().map(Into::into));
        list.next_page_token = Some(page.next_page_token).filter(|token| !token.is_empty());
        if list.next_page_token.is_none() || list.preflights.len() >= args.limit as usize {
            break;
        }
    }
    console.show(&list)?;
    if let Some(token) = &list.next_page_token {
        console.note(format!("\nThere are more: raise --limit, or go on with --page-token {token}"))?;
    }
    Ok(Exit::Ok)
}

fn request(args: &Args, page_size: u32, page_token: Option<String>) -> ListPreflightsRequest {
    ListPreflightsRequest {
        volume: args.volume.clone().unwrap_or_default(),
        run_id: args.run.clone().unwrap_or_default(),
        status: args.status.unwrap_or_default().into(),
        page_size: i32::try_from(page_size).unwrap_or(i32::MAX),
        page_token: page_token.unwrap_or_default(),
    }
}
