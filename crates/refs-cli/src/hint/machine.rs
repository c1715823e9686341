//! What to do about what this machine has too little of, whatever was being done.

use std::{error::Error, io, sync::Arc};

use rustix::io::Errno;

/// What helps where `error` or one of its causes is that files can't be opened, or that a disk is full.
pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<&'static str> {
    errnos(error).find_map(remedy)
}

/// What helps where something was not allowed, and nothing more is known of it.
pub(crate) fn denied(error: &(dyn Error + 'static)) -> Option<String> {
    let is_denied = errnos(error).any(|errno| matches!(errno, Errno::ACCESS | Errno::ROFS));
    is_denied.then(|| "get the right to use what is named, or name another place".to_owned())
}

/// What the system said, in `error` and in its causes.
fn errnos<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = Errno> + 'a {
    std::iter::successors(Some(error), |&error| error.source()).filter_map(errno)
}

fn errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    let shared = || error.downcast_ref::<Arc<io::Error>>().map(AsRef::as_ref);
    let of_io = error.downcast_ref::<io::Error>().or_else(shared).and_then(Errno::from_io_error);
    of_io.or_else(|| error.downcast_ref().copied())
}

const fn remedy(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::MFILE => Some("allow more open files with `ulimit -n 4096`"),
        Errno::NOSPC | Errno::DQUOT => Some("make space and run it again"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use refs_registry::{Error as RegistryError, error::Doing};

    use super::*;
    use crate::commands::Failure;

    fn failed(errno: Errno) -> io::Error {
        io::Error::from(errno)
    }

    #[track_caller]
    fn check(error: &(dyn Error + 'static), expected: Option<&str>) {
        assert_eq!(of(error), expected, "{error:?}");
    }

    #[test]
    fn cause_is_found_wherever_it_is() {
        let files = Some("allow more open files with `ulimit -n 4096`");
        let space = Some("make space and run it again");
        let io = |errno| refs_client::Error::Io { doing: Doing::Write, path: PathBuf::new(), source: failed(errno) };
        check(&Errno::MFILE, files);
        check(&failed(Errno::MFILE), files);
        check(&Failure::Runtime(failed(Errno::MFILE)), files);
        check(&Failure::Cache(RegistryError::io(Doing::Read, "cache", failed(Errno::MFILE))), files);
        check(&Failure::Client(io(Errno::MFILE)), files);
        check(&Failure::Client(io(Errno::NOSPC)), space);
        check(&Failure::Client(io(Errno::DQUOT)), space);
        check(&Failure::Client(io(Errno::ACCESS)), None);
        check(&Failure::Damaged, None);
        let is_denied = |errno| denied(&Failure::Client(io(errno))).is_some();
        assert_eq!([Errno::ACCESS, Errno::ROFS, Errno::IO].map(is_denied), [true, true, false]);
    }
}
