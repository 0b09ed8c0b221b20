//! Stand-ins that integration tests and the demo run against, and a database for each test.
//!
//! | module | stands for |
//! | --- | --- |
//! | [`model`] | the model that an agent CLI talks to: the OpenAI Responses API, with scripted answers |

pub mod model;
