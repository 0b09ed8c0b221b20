//! What can go wrong with the spool, and what to do about it.

use std::{io, path::PathBuf};

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error(
        "the spool {} is in use by another process of this worker: wait until that ends, or set MOORLINE_WORKER_NAME to another name",
        .folder.display()
    )]
    Busy {
        /// The spool's folder.
        folder: PathBuf,
    },
    /// The folder can't be used.
    #[error("the spool {} can't be used: let the worker's user write there, or set MOORLINE_WORK_ROOT to a folder where it can", .folder.display())]
    Unusable {
        /// The spool's folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error("{} can't be written: free some space on that disk, and let the worker's user write there", .file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no room for more.
    #[error(
        "the spool has room for {room} more bytes, not for {bytes}: it waits for the server to acknowledge what it keeps; \
         MOORLINE_SPOOL_MIB makes it larger"
    )]
    Full {
        /// What is left.
        room: u64,
        /// What was needed.
        bytes: u64,
    },
    /// One record is too large.
    #[error("a record of {bytes} bytes is larger than the {most} that MOORLINE_SPOOL_RECORD_MIB allows")]
    TooLarge {
        /// What it has.
        bytes: u64,
        /// What it may have.
        most: u64,
    },
    /// The worker's own fault.
    #[error("the worker's own task that writes the spool broke: start the worker again, and report this with its log")]
    Broken,
}
