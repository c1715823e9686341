//! What a server needs to speak TLS.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// How to speak TLS.
pub type Tls = Arc<ServerConfig>;

/// Why there can be no TLS.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in what should hold some.
    #[error("there is no certificate in it, as PEM")]
    NoCertificate,
    /// There is no private key in what should hold one.
    #[error("there is no private key in it, as PEM")]
    NoKey,
    /// They can't be used, or not with each other.
    #[error("the certificate and its key can't be used")]
    Unusable(#[source] rustls::Error),
}

/// The settings for TLS 1.2 and 1.3 with a certificate and those that vouch for it, the server's own first, and its key, all
/// as PEM. Whoever wants more of rustls, such as the certificates of clients, makes a [`ServerConfig`] of their own.
///
/// # Errors
/// When there is no certificate, no key, or they do not belong together.
pub fn tls(certificates: &[u8], key: &[u8]) -> Result<Tls, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let certificates = read.ok().filter(|read| !read.is_empty()).ok_or(TlsError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).ok().ok_or(TlsError::NoKey)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Unusable)?;
    let config = builder.with_no_client_auth().with_single_cert(certificates, key).map_err(TlsError::Unusable)?;
    Ok(Arc::new(config))
}
