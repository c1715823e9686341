//! Whose certificates are trusted.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use rustls_platform_verifier::Verifier;

use crate::{
    Error, Result,
    error::Setting,
    hosts::{self, SettingsFault},
};

/// Trusts what the system trusts, and some roots besides.
///
/// The system's roots are read when the first certificate is to be judged, and once: that takes milliseconds and megabytes,
/// which a registry without TLS need not pay.
#[derive(Debug)]
pub(crate) struct Certificates {
    provider: Arc<CryptoProvider>,
    extra: Vec<CertificateDer<'static>>,
    judge: OnceLock<Result<Verifier, TlsError>>,
}

impl Certificates {
    /// Those of the system and of `paths`, files (PEM) and folders of them, which are read at once: a mistake in them shows
    /// before the first request.
    ///
    /// # Errors
    /// [`Error::Settings`] names the file that can't be read or holds something else than certificates.
    pub(crate) fn new(paths: &[PathBuf], provider: Arc<CryptoProvider>) -> Result<Self> {
        let mut extra = Vec::new();
        for path in paths {
            if path.is_dir() {
                beneath(path)?.iter().try_for_each(|file| read(file, &mut extra))?;
            } else {
                read(path, &mut extra)?;
            }
        }
        Ok(Self { provider, extra, judge: OnceLock::new() })
    }

    fn judge(&self) -> Result<&Verifier, TlsError> {
        let judge = self.judge.get_or_init(|| {
            let judge = Verifier::new_with_extra_roots(self.extra.iter().cloned(), self.provider.clone());
            judge.inspect_err(|error| tracing::warn!(%error, "no certificate is trusted"))
        });
        judge.as_ref().map_err(Clone::clone)
    }
}

/// The certificates beneath `folder`, by the names that they usually have.
fn beneath(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = hosts::files(folder)?;
    files.retain(|file| file.extension().is_some_and(|it| it == "crt" || it == "pem" || it == "cer"));
    if files.is_empty() { Err(SettingsFault::NoCertificates.at(folder, None)) } else { Ok(files) }
}

fn read(file: &Path, extra: &mut Vec<CertificateDer<'static>>) -> Result<()> {
    let unusable = |source| Error::Settings { what: Setting::Certificates(file.to_owned()), source };
    let unreadable = |error| unusable(Arc::new(error));
    let before = extra.len();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        let valid = RootCertStore::empty().add(certificate.clone());
        valid.map_err(|error| unusable(Arc::new(error)))?;
        extra.push(certificate);
    }
    // A key, or a text, is of no use here, and to go on without would blame the registry.
    if extra.len() == before { Err(SettingsFault::NoCertificate.at(file, None)) } else { Ok(()) }
}

impl ServerCertVerifier for Certificates {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.judge()?.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rustls::crypto::ring;

    use super::*;

    #[test]
    fn the_roots_of_the_system_are_read_for_the_first_certificate() {
        let certificates = Certificates::new(&[], Arc::new(ring::default_provider())).unwrap();
        assert!(!certificates.supported_verify_schemes().is_empty());
        assert!(certificates.judge.get().is_none());
        let name = ServerName::try_from("example.com").unwrap();
        let nonsense = CertificateDer::from(b"not a certificate".as_slice());
        certificates.verify_server_cert(&nonsense, &[], &name, &[], UnixTime::now()).unwrap_err();
        assert!(certificates.judge.get().is_some());
    }

    #[test]
    fn a_file_of_something_else_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n").unwrap();
        let error = Certificates::new(std::slice::from_ref(&file), Arc::new(ring::default_provider())).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use the certificates in `{}`", file.display()));
        std::fs::write(&file, "no certificate").unwrap();
        let error = Certificates::new(std::slice::from_ref(&file), Arc::new(ring::default_provider())).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use `{}`", file.display()));
    }
}
