//! What can go wrong with a repository, wherever it lives.

mod causes;
mod code;
mod lost;
mod meaning;
mod said;
mod setting;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use refs_url::{Digest, Host};

use self::said::{Absent, Asking, Having, Of, RetryAfter, Tried, Unable, WithTried};
pub use self::{causes::TlsFault, code::Code, lost::Lost, meaning::ErrorKind, setting::Setting};
pub(crate) use self::{
    causes::{Chain, ThroughProxy, causes},
    meaning::may_pass,
};
pub use crate::context::{ConfigFault, Detail, Doing, Fault, ManifestFault, Place, RequestLine, Wanted};

/// A result with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause that several waiting callers can share.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why an operation on a repository failed. Clones are cheap: one failure may be told to many waiters.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such thing, or these credentials may not know of it.
    #[error("{}", Absent(.wanted, .at))]
    NotFound {
        /// What was looked for.
        wanted: Wanted,
        /// Where it was looked for.
        at: Place,
        /// The code that the registry itself gave: `None` where it gave none, and of a host that it led to.
        code: Option<Code>,
    },
    /// The registry wants other credentials than those that were tried.
    #[error("{host} refused the credentials ({}){detail}", Tried(.tried))]
    Unauthorized {
        /// The registry.
        host: Host,
        /// Where each credential that was tried came from; empty when there was none.
        tried: Vec<String>,
        /// What the registry or its token service said.
        detail: Detail,
    },
    /// The credentials are good, and do not allow this.
    #[error("{host} denies {at}{}{detail}", WithTried(.tried))]
    Denied {
        /// The registry.
        host: Host,
        /// The request.
        at: RequestLine,
        /// Where each credential that was tried came from; empty when there was none.
        tried: Vec<String>,
        /// What the registry said.
        detail: Detail,
    },
    /// The registry asks for fewer requests.
    #[error("{host} limits the rate of requests{}", RetryAfter(.retry_after))]
    RateLimited {
        /// The registry.
        host: Host,
        /// How long it asks to wait, where it says so.
        retry_after: Option<Duration>,
    },
    /// No connection, or it broke before an answer came.
    #[error("cannot reach {host}")]
    Unreachable {
        /// The host that was dialled, which may be a token service or a content network.
        host: Host,
        /// The last attempt's failure.
        #[source]
        source: Cause,
    },
    /// The peer was silent for too long.
    #[error("{at} timed out: nothing came for {} s", .after.as_secs())]
    Timeout {
        /// The request.
        at: RequestLine,
        /// The time without a byte.
        after: Duration,
    },
    /// The registry answered with a status that is no success and has no variant of its own.
    #[error("{at} was answered with {status}{}{detail}", Asking(.retry_after))]
    Refused {
        /// The request.
        at: RequestLine,
        /// The HTTP status.
        status: u16,
        /// How long it asks to wait, where it says so, as a registry does that is down for a while.
        retry_after: Option<Duration>,
        /// What the registry said.
        detail: Detail,
    },
    /// The answer breaks the protocol, so nothing in it can be used.
    #[error("{at} was answered against the protocol: {fault}")]
    Protocol {
        /// The request.
        at: RequestLine,
        /// What was wrong with the answer.
        fault: Fault,
    },
    /// The registry has taken too little of what was sent to it, each time.
    #[error("of the {sent} bytes of {at} the registry took {taken}, which is too little to go on with")]
    LittleTaken {
        /// The request.
        at: RequestLine,
        /// The bytes that it carried.
        sent: u64,
        /// Those of them that the registry has.
        taken: u64,
    },
    /// The connection ended in the middle of a body.
    #[error("the answer to {at} was cut off after {received} bytes")]
    Cut {
        /// The request.
        at: RequestLine,
        /// The bytes of the body that had come.
        received: u64,
        /// The failure below.
        #[source]
        source: Cause,
    },
    /// The bytes do not hash to the digest they were asked for by.
    #[error("{wanted} does not match its digest: the bytes are {actual}")]
    Digest {
        /// What was read.
        wanted: Wanted,
        /// The digest of what came.
        actual: Digest,
    },
    /// There are more or fewer bytes than were promised.
    #[error("{wanted} has {actual} bytes where {expected} were promised")]
    Size {
        /// What was read.
        wanted: Wanted,
        /// The promised size in bytes.
        expected: u64,
        /// The bytes that came: at least so many, when there were too many.
        actual: u64,
    },
    /// It is listed with two sizes, of which one at least is wrong.
    #[error("{wanted} is listed with {smaller} and with {larger} bytes")]
    Sizes {
        /// What is listed.
        wanted: Wanted,
        /// The smaller of the sizes in bytes.
        smaller: u64,
        /// The larger one.
        larger: u64,
    },
    /// The input is larger than this library reads.
    #[error("{wanted} exceeds the limit of {limit} bytes")]
    TooLarge {
        /// What was read.
        wanted: Wanted,
        /// The limit in bytes.
        limit: u64,
    },
    /// The manifest is no image manifest and no index.
    #[error("{wanted} is not valid: {fault}")]
    Manifest {
        /// The manifest.
        wanted: Wanted,
        /// What is wrong with it.
        fault: ManifestFault,
    },
    /// The place, or this library, cannot do that.
    #[error("{}{detail}", Unable(.wanted, .at))]
    Unsupported {
        /// What was asked for.
        wanted: Wanted,
        /// By whom it is not supported.
        at: Place,
        /// What the registry said, where it was asked.
        detail: Detail,
    },
    /// The state of the place forbids it: a tag that may not move, something in the way.
    #[error("{wanted} conflicts with what is in {at}{detail}")]
    Conflict {
        /// What was to be written.
        wanted: Wanted,
        /// The place.
        at: Place,
        /// What it said.
        detail: Detail,
    },
    /// The settings can't be used: a certificate, a credential file, a URL of the user's own.
    #[error("cannot use {what}")]
    Settings {
        /// Which setting.
        what: Setting,
        /// Why not.
        #[source]
        source: Cause,
    },
    /// The file system failed.
    #[error("cannot {doing} `{}`", .path.display())]
    Io {
        /// The operation.
        doing: Doing,
        /// The file or folder.
        path: PathBuf,
        /// The system's own error.
        #[source]
        source: Arc<io::Error>,
    },
    /// The disk, or the store's own bound, is full.
    #[error("no space left to {doing} `{}`", .path.display())]
    Full {
        /// The operation.
        doing: Doing,
        /// The file or folder.
        path: PathBuf,
    },
    /// A store on this machine holds bytes that are not what their name says.
    #[error("`{}` is corrupt: {fault}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The cache does not have it, and asking further was not allowed.
    #[error("{wanted}{} is not in the cache{}", Of(.of), Having(.lost))]
    NotCached {
        /// What was looked for.
        wanted: Wanted,
        /// The repository that it is of, where that is known.
        of: Option<Place>,
        /// What has become of it, where the cache is known to have had it.
        lost: Option<Lost>,
    },
    /// Another process holds the store.
    #[error("`{}` is in use by another process", .path.display())]
    Busy {
        /// The lock that is held.
        path: PathBuf,
    },
}

impl Error {
    /// `Unsupported` by `at`, of which nothing more was said.
    #[must_use]
    pub fn unsupported(wanted: Wanted, at: impl Into<Place>) -> Self {
        Self::Unsupported { wanted, at: at.into(), detail: Detail::default() }
    }

    /// The error of a file operation: `Full` when the disk is, else `Io`.
    #[must_use]
    pub fn io(doing: Doing, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { doing, path },
            _ => Self::Io { doing, path, source: Arc::new(source) },
        }
    }
}
