//! What a process uses, from `/proc`.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Resident memory in bytes.
pub fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS in /proc")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

/// CPU time since its start, of all its threads.
pub fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name in /proc")?.1.split_whitespace().collect();
    let ticks = |index: usize| -> Result<u64> { Ok(fields.get(index).context("too few fields in /proc")?.parse()?) };
    Ok(Duration::from_secs_f64(ticks_to_seconds(ticks(11)? + ticks(12)?)))
}

/// Linux counts in hundredths of a second here, whatever its own clock does.
#[allow(clippy::cast_precision_loss, reason = "a process that ran for a million years")]
fn ticks_to_seconds(ticks: u64) -> f64 {
    ticks as f64 / 100.0
}

/// How much of one core a process uses between two looks.
#[derive(Debug)]
pub struct Share {
    pid: u32,
    at: Instant,
    used: Duration,
}

impl Share {
    /// The first look.
    pub fn begin(pid: u32) -> Result<Self> {
        Ok(Self {
            pid,
            at: Instant::now(),
            used: cpu(pid)?,
        })
    }

    /// In percent of one core since the last look.
    pub fn next(&mut self) -> Result<f64> {
        let (now, used) = (Instant::now(), cpu(self.pid)?);
        let percent = (used.saturating_sub(self.used)).as_secs_f64() / (now - self.at).as_secs_f64() * 100.0;
        (self.at, self.used) = (now, used);
        Ok(percent)
    }
}

/// Lets this process, and those that it starts, have so many files and connections open.
pub fn allow_files(count: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let maximum = now.maximum.map(|maximum| maximum.max(count));
    let wanted = Rlimit {
        current: Some(count),
        maximum,
    };
    setrlimit(Resource::Nofile, wanted)
        .with_context(|| format!("{count} open files are needed: raise the limit (`ulimit -Hn {count}`), or measure a smaller scale"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let pid = std::process::id();
        assert!(resident(pid).unwrap() > 100 * 1024);
        let mut share = Share::begin(pid).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(200) {}
        assert!(share.next().unwrap() > 10.0);
    }
}
