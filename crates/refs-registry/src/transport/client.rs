//! The HTTP client below everything.

use std::{path::PathBuf, sync::Arc};

use reqwest::redirect;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;

use crate::{Error, Options, Result};

/// Whether the system's settings of proxies count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Proxies {
    OfSystem,
    Ignored,
}

/// A block of headers is at most this long.
const HEADER_BYTES: u32 = 64 * 1024;

/// The client that `options` describe: it follows no redirect, decodes nothing and knows no credentials.
pub(crate) fn build(options: &Options, proxies: Proxies) -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(&options.ca_files)?)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(options.timeouts.connect)
        .http2_max_header_list_size(HEADER_BYTES)
        .user_agent(&options.user_agent);
    let builder = match proxies {
        Proxies::OfSystem => builder,
        Proxies::Ignored => builder.no_proxy(),
    };
    builder.build().map_err(|error| unusable("the HTTP settings".to_owned(), error))
}

fn tls(ca_files: &[PathBuf]) -> Result<ClientConfig> {
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let extra = extra_roots(ca_files)?;
    let is_extra = !extra.is_empty();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("the TLS settings".to_owned(), error))?;
    let verified = match Verifier::new_with_extra_roots(extra, provider) {
        Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
        Err(error) if is_extra => return Err(unusable("the certificates".to_owned(), error)),
        Err(error) => {
            // A small container may have no roots at all. Registries without TLS must work there all the same.
            tracing::warn!(%error, "no certificate is trusted");
            builder.with_root_certificates(RootCertStore::empty())
        }
    };
    let mut tls = verified.with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn extra_roots(files: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let mut roots = Vec::new();
    for file in files {
        let unreadable = |error| unusable(format!("the certificates in `{}`", file.display()), error);
        for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
            roots.push(certificate.map_err(unreadable)?);
        }
    }
    Ok(roots)
}

fn unusable(what: String, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Settings { what, source: Arc::new(error) }
}
