//! What the model does, as the first part of the path says.

use std::{str::FromStr, time::Duration};

/// What the model does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `work`: one shell call that writes a file for each open task and ticks it in the task list, then a final message.
    Work,
    /// `commit`: as `work`, and the call commits the result with git.
    Commit,
    /// `rework`: as `work`, and the call moves a file, removes one, and makes a binary one, a program, a link and a name with a space.
    Rework,
    /// `leak`: as `work`, and before it the call prints the agent's environment and its stored login.
    Leak,
    /// `slow-N`, or `slow` for 30: as `work`, after N seconds of sleep inside the call.
    Slow(Duration),
    /// `wait`: as `work`, but no answer before [`ScriptedModel::go_on`](super::ScriptedModel::go_on).
    Wait,
    /// `say`: a final message at once, without any change.
    Say,
    /// `hang`: the answer begins and never goes on.
    Hang,
    /// `mute`: the request is taken and never answered.
    Mute,
    /// `drop`: the connection is cut after the shell call, before the answer is complete.
    Drop,
    /// `quota`: the answer fails with `insufficient_quota`, which Codex does not retry.
    Quota,
    /// `rate-limited`: the answer fails with `rate_limit_exceeded`.
    RateLimited,
    /// `limited-N`: status 429 with the account's usage limit, which ends in N seconds.
    Limited(Duration),
    /// `refresh-reused`: status 401, as after another process has used the login's refresh token.
    RefreshReused,
    /// `flakyN`: status 500 for the first N requests to this path, then `work`.
    Flaky(usize),
    /// Three digits: this HTTP status.
    Status(u16),
}

/// The mode is not one of [`Mode`].
#[derive(Debug, thiserror::Error)]
#[error(
    "no mode {0:?}: use work, commit, rework, leak, slow, slow-N, wait, say, hang, mute, drop, quota, rate-limited, limited-N, refresh-reused, flakyN or an HTTP status"
)]
pub struct UnknownMode(String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
        let mode = match text {
            "work" => Some(Self::Work),
            "commit" => Some(Self::Commit),
            "rework" => Some(Self::Rework),
            "leak" => Some(Self::Leak),
            "slow" => Some(Self::Slow(Duration::from_secs(30))),
            "wait" => Some(Self::Wait),
            "say" => Some(Self::Say),
            "hang" => Some(Self::Hang),
            "mute" => Some(Self::Mute),
            "drop" => Some(Self::Drop),
            "quota" => Some(Self::Quota),
            "rate-limited" => Some(Self::RateLimited),
            "refresh-reused" => Some(Self::RefreshReused),
            _ => match (
                text.strip_prefix("slow-"),
                text.strip_prefix("limited-"),
                text.strip_prefix("flaky"),
            ) {
                (Some(count), ..) => seconds(count).map(Self::Slow),
                (_, Some(count), _) => seconds(count).map(Self::Limited),
                (.., Some(count)) => count.parse().ok().map(Self::Flaky),
                _ => text.parse().ok().filter(|status| (400..600).contains(status)).map(Self::Status),
            },
        };
        mode.ok_or_else(|| UnknownMode(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_the_mode() {
        let parse = |text: &str| text.parse::<Mode>().ok();
        assert_eq!(parse("work"), Some(Mode::Work));
        assert_eq!(parse("slow-7"), Some(Mode::Slow(Duration::from_secs(7))));
        assert_eq!(parse("limited-90"), Some(Mode::Limited(Duration::from_secs(90))));
        assert_eq!(parse("flaky2"), Some(Mode::Flaky(2)));
        assert_eq!(parse("429"), Some(Mode::Status(429)));
        assert_eq!(parse("200"), None, "a success has a mode of its own");
        assert_eq!(parse("wrok"), None);
    }
}
