//! Where a key goes, and why.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    console::View,
    names, table,
    view::{set, shown},
};

/// A route, worked out by the server or on the spot.
#[derive(Debug, Serialize)]
pub struct Route {
    /// The key that was hashed.
    pub affinity_key: String,
    /// The queue.
    pub queue: String,
    /// Number of the shard, where the queue has one.
    pub shard_index: Option<u32>,
    /// The modulo; unset for an explicit queue.
    pub hash_modulo: Option<u32>,
    /// First eight bytes of the key's SHA-256 as 16 hex digits.
    pub hash_prefix: Option<String>,
    /// `hash`, `explicit_queue` or `agent`.
    pub reason: Option<String>,
    /// The queue's volume and whether its shard takes work, which only a server knows.
    #[serde(flatten)]
    pub served: Option<Served>,
}

/// What only a server knows of a route.
#[derive(Debug, Serialize)]
pub struct Served {
    /// The queue's volume.
    pub volume: Option<String>,
    /// Whether the shard takes work now.
    pub shard_status: Option<String>,
}

impl From<v1::ResolveRouteResponse> for Route {
    fn from(route: v1::ResolveRouteResponse) -> Self {
        Self {
            affinity_key: route.affinity_key,
            queue: route.queue,
            shard_index: route.shard_index.and_then(|index| u32::try_from(index).ok()),
            hash_modulo: route.hash_modulo.and_then(|modulo| u32::try_from(modulo).ok()),
            hash_prefix: set(route.hash_prefix),
            reason: names::of::<v1::RouteReason>(route.reason),
            served: Some(Served {
                volume: set(route.volume),
                shard_status: names::of::<v1::ShardStatus>(route.shard_status),
            }),
        }
    }
}

impl View for Route {
    fn table(&self, color: bool) -> String {
        let served = |of: fn(&Served) -> &Option<String>| shown(self.served.as_ref().and_then(|served| of(served).as_ref()));
        table::card(
            [
                ("affinity key", self.affinity_key.clone()),
                ("queue", self.queue.clone()),
                ("shard index", shown(self.shard_index)),
                ("hash modulo", shown(self.hash_modulo)),
                ("hash prefix", shown(self.hash_prefix.as_ref())),
                ("reason", shown(self.reason.as_ref())),
                ("volume", served(|served| &served.volume)),
                ("shard status", served(|served| &served.shard_status)),
            ],
            color,
        )
    }
}
