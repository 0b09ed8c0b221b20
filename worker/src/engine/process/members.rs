//! The processes of a container, found by the mark in their environment and by their session.

use std::{fs, os::unix::ffi::OsStrExt, path::Path};

use rustix::process::{Pid, Signal, kill_process};

use super::MARK;

/// One line of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) session: i32,
    /// Whether only its exit status is left of it.
    pub(super) dead: bool,
    /// Start time in clock ticks since boot: with the pid it names one process for good.
    pub(super) start: u64,
}

impl Stat {
    /// Reads the kernel's line. The program's name in it may contain spaces and parentheses.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(" (")?;
        let rest: Vec<&str> = rest.rsplit_once(") ")?.1.split_whitespace().collect();
        Some(Self {
            pid: pid.parse().ok()?,
            dead: matches!(*rest.first()?, "Z" | "X"),
            parent: rest.get(1)?.parse().ok()?,
            session: rest.get(3)?.parse().ok()?,
            start: rest.get(19)?.parse().ok()?,
        })
    }

    /// The process with this pid as it is now.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Whether this very process still runs.
    pub(super) fn alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|now| now.start == self.start && !now.dead)
    }

    /// Whether another process is of the session that this one leads, or led while it lived. The kernel gives the number of a session
    /// that has members to nobody else; once another process has it, none of the old members is left.
    fn leads(&self, other: &Self) -> bool {
        let taken = || Self::of(self.pid).is_some_and(|now| now.start != self.start);
        self.session == self.pid && other.session == self.session && other.start >= self.start && !taken()
    }
}

/// Every process of the machine.
pub(super) fn all() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Stat::of(entry.file_name().to_str()?.parse().ok()?))
}

/// Sends a signal to one process; one that has ended is no error.
pub(super) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Kills whatever bears the container's mark.
pub(super) fn kill_all(folder: &Path) {
    kill(|stat| marked(stat.pid, folder));
}

/// Kills a container's processes: those that bear its mark, and those of its supervisor's session, which a process that has cleared its
/// environment is still in. A supervisor that lives is spared: it has their end to write down.
pub(super) fn kill_session(folder: &Path, supervisor: Option<Stat>) {
    kill(|stat| {
        let of_session = supervisor.is_some_and(|leader| leader.leads(stat));
        let spared = supervisor.is_some_and(|leader| leader.pid == stat.pid && leader.start == stat.start);
        !spared && (of_session || marked(stat.pid, folder))
    });
}

fn kill(ours: impl Fn(&Stat) -> bool) {
    // Again, for what was born while the first round went on; a few rounds outrun anything but a fork bomb.
    for _ in 0..5 {
        let found: Vec<Stat> = all().filter(|stat| !stat.dead && ours(stat)).collect();
        if found.is_empty() {
            break;
        }
        found.iter().for_each(|stat| signal(stat.pid, Signal::KILL));
    }
}

fn marked(pid: i32, folder: &Path) -> bool {
    let mark = [MARK.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat();
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == mark)
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let line = "77 (a) b (c) S 1 77 76 0 -1 4194560 9 0 0 0 1 2 0 0 20 0 1 0 123456 7000 90";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(
            (stat.pid, stat.parent, stat.session, stat.dead, stat.start),
            (77, 1, 76, false, 123456)
        );
    }

    #[test]
    fn a_session_whose_number_another_process_has_now_is_not_the_same() {
        let now = Stat::of(std::process::id().try_into().unwrap()).unwrap();
        let leader = Stat { session: now.pid, ..now };
        let member = Stat {
            pid: 1,
            session: now.pid,
            ..now
        };
        assert!(leader.leads(&member));
        assert!(!leader.leads(&Stat { session: 1, ..member }));
        assert!(!leader.leads(&Stat {
            start: now.start - 1,
            ..member
        }));
        let before = Stat {
            start: now.start - 1,
            ..leader
        };
        assert!(!before.leads(&member));
    }

    #[test]
    fn this_process_is_alive_and_another_with_its_number_is_not() {
        let me = Stat::of(std::process::id().try_into().unwrap()).unwrap();
        assert!(me.alive());
        assert!(!Stat { start: me.start + 1, ..me }.alive());
    }
}
