//! A scripted worker's life: dial, hold the stream, dial again by the worker's rule.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    Line, Script, Tally,
    desk::Desk,
    session::{self, Ended},
};

/// First pause, doubled at each attempt that fails, drawn from 0 to that (full jitter).
const BASE: Duration = Duration::from_millis(100);
/// Longest pause.
const CAP: Duration = Duration::from_secs(5);

/// Lives until its task is dropped.
pub async fn live(script: Script, line: Line, opened: watch::Receiver<bool>, tally: Arc<Tally>) {
    let mut desk = Desk::of(script.inventory.clone());
    let mut attempt = 0;
    loop {
        let Ended { welcomed, reason, hint } = session::hold(&script, &line, &mut desk, opened.clone(), &tally).await;
        tally.lose(reason);
        attempt = if welcomed { 0 } else { attempt + 1 };
        tokio::time::sleep(hint.unwrap_or_else(|| pause(attempt))).await;
    }
}

fn pause(attempt: u32) -> Duration {
    let longest = BASE.saturating_mul(2_u32.saturating_pow(attempt)).min(CAP);
    longest.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_drawn_from_the_whole_of_it() {
        let longest = |attempt| (0..1000).map(|_| pause(attempt)).max().unwrap_or_default();
        assert!(longest(0) <= BASE && longest(0) > BASE / 2);
        assert!(longest(3) <= BASE * 8 && longest(3) > BASE * 4);
        assert!(longest(40) <= CAP && longest(40) > CAP / 2);
        assert!((0..1000).map(|_| pause(3)).min().unwrap_or_default() < BASE);
    }
}
