//! What was asked and what came of it, for logs and figures.

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use http::{HeaderName, Method, header, request};
use refs_url::Host;

use crate::{Call, Peer, Read, Refusal, Write};

/// One request and what came of it, told once its answer has left or was given up.
///
/// # Security
/// What is text here comes from the client, which may have put anything into it but line breaks: escape it before a person or
/// a log sees it. No header is here that holds credentials; the query may hold whatever somebody took for a good place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered {
    /// When the head of the request had come.
    pub time: SystemTime,
    /// Where the request came from, if whoever took the connection has said so ([`Peer`]).
    pub peer: Option<SocketAddr>,
    /// Who asked, if that is known.
    pub user: Option<String>,
    /// The method.
    pub method: Method,
    /// The path and query, as they were sent; not what HTTP/2, or a target in absolute form, has before them, where a password
    /// may be.
    pub target: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// What the path leads to.
    pub endpoint: Endpoint,
    /// The status of the answer; 499 when the client left before there was one.
    pub status: u16,
    /// Where a mirror found the answer.
    pub cache: Option<Found>,
    /// The upstream of a mirror that the name leads to.
    pub upstream: Option<Host>,
    /// How much of the request's body came, in bytes.
    pub received: u64,
    /// How much of the answer's body left, in bytes; none for `HEAD`, which has no body.
    pub bytes: u64,
    /// From the head of the request to the first byte of the answer's body, or to its head where it has no body.
    pub first_byte: Duration,
    /// From the head of the request to the end of the answer.
    pub whole: Duration,
    /// How it ended.
    pub end: End,
}

/// What a path leads to, without its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `/v2/`
    Ping,
    /// The list of repositories.
    Catalog,
    /// A manifest.
    Manifest,
    /// A blob.
    Blob,
    /// An upload.
    Upload,
    /// The list of tags.
    Tags,
    /// The list of what refers to a manifest.
    Referrers,
    /// Nothing that the spec knows, or knows with this method.
    Other,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// All of it has left.
    Whole,
    /// The client left, what was read failed, or the server stopped.
    Broken,
}

/// Where an answer of a mirror has come from, as `X-Cache` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Found {
    /// The store; the upstream has moved no content for it.
    Hit,
    /// The upstream.
    Miss,
    /// The store, as the upstream could not be asked.
    Stale,
    /// The beginning from the store, the rest from the upstream.
    Partial,
}

impl Answered {
    /// The status of a request whose client left before it was answered.
    pub(crate) const LEFT: u16 = 499;

    /// What is known when the head of a request has come.
    pub(crate) fn of(head: &request::Parts) -> Self {
        Self {
            time: SystemTime::now(),
            peer: Peer::of(head),
            user: None,
            method: head.method.clone(),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            range: text(head, &header::RANGE),
            user_agent: text(head, &header::USER_AGENT),
            endpoint: Endpoint::Other,
            status: Self::LEFT,
            cache: None,
            upstream: None,
            received: 0,
            bytes: 0,
            first_byte: Duration::ZERO,
            whole: Duration::ZERO,
            end: End::Broken,
        }
    }

    /// The path alone.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// A header as text, what is none of it replaced.
fn text(head: &request::Parts, name: &HeaderName) -> Option<String> {
    head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

impl Endpoint {
    pub(crate) const fn of(call: &Result<Call, Refusal>) -> Self {
        match call {
            Ok(Call::Ping) => Self::Ping,
            Ok(Call::Catalog(_)) => Self::Catalog,
            Ok(Call::Read(_, read)) => match read {
                Read::Manifest(_) | Read::ManifestHead(_) => Self::Manifest,
                Read::Blob(_) | Read::BlobHead(_) => Self::Blob,
                Read::Tags(_) => Self::Tags,
                Read::Referrers(..) => Self::Referrers,
            },
            Ok(Call::Write(_, write)) => match write {
                Write::Manifest { .. } | Write::DeleteManifest(_) => Self::Manifest,
                Write::DeleteBlob(_) => Self::Blob,
                Write::Upload(_) | Write::Append(_) | Write::Finish(..) | Write::Progress(_) | Write::Cancel(_) => {
                    Self::Upload
                }
            },
            Err(_) => Self::Other,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ping => "ping",
            Self::Catalog => "catalog",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Upload => "upload",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
            Self::Other => "other",
        })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Stale => "STALE",
            Self::Partial => "PARTIAL",
        })
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        if let Some(range) = &self.range {
            write!(f, " [{range}]")?;
        }
        write!(f, " {}", self.status)
    }
}
