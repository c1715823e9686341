//! What is behind an error, and what of it is TLS.

use std::{error::Error as StdError, fmt, io};

use rustls::{CertificateError, InvalidMessage};

use super::Error;

/// How TLS failed where a host could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsFault {
    /// The other side ended it, as one does that wants to see a certificate of the client's.
    Ended,
    /// What listens there speaks something else.
    NotTls,
    /// The other side's certificate is not trusted, or not for this host.
    Certificate,
    /// The other side's certificate is none for a server, as one that vouches for others.
    Form,
}

impl TlsFault {
    fn of(cause: &(dyn StdError + 'static)) -> Option<Self> {
        match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::AlertReceived(_)) => Some(Self::Ended),
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Some(Self::NotTls),
            // What is wrong with how it is made has no name of its own there.
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(_))) => Some(Self::Form),
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
                Some(Self::Certificate)
            }
            Some(_) => None,
            // HTTP/2 keeps the kind of what was wrong with its connection, and nothing but TLS calls that data invalid.
            None => {
                let below = cause.downcast_ref::<h2::Error>()?.get_io()?;
                (below.kind() == io::ErrorKind::InvalidData).then_some(Self::Ended)
            }
        }
    }
}

impl Error {
    /// What was wrong with TLS, where it is why a host can't be reached and one of these.
    #[must_use]
    pub fn tls_fault(&self) -> Option<TlsFault> {
        let Self::Unreachable { source, .. } = self else { return None };
        causes(source.as_ref()).find_map(TlsFault::of)
    }

    /// The proxy by its URL, without a login, through which the host was asked that can't be reached.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        let Self::Unreachable { source, .. } = self else { return None };
        causes(source.as_ref()).find_map(|cause| cause.downcast_ref()).map(|through: &ThroughProxy| &*through.proxy)
    }

    /// Whether the host that can't be reached took the connection, and ended it without the answer of a registry.
    #[must_use]
    pub fn was_connected(&self) -> bool {
        let Self::Unreachable { source, .. } = self else { return false };
        let sent = causes(source.as_ref()).find_map(|cause| cause.downcast_ref::<reqwest::Error>());
        sent.is_some_and(|error| error.is_request() && !error.is_connect())
    }
}

/// What failed of a request that went through a proxy.
#[derive(Debug, thiserror::Error)]
#[error("through the proxy {proxy}")]
pub(crate) struct ThroughProxy {
    /// Its URL, without a login.
    pub(crate) proxy: String,
    /// What failed.
    pub(crate) source: reqwest::Error,
}

/// Whether a handshake failed: what was refused once is refused again.
pub(super) fn is_of_tls(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

/// `error`, and what is behind it.
pub(crate) fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // An I/O error hides the one that it was made from.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

/// An error with its causes, as logs have it.
pub(crate) struct Chain<'a>(pub(crate) &'a Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let first = StdError::source(self.0);
        std::iter::successors(first, |&cause| cause.source()).try_for_each(|cause| write!(f, ": {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use refs_url::Host;
    use rustls::AlertDescription;

    use super::*;

    #[track_caller]
    fn check(source: impl StdError + Send + Sync + 'static, fault: Option<TlsFault>, is_retryable: bool) {
        let error = Error::Unreachable { host: Host::parse("r.test").unwrap(), source: Arc::new(source) };
        assert_eq!((error.tls_fault(), error.is_retryable()), (fault, is_retryable), "{error:?}");
    }

    #[test]
    fn what_failed_of_tls_is_known_behind_any_error() {
        let hidden = |error: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, io::Error::other(error));
        check(rustls::Error::AlertReceived(AlertDescription::CertificateRequired), Some(TlsFault::Ended), false);
        check(hidden(rustls::Error::AlertReceived(AlertDescription::AccessDenied)), Some(TlsFault::Ended), false);
        let not_tls = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        check(hidden(not_tls), Some(TlsFault::NotTls), false);
        check(hidden(rustls::Error::InvalidMessage(InvalidMessage::InvalidCcs)), None, false);
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        check(hidden(unknown), Some(TlsFault::Certificate), false);
        check(hidden(rustls::Error::NoCertificatesPresented), Some(TlsFault::Certificate), false);
        check(hidden(rustls::Error::DecryptError), None, false);
        check(io::Error::from(io::ErrorKind::ConnectionReset), None, true);
        check(io::Error::other("received fatal alert: the certificate"), None, true);
    }
}
