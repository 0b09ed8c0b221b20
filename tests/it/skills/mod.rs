//! Stages that go by skills.

mod claim;
mod policy;
mod record;
mod setup;
mod shipped;
