//! Stages that go by skills.

mod claim;
mod record;
mod setup;
