//! Stages that go by skills.

mod claim;
mod policy;
mod setup;
mod shipped;
