//! Who may use the volume now: agents take a share of it, everything else has it alone.
//!
//! The lock in the volume keeps other processes out. This gate keeps the worker's own uses from each other, so that they wait in good order
//! and can say for whom.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::stage::Owner;

/// The gate of one volume.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    capacity: u32,
    agents: Vec<(u64, Owner)>,
    /// What has it alone.
    alone: Option<&'static str>,
    next: u64,
}

/// Why a volume can't be had alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InUse {
    /// An agent works with it.
    #[error("the job {job_id} is at work with it: wait for its end, or cancel its run")]
    Agent {
        /// The job.
        job_id: String,
    },
    /// Something else has it, and has had it for longer than was waited.
    #[error("{what} is still going on: try again when it has ended")]
    Other {
        /// What it is, such as `a login`.
        what: &'static str,
    },
}

/// An agent's share, until it is dropped.
#[derive(Debug, Clone)]
pub struct Share {
    _place: Arc<Place>,
}

#[derive(Debug)]
struct Place {
    gate: Arc<Gate>,
    id: u64,
}

/// The volume alone, until this is dropped.
#[derive(Debug)]
pub struct Alone {
    gate: Arc<Gate>,
}

impl Gate {
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            capacity: 1,
            agents: Vec::new(),
            alone: None,
            next: 0,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Agents at once. Those at work stay, whatever it is.
    pub(super) fn set_capacity(&self, capacity: u32) {
        self.state().capacity = capacity;
        self.changed.notify_waiters();
    }

    /// Jobs whose agents have a share.
    pub(super) fn agents(&self) -> Vec<Owner> {
        self.state().agents.iter().map(|(_, owner)| owner.clone()).collect()
    }

    /// What there is to wait for before an agent may have a share, if anything.
    pub(super) fn busy(&self) -> Option<String> {
        let state = self.state();
        match state.alone {
            Some(what) => Some(what.to_owned()),
            None if state.is_full() => state.agents.first().map(|(_, owner)| format!("the job {}", owner.job_id)),
            None => None,
        }
    }

    /// A share, as soon as there is one.
    pub(super) async fn share(self: &Arc<Self>, owner: &Owner) -> Share {
        self.wait(|state| state.has_share().then(|| self.admit(state, owner))).await
    }

    /// A share for an agent that has the volume in use already.
    pub(super) fn share_of_adopted(self: &Arc<Self>, owner: &Owner) -> Share {
        self.admit(&mut self.state(), owner)
    }

    fn admit(self: &Arc<Self>, state: &mut State, owner: &Owner) -> Share {
        let id = state.next;
        state.next += 1;
        state.agents.push((id, owner.clone()));
        Share {
            _place: Arc::new(Place { gate: self.clone(), id }),
        }
    }

    /// The volume alone, for `what`: at once where agents have it, and else within `patience`.
    pub(super) async fn alone(self: &Arc<Self>, what: &'static str, patience: Duration) -> Result<Alone, InUse> {
        let waiting = self.wait(|state| match state.agents.first() {
            Some((_, owner)) => Some(Err(InUse::Agent {
                job_id: owner.job_id.clone(),
            })),
            None => self.admit_alone(state, what).map(Ok),
        });
        timeout(patience, waiting).await.unwrap_or_else(|_| {
            Err(InUse::Other {
                what: self.state().alone.unwrap_or("another use"),
            })
        })
    }

    /// The same, however long others need.
    pub(super) async fn alone_at_last(self: &Arc<Self>, what: &'static str) -> Alone {
        self.wait(|state| self.admit_alone(state, what)).await
    }

    /// The same at once or not at all.
    pub(super) fn alone_now(self: &Arc<Self>, what: &'static str) -> Option<Alone> {
        self.admit_alone(&mut self.state(), what)
    }

    fn admit_alone(self: &Arc<Self>, state: &mut State, what: &'static str) -> Option<Alone> {
        if state.alone.is_some() || !state.agents.is_empty() {
            return None;
        }
        state.alone = Some(what);
        Some(Alone { gate: self.clone() })
    }

    /// Looks now, and after each change, until there is an answer.
    async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listens before it looks, so that no change is missed.
            changed.as_mut().enable();
            if let Some(answer) = look(&mut self.state()) {
                return answer;
            }
            changed.await;
        }
    }
}

impl State {
    fn has_share(&self) -> bool {
        self.alone.is_none() && !self.is_full()
    }

    fn is_full(&self) -> bool {
        u32::try_from(self.agents.len()).unwrap_or(u32::MAX) >= self.capacity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.state().agents.retain(|(id, _)| *id != self.id);
        self.gate.changed.notify_waiters();
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.gate.state().alone = None;
        self.gate.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn owner(job_id: &str) -> Owner {
        Owner {
            job_id: job_id.to_owned(),
            lease_token: 7,
        }
    }

    #[tokio::test]
    async fn whoever_wants_it_alone_is_told_at_once_which_job_has_it() {
        let gate = Gate::new();
        let share = gate.share(&owner("job-1")).await;
        let refused = gate.alone("a check", LONG).now_or_never().expect("an answer at once").unwrap_err();
        assert_eq!(
            refused,
            InUse::Agent {
                job_id: "job-1".to_owned()
            }
        );
        let copy = share.clone();
        drop(share);
        assert_eq!(gate.agents().len(), 1, "held until the last copy is gone");
        drop(copy);
        assert!(gate.alone("a check", LONG).now_or_never().expect("an answer at once").is_ok());
    }

    #[tokio::test]
    async fn two_that_want_it_alone_wait_for_each_other_but_not_for_ever() {
        let gate = Gate::new();
        let first = gate.alone("a login", LONG).await.unwrap();
        let late = gate.alone("a check", Duration::from_millis(10)).await.unwrap_err();
        assert_eq!(late, InUse::Other { what: "a login" });
        let second = tokio::spawn({
            let gate = gate.clone();
            async move { gate.alone("a check", LONG).await.map(drop) }
        });
        drop(first);
        assert_eq!(second.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn agents_wait_for_what_has_it_alone_and_for_a_share() {
        let gate = Gate::new();
        let alone = gate.alone("a check", LONG).await.unwrap();
        let (one, two) = (owner("job-1"), owner("job-2"));
        let mut first = Box::pin(gate.share(&one));
        assert!(first.as_mut().now_or_never().is_none());
        assert_eq!(gate.busy().as_deref(), Some("a check"));
        drop(alone);
        let first = first.await;
        let mut second = Box::pin(gate.share(&two));
        assert!(second.as_mut().now_or_never().is_none(), "a login serves one");
        assert_eq!(gate.busy().as_deref(), Some("the job job-1"));
        gate.set_capacity(2);
        let second = second.await;
        assert_eq!(gate.agents(), [owner("job-1"), owner("job-2")]);
        let mut at_last = Box::pin(gate.alone_at_last("a check"));
        assert!(at_last.as_mut().now_or_never().is_none());
        drop((first, second));
        drop(at_last.await);
    }
}
