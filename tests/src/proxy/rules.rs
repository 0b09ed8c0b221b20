//! What happens to the bytes of a line.

use std::time::Duration;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who dialled to the target.
    Up,
    /// From the target back.
    Down,
}

/// The rules of a line.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// From who dialled to the target.
    pub up: Course,
    /// From the target back.
    pub down: Course,
    /// A line on which nothing was said either way for this long is ended, as proxies do.
    pub idle: Option<Duration>,
    /// New lines are reset at once.
    pub refuse: bool,
}

/// The rules of one direction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Course {
    /// Whether bytes get through.
    pub flow: Flow,
    /// How much later than they came bytes go on.
    pub delay: Duration,
    /// Bytes a second at most.
    pub rate: Option<u32>,
}

/// Whether bytes get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flow {
    /// They do.
    #[default]
    Pass,
    /// They are taken and kept, and go on once they may.
    Hold,
    /// They are taken and thrown away, the end of the stream included: packets are dropped, and nobody is told. A direction that has lost
    /// something lets nothing through any more, whatever its rules are later: no line delivers what comes after a gap.
    Vanish,
    /// They aren't taken: the sender's buffers fill up.
    Block,
}

impl Rules {
    /// The rules of a direction.
    pub fn course(&self, way: Way) -> &Course {
        match way {
            Way::Up => &self.up,
            Way::Down => &self.down,
        }
    }

    /// The same flow in both directions.
    pub fn flow(&mut self, flow: Flow) {
        self.up.flow = flow;
        self.down.flow = flow;
    }
}
