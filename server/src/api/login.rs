//! A login as a stream of its steps.

use moorline_proto::v1::{self, LoginState};
use tokio_util::sync::CancellationToken;

use super::stream::{Out, Stream, async_stream};
use crate::{
    domain::command::Progress,
    flow::{
        Flow, view,
        volume::{LoggingIn, News},
    },
    wire::{self, status::status},
};

/// Tells what is new until the login has ended. A client that leaves stops it, and so does this server when it goes.
pub(super) fn stream(flow: Flow, shutdown: CancellationToken, mut login: LoggingIn) -> Stream<v1::LoginVolumeResponse> {
    async_stream(async move |out| {
        out.send(state(LoginState::Starting)).await?;
        loop {
            let news = tokio::select! {
                news = login.next() => news.map_err(status)?,
                () = out.closed() => return Err(wire::status::client_gone()),
                () = shutdown.cancelled() => return Err(wire::status::shutting_down()),
            };
            if tell(&flow, &out, &login.volume, news).await? {
                return Ok(());
            }
        }
    })
}

/// Returns whether that was the last.
async fn tell(flow: &Flow, out: &Out<v1::LoginVolumeResponse>, volume: &str, news: News) -> Result<bool, tonic::Status> {
    let (response, last) = match news {
        News::Step(Progress::DeviceCode {
            verification_url,
            user_code,
            expires_at,
        }) => {
            let now = view::now(flow).await.map_err(status)?;
            let left = (expires_at - now).to_std().unwrap_or_default();
            let response = v1::LoginVolumeResponse {
                verification_url,
                user_code,
                expires_at: Some(wire::timestamp(expires_at)),
                expires_in: Some(wire::duration(left)),
                ..state(LoginState::WaitingForUser)
            };
            (response, false)
        }
        News::Step(Progress::LoginStored) => (state(LoginState::Checking), false),
        News::Done(checked) => {
            let view = view::shard_of_volume(flow, volume).await.map_err(status)?;
            let response = v1::LoginVolumeResponse {
                preflight: Some(wire::preflight::check_message(checked.check)),
                volume: Some(wire::shard::volume(&view)),
                ..state(LoginState::Done)
            };
            (response, true)
        }
    };
    out.send(response).await?;
    Ok(last)
}

fn state(state: LoginState) -> v1::LoginVolumeResponse {
    v1::LoginVolumeResponse {
        state: state.into(),
        ..v1::LoginVolumeResponse::default()
    }
}
