//! A registry, or something in one, on the command line.

use refs_client::Location;
use refs_url::Host;

/// A registry, or something in one.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Host(Host),
    At(Location),
}

impl Place {
    /// What has a slash is a reference.
    pub(crate) fn parse(text: &str) -> Result<Self, refs_client::Error> {
        if text.contains('/') { text.parse().map(Self::At) } else { Ok(Self::Host(Host::parse(text)?)) }
    }
}
