//! How long the code is still good: a moving line on a terminal, else a line a minute.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use moorline_proto::v1;
use tokio::time::Instant;

use crate::{console::Console, error::Error};

/// See the module. Its line goes when it is dropped.
pub struct Countdown {
    /// By this machine's steady clock, from how long the server says that the code is good.
    ends: Option<Instant>,
    next: Instant,
    /// The moving line; `None` when nobody would see it move.
    bar: Option<ProgressBar>,
}

impl Countdown {
    /// Begins when the code is shown.
    pub fn new(step: &v1::LoginVolumeResponse, console: &Console<'_>) -> Self {
        let now = Instant::now();
        let left = step.expires_in.and_then(|left| Duration::try_from(left).ok());
        Self {
            ends: left.and_then(|left| now.checked_add(left)),
            next: now,
            bar: console.animated().then(bar),
        }
    }

    /// When to tick again.
    pub fn next_tick(&self) -> Instant {
        self.next
    }

    /// Tells how much time is left.
    pub fn tick(&mut self, now: Instant, console: &mut Console<'_>) -> Result<(), Error> {
        let text = self.text(now);
        match &self.bar {
            Some(bar) => {
                self.next = now + Duration::from_secs(1);
                bar.set_message(text);
                Ok(())
            }
            None => {
                self.next = now + Duration::from_secs(60);
                console.note(text)
            }
        }
    }

    fn text(&self, now: Instant) -> String {
        match self.ends.map(|ends| ends.saturating_duration_since(now)) {
            None => "Waiting for the code to be entered; Ctrl-C stops the login.".to_owned(),
            Some(Duration::ZERO) => "The code has expired.".to_owned(),
            Some(left) => {
                // To the nearest second, or it would begin one short.
                let left = Duration::from_secs((left + Duration::from_millis(500)).as_secs());
                let left = humantime::format_duration(left);
                format!("Waiting for the code to be entered; it is good for {left}. Ctrl-C stops the login.")
            }
        }
    }
}

impl Drop for Countdown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Format;

    #[test]
    fn without_a_terminal_it_says_each_minute_how_much_time_is_left() {
        let step = v1::LoginVolumeResponse {
            expires_in: Some(prost_types::Duration { seconds: 90, nanos: 0 }),
            ..Default::default()
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut console = Console::new(&mut out, &mut err, Format::Table);
        let mut countdown = Countdown::new(&step, &console);
        for _ in 0..3 {
            countdown.tick(countdown.next_tick(), &mut console).expect("written");
        }
        insta::assert_snapshot!(String::from_utf8_lossy(&err), @"
        Waiting for the code to be entered; it is good for 1m 30s. Ctrl-C stops the login.
        Waiting for the code to be entered; it is good for 30s. Ctrl-C stops the login.
        The code has expired.
        ");
    }
}
