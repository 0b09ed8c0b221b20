//! Streams that survive a lost connection: opened again where they broke off, with back-off, until patience runs out.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::{
    error::{Error, is_transient},
    time,
};

/// How long to go on without a connection.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Reconnect {
    /// How long to try again when the connection is lost while following.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = time::parse_duration)]
    pub reconnect_for: Duration,
}

/// A stream that knows how far it has been read.
pub trait Resumable {
    /// A message of the stream.
    type Item;
    /// Opens the stream after what has been read so far.
    async fn open(&mut self) -> Result<Streaming<Self::Item>, Status>;
    /// Takes the next message.
    fn take(&mut self, item: Self::Item) -> Result<(), Error>;
    /// Whether the stream's end was its real one, as opposed to that of a server that goes away politely.
    async fn is_complete(&mut self) -> Result<bool, Status>;
    /// Hears that the connection is lost and will be tried again.
    fn lost(&mut self, why: &str) -> Result<(), Error>;
}

/// Reads a stream to its real end. A first connection that fails is an error at once; one that is lost later is tried again for as long
/// as `give_up_after` without a message.
pub async fn read(stream: &mut impl Resumable, give_up_after: Duration) -> Result<(), Error> {
    let mut patience = Patience::new(give_up_after);
    let mut opened = false;
    loop {
        let status = match read_once(stream, &mut patience, &mut opened).await {
            Ok(true) => return Ok(()),
            Ok(false) => Box::new(Status::unavailable("the server ended the stream too early")),
            Err(Error::Status(status)) if opened && is_transient(&status) => status,
            Err(error) => return Err(error),
        };
        if !patience.wait(stream, status.message()).await? {
            return Err(Error::Status(status));
        }
    }
}

async fn read_once<S: Resumable>(stream: &mut S, patience: &mut Patience, opened: &mut bool) -> Result<bool, Error> {
    let mut messages = stream.open().await?;
    *opened = true;
    patience.opened_at = Some(Instant::now());
    while let Some(item) = messages.message().await? {
        patience.renew();
        stream.take(item)?;
    }
    Ok(stream.is_complete().await?)
}

/// How long to go on trying.
struct Patience {
    give_up_after: Duration,
    /// When the connection was lost; `None` while messages arrive.
    lost_at: Option<Instant>,
    /// When it was last opened.
    opened_at: Option<Instant>,
    delays: ExponentialBackoff,
}

impl Patience {
    fn new(give_up_after: Duration) -> Self {
        Self {
            give_up_after,
            lost_at: None,
            opened_at: None,
            delays: delays(),
        }
    }

    /// The connection works.
    fn renew(&mut self) {
        if self.lost_at.take().is_some() {
            self.delays = delays();
        }
    }

    /// Waits before the next try; `false` when there should be none.
    async fn wait(&mut self, stream: &mut impl Resumable, why: &str) -> Result<bool, Error> {
        // A stream may be silent for hours. One that has lived a while was good, message or not.
        if self.opened_at.take().is_some_and(|opened_at| opened_at.elapsed() > LONGEST_DELAY) {
            self.renew();
        }
        if self.lost_at.is_none() {
            stream.lost(why)?;
        }
        let lost_at = *self.lost_at.get_or_insert_with(Instant::now);
        if lost_at.elapsed() >= self.give_up_after {
            return Ok(false);
        }
        tokio::time::sleep(self.delays.next().unwrap_or(LONGEST_DELAY)).await;
        Ok(true)
    }
}

const LONGEST_DELAY: Duration = Duration::from_secs(5);

fn delays() -> ExponentialBackoff {
    let (first, longest) = (Duration::from_millis(100), LONGEST_DELAY);
    ExponentialBuilder::default()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}
