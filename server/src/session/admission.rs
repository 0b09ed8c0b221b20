//! How many Hellos are worked on at once.
//!
//! Each Hello costs the database some statements. When a fleet redials, a few are worked on at once, a bounded number waits, and the rest
//! is refused with a time of its own at which there will be room, so that nobody's refusal brings a crowd back.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use crate::domain::Error;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Hellos worked on at once. Each takes a connection of the pool.
    pub at_once: usize,
    /// Hellos that may wait for that; further ones are refused.
    pub waiting: usize,
}

impl Default for Limits {
    /// With some ten milliseconds a Hello, those that wait are all let in within a few seconds.
    fn default() -> Self {
        Self { at_once: 6, waiting: 1000 }
    }
}

/// A refused worker is never told to come back sooner or later than this.
const SOONEST: Duration = Duration::from_millis(200);
const LATEST: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Debug)]
pub struct Admission {
    limits: Limits,
    room: Semaphore,
    waiting: AtomicUsize,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    /// How long one Hello takes, averaged over the last ones.
    each: Duration,
    /// The last moment that was given to a refused worker.
    given: Instant,
}

/// The right to be worked on; ends when dropped.
#[derive(Debug)]
pub struct Admitted<'a> {
    admission: &'a Admission,
    began: Instant,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Admission {
    /// A gate with this much room.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            room: Semaphore::new(limits.at_once.max(1)),
            waiting: AtomicUsize::new(0),
            pace: Mutex::new(Pace {
                each: Duration::from_millis(10),
                given: Instant::now(),
            }),
        }
    }

    /// Waits for room.
    ///
    /// # Errors
    ///
    /// `TOO_MANY_HELLOS` when too many wait already, with the time at which to come back.
    pub async fn admit(&self) -> Result<Admitted<'_>, Error> {
        if let Ok(permit) = self.room.try_acquire() {
            return Ok(self.admitted(Some(permit)));
        }
        let place = Place::take(self)?;
        // The semaphore is never closed.
        let permit = self.room.acquire().await.ok();
        drop(place);
        Ok(self.admitted(permit))
    }

    fn admitted<'a>(&'a self, permit: Option<SemaphorePermit<'a>>) -> Admitted<'a> {
        Admitted {
            admission: self,
            began: Instant::now(),
            _permit: permit,
        }
    }

    /// The refusal of one Hello. Each takes the next free moment after those who wait and those who were refused before.
    fn refusal(&self) -> Error {
        let mut pace = self.pace();
        let step = pace.each / u32::try_from(self.limits.at_once.max(1)).unwrap_or(1);
        let now = Instant::now();
        let queue = step * u32::try_from(self.limits.waiting).unwrap_or(u32::MAX);
        let next = pace.given.max(now + queue.max(SOONEST)) + step;
        let delay = if next - now < LATEST {
            pace.given = next;
            next - now
        } else {
            LATEST.mul_f64(0.5 + fastrand::f64() / 2.0)
        };
        let message = "more workers are dialling than this server lets in at once: dial again after the delay in the status's RetryInfo";
        Error::exhausted("TOO_MANY_HELLOS", message).retry_after(delay)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        let mut pace = self.admission.pace();
        pace.each = (pace.each * 7 + self.began.elapsed()) / 8;
    }
}

/// A place among those who wait.
struct Place<'a>(&'a Admission);

impl<'a> Place<'a> {
    fn take(admission: &'a Admission) -> Result<Self, Error> {
        if admission.waiting.fetch_add(1, Ordering::Relaxed) >= admission.limits.waiting {
            admission.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(admission.refusal());
        }
        Ok(Self(admission))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn some_are_let_in_some_wait_and_the_rest_is_refused_each_with_a_moment_of_its_own() {
        let admission = Admission::new(Limits { at_once: 2, waiting: 1 });
        let first = admission.admit().await.unwrap();
        let _second = admission.admit().await.unwrap();
        let mut waits = Box::pin(admission.admit());
        assert!(waits.as_mut().now_or_never().is_none());
        let mut delays = Vec::new();
        for _ in 0..3 {
            let refusal = admission.admit().await.unwrap_err();
            assert_eq!(refusal.reason, "TOO_MANY_HELLOS");
            delays.push(refusal.retry_after.unwrap());
        }
        assert!(delays.is_sorted() && delays[0] < delays[2] && delays[0] >= SOONEST, "{delays:?}");
        drop(first);
        assert!(waits.now_or_never().is_some());
        // A waiter that left has given its place up.
        let left = admission.admit();
        drop(left);
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }
}
