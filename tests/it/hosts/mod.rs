//! Several hosts: a server and its workers in network namespaces of their own, joined by a switch, with lines that can be unplugged and half-open.
//!
//! Everything is real: the programs that users run, the kernel's TCP, the Codex CLI. What is scaled down are the times. A host has a network and a name of
//! its own; its volumes are folders of its own, unless a test shares them. Only root can make namespaces: others are told, and skip.

mod cheap;
mod git_gate;
mod network;
mod shard;
mod site;
pub mod sweep;
