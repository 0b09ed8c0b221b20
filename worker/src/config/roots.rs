//! That folders which a worker empties and those with logins keep out of each other's way.

use std::path::{Path, PathBuf};

use super::{Error, args::invalid};

/// What the worker itself makes below the work root.
const OWN: [&str; 8] = ["runs", "git", "logins", "trash", "spool", "owners", "processes", "contact"];

/// Whether one of them is the other, or in it, whatever links lead there.
pub(crate) fn meet(one: &Path, other: &Path) -> bool {
    let (one, other) = (real(one), real(other));
    one.starts_with(&other) || other.starts_with(&one)
}

/// Refuses a folder of volumes that one of the worker's own is in, or that is in one.
pub(super) fn apart(work_root: &Path, volume_root: &Path) -> Result<(), Error> {
    let met = OWN.iter().map(|name| work_root.join(name)).find(|own| meet(own, volume_root));
    met.map_or(Ok(()), |own| {
        let reason = format!(
            "is {}, and the worker's own {} may not be in it nor around it, since the worker removes what is left there: set another folder, such as {}",
            volume_root.display(),
            own.display(),
            work_root.join("volumes").display()
        );
        Err(invalid("MOORLINE_VOLUME_ROOT", reason))
    })
}

/// Without links and dots, as far as it exists.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), _, _) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        // It ends with `..`.
        (Err(_), Some(parent), None) => {
            let mut real = real(parent);
            real.pop();
            real
        }
        _ => path.to_owned(),
    }
}
