//! The HTTP client below everything.

use std::sync::Arc;

use reqwest::redirect;
use rustls::{
    ClientConfig,
    crypto::{CryptoProvider, ring},
};

use super::{certificates::Certificates, dns::Guard};
use crate::{Error, Options, Result};

/// How a client gets to its hosts.
#[derive(Debug)]
pub(crate) enum Route {
    /// Through the proxies of the system, which look names up.
    Proxied,
    /// By itself, to the addresses that the guard lets through.
    Direct(Guard),
}

/// A block of headers is at most this long.
const HEADER_BYTES: u32 = 64 * 1024;

/// The client that `options` describe: it follows no redirect, decodes nothing and knows no credentials.
pub(crate) fn build(options: &Options, route: Route) -> Result<reqwest::Client> {
    builder(options, route)?.build().map_err(|error| unusable("the HTTP settings", error))
}

pub(crate) fn builder(options: &Options, route: Route) -> Result<reqwest::ClientBuilder> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(options)?)
        .redirect(redirect::Policy::none())
        // What comes back unseen over HTTP/2 is repeated with everything else, within the same budget.
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(options.timeouts.connect)
        .http2_max_header_list_size(HEADER_BYTES)
        .user_agent(&options.user_agent);
    Ok(match route {
        Route::Proxied => builder,
        Route::Direct(guard) => builder.no_proxy().dns_resolver(guard),
    })
}

fn tls(options: &Options) -> Result<ClientConfig> {
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let certificates = Certificates::new(&options.ca_files, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("the TLS settings", error))?;
    let verified = builder.dangerous().with_custom_certificate_verifier(Arc::new(certificates));
    let mut tls = verified.with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn unusable(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Settings { what: what.to_owned(), source: Arc::new(error) }
}
