//! Reaching the sessions of this server from outside: commands, probes of other servers, and sending everyone elsewhere.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Control, REPLACE_DEADLINE, Registry, is_alive};
use crate::domain::command::Order;

impl Registry {
    /// How many streams this server holds.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// How many streams this server held when it was asked this for the first time: all of them are told to go, one after the other.
    pub(in crate::session) fn count_at_farewell(&self) -> usize {
        *self.at_farewell.get_or_init(|| self.count())
    }

    /// Hands a command to the session of an instance. Whether it is there and takes it.
    pub fn command(&self, instance_id: Uuid, id: Uuid, order: Order) -> bool {
        self.find(instance_id)
            .is_some_and(|(control, _)| control.try_send(Control::Command(id, order)).is_ok())
    }

    /// Whether the worker behind an instance's stream gives a sign of life. If it doesn't, its stream is ended; `None` when it has none.
    pub async fn probe(&self, instance_id: Uuid) -> Option<bool> {
        let (control, gone) = self.find(instance_id)?;
        if is_alive(&control).await {
            return Some(true);
        }
        drop(control.try_send(Control::Replace));
        // A session that doesn't go is reported as alive: better a name that is taken for a while than one with two streams.
        Some(tokio::time::timeout(REPLACE_DEADLINE, gone.cancelled()).await.is_err())
    }

    /// Ends the stream of an instance, whose worker has a newer one elsewhere.
    pub fn replace(&self, instance_id: Uuid) {
        if let Some((control, _)) = self.find(instance_id) {
            drop(control.try_send(Control::Replace));
        }
    }

    /// Sends every worker to another server. A session that is too busy to hear it hears it the next time.
    pub fn redirect_all(&self, reason: &'static str) {
        let entries = self.lock();
        for entry in entries.values() {
            drop(entry.control.try_send(Control::Redirect(reason, entries.len())));
        }
    }

    fn find(&self, instance_id: Uuid) -> Option<(mpsc::Sender<Control>, CancellationToken)> {
        let entries = self.lock();
        let entry = entries.values().find(|entry| entry.instance_id == instance_id)?;
        Some((entry.control.clone(), entry.gone.clone()))
    }
}
