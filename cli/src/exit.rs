//! Exit codes: the one list that scripts can rely on.

use std::process::ExitCode;

use moorline_proto::v1::RunStatus;
use tonic::Code;

/// How a command ended. A code never changes its meaning; new ones may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what it should. A watched run that ends `succeeded` or `no_work` is one of these.
    Ok = 0,
    /// The watched run ended `failed`.
    RunFailed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The run, shard, volume or artifact does not exist.
    NotFound = 3,
    /// The server refused: an invalid value, a state that forbids it, something that exists already, no permission.
    Refused = 4,
    /// The server can't be reached, or did not answer in time.
    Unreachable = 5,
    /// The watched run ended `cancelled`.
    RunCancelled = 6,
    /// Anything else: a fault of the server, a file that can't be written, a part of `moorline dev` that broke.
    Fault = 7,
    /// The login that was checked is bad; the output says why and what mends it.
    LoginBad = 8,
    /// Ctrl-C, where a command has something to stop first; shells say the same of any command that it ends.
    Stopped = 130,
}

/// The list as `moorline --help` shows it; a test compares it with [`Exit`].
pub const HELP: &str = "Exit codes:
  0  done; a watched run ended succeeded or no_work
  1  the watched run failed
  2  wrong usage
  3  not found
  4  refused: invalid value, wrong state, exists already, no permission
  5  server not reachable, or no answer in time
  6  the watched run was cancelled
  7  any other fault: of the server, of a file, of a part of `moorline dev`
  8  the login that was checked is bad
  130  stopped by Ctrl-C";

impl Exit {
    /// The exit code of a watched run that ended with `status`.
    pub fn of_run(status: RunStatus) -> Self {
        match status {
            RunStatus::Succeeded | RunStatus::NoWork => Self::Ok,
            RunStatus::Failed => Self::RunFailed,
            RunStatus::Cancelled => Self::RunCancelled,
            RunStatus::Unspecified | RunStatus::Pending | RunStatus::Running | RunStatus::Retrying => Self::Fault,
        }
    }

    /// The exit code for a gRPC status.
    pub fn of_code(code: Code) -> Self {
        match code {
            Code::Ok => Self::Ok,
            Code::NotFound => Self::NotFound,
            Code::InvalidArgument
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::Aborted => Self::Refused,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Self::Unreachable,
            Code::Unknown | Code::Unimplemented | Code::Internal | Code::DataLoss => Self::Fault,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Exit; 10] = [
        Exit::Ok,
        Exit::RunFailed,
        Exit::Usage,
        Exit::NotFound,
        Exit::Refused,
        Exit::Unreachable,
        Exit::RunCancelled,
        Exit::Fault,
        Exit::LoginBad,
        Exit::Stopped,
    ];

    #[test]
    fn help_lists_every_exit_code_once_and_no_other() {
        let listed: Vec<u8> = HELP
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
        assert_eq!(listed, ALL.map(|exit| exit as u8));
    }

    #[test]
    fn every_grpc_code_has_its_exit_code() {
        let table: Vec<String> = (0..=16)
            .map(Code::from_i32)
            .map(|code| format!("{code:?} {}", Exit::of_code(code) as u8))
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        Ok 0
        Cancelled 5
        Unknown 7
        InvalidArgument 4
        DeadlineExceeded 5
        NotFound 3
        AlreadyExists 4
        PermissionDenied 4
        ResourceExhausted 4
        FailedPrecondition 4
        Aborted 4
        OutOfRange 4
        Unimplemented 7
        Internal 7
        Unavailable 5
        DataLoss 7
        Unauthenticated 4
        ");
    }

    #[test]
    fn every_end_of_a_watched_run_has_its_exit_code() {
        let ends = [RunStatus::Succeeded, RunStatus::NoWork, RunStatus::Failed, RunStatus::Cancelled];
        assert_eq!(ends.map(|status| Exit::of_run(status) as u8), [0, 0, 1, 6]);
    }
}
