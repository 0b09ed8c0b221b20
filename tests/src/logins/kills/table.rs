//! What all kills came to.

use std::fmt;

use super::{Case, Kill};

/// See the module.
#[derive(Debug, Default)]
pub struct Table(pub Vec<Kill>);

impl Table {
    /// What isn't as it must be.
    pub fn wrong(&self) -> Vec<String> {
        self.0.iter().filter_map(Kill::wrong).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>26} {:>6} {:>6} {:>6} {:>11} {:>12} {:>13}",
            "killed", "kills", "works", "lost", "lost, said", "lost, ready", "works, refused"
        )?;
        for case in Case::ALL {
            let count = |is: &dyn Fn(&Kill) -> bool| self.0.iter().filter(|kill| kill.case == case && is(kill)).count();
            writeln!(
                f,
                "{case:>26} {:>6} {:>6} {:>6} {:>11} {:>12} {:>13}",
                count(&|_| true),
                count(&|kill| kill.works),
                count(&|kill| !kill.works),
                count(&|kill| !kill.works && !kill.passed),
                count(&|kill| !kill.works && kill.passed),
                count(&|kill| kill.works && !kill.passed),
            )?;
        }
        Ok(())
    }
}
