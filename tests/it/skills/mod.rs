//! Stages that go by skills.

mod both_ways;
mod claim;
mod policy;
mod record;
mod root;
mod runs;
mod setup;
mod shipped;
mod view;
