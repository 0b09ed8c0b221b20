//! One connection through the proxy.

use std::{io, sync::Arc, time::Duration};

use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::watch};

use super::{Flow, Rules, Target, Way, course, target::Socket};

/// How a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both ends get a reset.
    Reset,
    /// Both ends get the end of the stream.
    End,
}

/// What has happened on a line so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    up: Count,
    down: Count,
}

/// Bytes of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Bytes that were read.
    pub taken: usize,
    /// Bytes that were written on.
    pub passed: usize,
    /// Bytes that were thrown away.
    pub vanished: usize,
}

impl Count {
    /// Bytes that are kept.
    pub fn kept(&self) -> usize {
        self.taken - self.passed - self.vanished
    }
}

impl Traffic {
    /// The bytes of a direction.
    pub fn of(&self, way: Way) -> Count {
        match way {
            Way::Up => self.up,
            Way::Down => self.down,
        }
    }

    pub(super) fn kept(&mut self, way: Way, bytes: usize) {
        self.count(way).taken += bytes;
    }

    pub(super) fn passed(&mut self, way: Way, bytes: usize) {
        self.count(way).passed += bytes;
    }

    pub(super) fn vanished(&mut self, way: Way, bytes: usize) {
        let count = self.count(way);
        count.taken += bytes;
        count.vanished += bytes;
    }

    fn count(&mut self, way: Way) -> &mut Count {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

/// See the module. Cheap to clone; the line goes on when it is dropped.
#[derive(Debug, Clone)]
pub struct Line {
    rules: Arc<watch::Sender<Rules>>,
    cut: Arc<watch::Sender<Option<Cut>>>,
    traffic: watch::Receiver<Traffic>,
}

impl Line {
    pub(super) fn open(client: TcpStream, target: Target, rules: Rules) -> Self {
        let (rules, in_force) = watch::channel(rules);
        let (cut, asked) = watch::channel(None);
        let (count, traffic) = watch::channel(Traffic::default());
        let _ = client.set_nodelay(true);
        tokio::spawn(serve(Socket::Tcp(client), target, in_force, asked, count));
        Self {
            rules: Arc::new(rules),
            cut: Arc::new(cut),
            traffic,
        }
    }

    /// Changes the rules of this line.
    pub fn change(&self, change: impl FnOnce(&mut Rules)) {
        self.rules.send_modify(change);
    }

    /// Cuts it; what is kept is lost.
    pub fn cut(&self, how: Cut) {
        self.cut.send_replace(Some(how));
    }

    /// Whether it is open still, at one of its ends at least.
    pub fn is_open(&self) -> bool {
        self.traffic.has_changed().is_ok()
    }

    /// What has happened so far.
    pub fn traffic(&self) -> Traffic {
        *self.traffic.borrow()
    }

    /// Waits until this is so. `false` when the line has ended before.
    pub async fn until(&self, mut so: impl FnMut(&Traffic) -> bool) -> bool {
        self.traffic.clone().wait_for(|traffic| so(traffic)).await.is_ok()
    }

    /// Waits until the line has ended.
    pub async fn ended(&self) {
        self.until(|_| false).await;
    }
}

/// Holds a line to its end.
async fn serve(
    mut client: Socket,
    target: Target,
    rules: watch::Receiver<Rules>,
    mut asked: watch::Receiver<Option<Cut>>,
    traffic: watch::Sender<Traffic>,
) {
    // Nobody can tell a target that can't be reached from one that resets.
    let Ok(mut server) = target.dial().await else {
        return client.reset_on_drop();
    };
    let how = tokio::select! {
        how = both(&mut client, &mut server, &rules, &traffic) => how,
        Ok(how) = async { asked.wait_for(Option::is_some).await.map(|how| *how) } => how.unwrap_or(Cut::Reset),
        () = idle(rules.clone(), traffic.subscribe()) => Cut::End,
    };
    match how {
        Cut::Reset => {
            client.reset_on_drop();
            server.reset_on_drop();
        }
        Cut::End => end(&mut client, &mut server).await,
    }
}

/// Carries bytes both ways until both have ended, or one has failed.
async fn both(client: &mut Socket, server: &mut Socket, rules: &watch::Receiver<Rules>, traffic: &watch::Sender<Traffic>) -> Cut {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let up = course::carry(Way::Up, from_client, to_server, rules.clone(), traffic);
    let down = course::carry(Way::Down, from_server, to_client, rules.clone(), traffic);
    match tokio::try_join!(heard(up, rules), heard(down, rules)) {
        Ok(_) => Cut::End,
        Err(_) => Cut::Reset,
    }
}

/// The end of one direction. Where packets vanish, so does a reset.
async fn heard(carried: impl Future<Output = io::Result<()>>, rules: &watch::Receiver<Rules>) -> io::Result<()> {
    let carried = carried.await;
    let vanish = {
        let rules = rules.borrow();
        [&rules.up, &rules.down].iter().any(|course| course.flow == Flow::Vanish)
    };
    match carried {
        Err(_) if vanish => std::future::pending().await,
        carried => carried,
    }
}

/// Resolves once nothing was said for as long as the rules allow.
async fn idle(mut rules: watch::Receiver<Rules>, mut traffic: watch::Receiver<Traffic>) {
    loop {
        let limit = rules.borrow_and_update().idle;
        tokio::select! {
            () = async { match limit { Some(limit) => tokio::time::sleep(limit).await, None => std::future::pending().await } } => return,
            Ok(()) = traffic.changed() => {}
            Ok(()) = rules.changed() => {}
        }
    }
}

/// Ends both streams in order. A socket that is closed with something unread would be reset, so what comes is read for a while.
async fn end(client: &mut Socket, server: &mut Socket) {
    const WHILE: Duration = Duration::from_secs(1);
    let _ = tokio::join!(client.shutdown(), server.shutdown());
    let (mut nowhere, mut neither) = (tokio::io::sink(), tokio::io::sink());
    let rest = async { tokio::join!(tokio::io::copy(client, &mut nowhere), tokio::io::copy(server, &mut neither)) };
    let _ = tokio::time::timeout(WHILE, rest).await;
}
