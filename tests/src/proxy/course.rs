//! One direction of a line: bytes in, bytes kept, bytes out.

use std::{collections::VecDeque, io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::watch,
    time::Instant,
};

use super::{Course, Flow, Rules, Traffic, Way};

/// Most bytes that are kept; beyond that nothing is read, as with [`Flow::Block`].
const KEPT_MAX: usize = 16 << 20;

/// At a limited rate, bytes go on in this many portions a second.
const PORTIONS: u32 = 50;

/// What was read: some bytes, or the end of the stream.
#[derive(Debug)]
struct Piece {
    due: Instant,
    /// `None` is the end.
    bytes: Option<Bytes>,
}

/// Carries bytes from `from` to `to` until the stream ends, or fails.
pub(super) async fn carry(
    way: Way,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut rules: watch::Receiver<Rules>,
    traffic: &watch::Sender<Traffic>,
) -> io::Result<()> {
    let mut kept: VecDeque<Piece> = VecDeque::new();
    let (mut kept_bytes, mut ended, mut lost) = (0, false, false);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let mut course = rules.borrow_and_update().course(way).clone();
        // HTTP/2 would not notice that whole frames are missing, and nor would who waits for them.
        if lost {
            course.flow = Flow::Vanish;
        }
        // At a limited rate nothing is read ahead, so that the sender feels it.
        let most = if course.rate.is_some() { 1 } else { KEPT_MAX };
        let reads = !ended && course.flow != Flow::Block && kept_bytes < most;
        let due = kept.front().map(|piece| piece.due).filter(|_| course.flow == Flow::Pass);
        tokio::select! {
            changed = rules.changed() => if changed.is_err() { return Ok(()) },
            read = from.read(&mut buffer), if reads => {
                let read = read?;
                if course.flow == Flow::Vanish {
                    traffic.send_modify(|traffic| traffic.vanished(way, read));
                    (ended, lost) = (read == 0, true);
                    continue;
                }
                ended = read == 0;
                kept_bytes += read;
                let bytes = (!ended).then(|| Bytes::copy_from_slice(&buffer[..read]));
                kept.push_back(Piece { due: Instant::now() + course.delay, bytes });
                traffic.send_modify(|traffic| traffic.kept(way, read));
            }
            () = until(due) => {
                let Some(bytes) = kept.pop_front().and_then(|piece| piece.bytes) else {
                    return to.shutdown().await;
                };
                let portion = portion(&course, bytes.len());
                to.write_all(&bytes[..portion]).await?;
                kept_bytes -= portion;
                traffic.send_modify(|traffic| traffic.passed(way, portion));
                if portion < bytes.len() {
                    let bytes = Some(bytes.slice(portion..));
                    kept.push_front(Piece { due: Instant::now(), bytes });
                }
                if course.rate.is_some() && let Some(next) = kept.front_mut() {
                    next.due = next.due.max(Instant::now() + Duration::from_secs(1) / PORTIONS);
                }
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn portion(course: &Course, length: usize) -> usize {
    let most = course
        .rate
        .map_or(usize::MAX, |rate| usize::try_from(rate / PORTIONS).unwrap_or(usize::MAX).max(1));
    length.min(most)
}
