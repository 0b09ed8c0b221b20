//! A fleet on Docker Swarm, from the stack file that `cargo xtask stack` makes: on a swarm of one node, with servers and workers replaced while runs flow.
//!
//! Contract: 007/FR-001. The client of Debian's engine has no `docker stack config`, so that what takes the file is a deployment.

mod node;
mod rolling;
mod stack;
