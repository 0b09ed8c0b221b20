//! Answers that are streams: made beside the response, no faster than the client takes them, and not for a client that has left.

use futures::{StreamExt as _, stream::BoxStream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    flow::{Flow, hints::Subscription},
    wire,
};

/// Messages on their way to a client.
pub(super) type Stream<T> = BoxStream<'static, Result<T, Status>>;

/// Waits until there may be more to see.
///
/// # Errors
///
/// `GONE` when the client has left; `SHUTTING_DOWN` when this server does: the client resumes on another.
pub(super) async fn wait<T>(flow: &Flow, subscription: &Subscription, shutdown: &CancellationToken, out: &Out<T>) -> Result<(), Status> {
    tokio::select! {
        () = subscription.woken() => Ok(()),
        () = tokio::time::sleep(flow.timers.poll) => Ok(()),
        () = shutdown.cancelled() => Err(wire::status::shutting_down()),
        () = out.0.closed() => Err(wire::status::client_gone()),
    }
}

/// Where a stream's messages go.
pub(super) struct Out<T>(tokio::sync::mpsc::Sender<Result<T, Status>>);

impl<T> Out<T> {
    /// Ends when the client has left.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }

    /// Fails when the client has left.
    pub(super) async fn send(&self, message: T) -> Result<(), Status> {
        self.0.send(Ok(message)).await.map_err(|_| wire::status::client_gone())
    }
}

/// Runs `work` beside the response that it fills. It ends when the client has left: sending fails then, and waiting, too.
pub(super) fn async_stream<T, W, F>(work: W) -> Stream<T>
where
    T: Send + 'static,
    W: FnOnce(Out<T>) -> F,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    /// Messages that may wait for a slow client; the database is read no faster.
    const CAPACITY: usize = 16;
    let (sender, receiver) = tokio::sync::mpsc::channel(CAPACITY);
    let failed = sender.clone();
    let work = work(Out(sender));
    tokio::spawn(async move {
        if let Err(status) = work.await {
            // A client that is gone doesn't miss the reason.
            drop(failed.send(Err(status)).await);
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver).boxed()
}
