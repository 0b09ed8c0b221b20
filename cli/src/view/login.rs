//! The steps of a login.

use moorline_proto::v1;
use serde::Serialize;

use crate::{
    names, time,
    view::{Preflight, Volume, set},
};

/// A step of a login.
#[derive(Debug, Serialize)]
#[allow(
    missing_docs,
    reason = "the fields are those of the message `LoginVolumeResponse`, described there"
)]
pub struct LoginStep {
    pub state: Option<String>,
    pub verification_url: Option<String>,
    pub user_code: Option<String>,
    pub expires_at: Option<String>,
    pub expires_in_seconds: Option<f64>,
    pub preflight: Option<Preflight>,
    pub volume: Option<Volume>,
}

impl From<v1::LoginVolumeResponse> for LoginStep {
    fn from(step: v1::LoginVolumeResponse) -> Self {
        Self {
            state: names::of::<v1::LoginState>(step.state),
            verification_url: set(step.verification_url),
            user_code: set(step.user_code),
            expires_at: time::rfc3339(step.expires_at.as_ref()),
            expires_in_seconds: step.expires_in.as_ref().map(time::seconds),
            preflight: step.preflight.map(Preflight::from),
            volume: step.volume.map(Volume::from),
        }
    }
}
