//! Stand-ins that integration tests and the demo run against, a database for each test, and a line that can break.
//!
//! | module | stands for |
//! | --- | --- |
//! | [`model`] | the model that an agent CLI talks to: the OpenAI Responses API, with scripted answers |
//! | [`issuer`] | the issuer of ChatGPT logins: device login, and single-use refresh tokens |
//! | [`forge`] | GitHub: git over smart HTTP, and the REST API for pull requests |
//! | [`repo`] | a project with a Spec Kit feature: a bare origin and helpers |
//! | [`db`] | nothing: a real Postgres database for each test |
//! | [`soak`], [`check`] | nothing: everything is broken at random, and held to what was promised |
//! | [`logins`] | nothing: one login, many who want it at once, with a lease and without |
//! | [`skills`] | the skills that a worker finds where its jobs run |
//! | [`proxy`] | the network between two parts, and all that can go wrong with it |

pub mod check;
pub mod db;
pub mod forge;
mod git;
pub mod issuer;
pub mod logins;
pub mod model;
pub mod proxy;
pub mod repo;
pub mod skills;
pub mod soak;
