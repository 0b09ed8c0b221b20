//! A line between two parts that a test can break in every way in which lines break.
//!
//! [`Proxy`] listens on TCP and dials a [`Target`], so it stands in the middle of a gRPC line or of a line to Postgres. What happens to
//! bytes is a [`Rules`], for all lines or for one [`Line`]: they pass, are kept ([`Flow::Hold`]), vanish without a reset
//! ([`Flow::Vanish`]), or aren't read ([`Flow::Block`]); late ([`Course::delay`]) or slowly ([`Course::rate`]). A line that is idle for too
//! long can be ended ([`Rules::idle`]), and every line can be cut ([`Cut`]).

mod course;
mod line;
mod rules;
mod target;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::task::AbortOnDropHandle;

pub use self::{
    line::{Cut, Line, Traffic},
    rules::{Course, Flow, Rules, Way},
    target::Target,
};

/// See the module. Its lines are cut when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// How many lines were opened so far.
    opened: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    target: Target,
    rules: Rules,
    lines: Vec<Line>,
}

impl Proxy {
    /// Listens on a free port of the loopback address, in front of `target`.
    pub async fn start(target: Target) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the proxy")?;
        let address = listener.local_addr().context("the proxy has no address")?;
        let state = State {
            target,
            rules: Rules::default(),
            lines: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            opened: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            shared,
            _accepting: AbortOnDropHandle::new(accepting),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a gRPC client takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Dials another target for lines that are opened from now on.
    pub fn retarget(&self, target: Target) {
        self.shared.lock().target = target;
    }

    /// Changes the rules of all lines, those to come included.
    pub fn change(&self, change: impl Fn(&mut Rules)) {
        let mut state = self.shared.lock();
        change(&mut state.rules);
        state.lines.iter().for_each(|line| line.change(&change));
    }

    /// Changes the rules of lines to come only.
    pub fn change_new(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.shared.lock().rules);
    }

    /// Cuts every open line.
    pub fn cut(&self, how: Cut) {
        self.shared.lock().lines.iter().for_each(|line| line.cut(how));
    }

    /// The line that was opened as the `index`th, from 0; waits until it is.
    pub async fn line(&self, index: usize) -> Line {
        let mut opened = self.shared.opened.subscribe();
        // The sender lives as long as this proxy.
        let _ = opened.wait_for(|opened| *opened > index).await;
        self.shared.lock().lines[index].clone()
    }

    /// The lines that are open now.
    pub fn open(&self) -> Vec<Line> {
        self.shared.lock().lines.iter().filter(|line| line.is_open()).cloned().collect()
    }

    /// How many lines were opened so far.
    pub fn opened(&self) -> usize {
        *self.shared.opened.borrow()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut(Cut::Reset);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        open(client, &shared);
    }
}

fn open(client: TcpStream, shared: &Shared) {
    let mut state = shared.lock();
    if state.rules.refuse {
        // A client sees what a port that nobody listens on gives it, if a moment later.
        let _ = client.set_zero_linger();
        return;
    }
    let line = Line::open(client, state.target.clone(), state.rules.clone());
    state.lines.push(line);
    shared.opened.send_replace(state.lines.len());
}
