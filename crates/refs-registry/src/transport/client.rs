//! The HTTP client below everything.

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::redirect;
use rustls::{
    ClientConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{
    certificates::Certificates,
    dns::{Guard, Names},
    zone::Zone,
};
use crate::{
    Clock, Error, Options, Result,
    error::Setting,
    hosts::{ClientCertificate, HostSettings, ProxyUrl},
};

/// How hosts are reached. Those that are reached alike share a client, and its connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Reach {
    ca: Vec<PathBuf>,
    client: Option<ClientCertificate>,
    way: Way,
}

/// Which way requests go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// Through this proxy of the system, which looks names up. It is without its login.
    OfSystem(String),
    /// Through this proxy, which looks names up.
    Through(ProxyUrl),
    /// Straight, to the addresses that a registry in this zone may lead to. There is a client for each zone: a connection
    /// that a registry inside a network has made is no way in for a registry outside.
    Straight(Zone),
}

impl Reach {
    /// How a host is reached for which `settings` are set.
    pub(crate) fn new(settings: &HostSettings, way: Way) -> Self {
        let ca = settings.ca.iter().map(|set| set.value.clone()).collect();
        Self { ca, client: settings.client.as_ref().map(|set| set.value.clone()), way }
    }
}

impl Way {
    /// The proxy, without its login.
    pub(super) fn proxy(&self) -> Option<String> {
        match self {
            Self::OfSystem(proxy) => Some(proxy.clone()),
            Self::Through(url) => Some(url.to_string()),
            Self::Straight(_) => None,
        }
    }
}

/// A block of headers is at most this long.
const HEADER_BYTES: u32 = 64 * 1024;

/// What clients are made of besides how hosts are reached.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) options: &'a Options,
    pub(crate) names: &'a Arc<Names>,
    /// The last touch, which changes nothing but in tests.
    pub(crate) finish: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
}

/// The connections to hosts that are reached alike. It follows no redirect, decodes nothing and knows no credentials.
///
/// A request that times out over HTTP/2 leaves its connection as it was, and the next one would go the same way. No
/// connection can be taken out of the pool alone, so that the whole is left for another: what still runs on it goes on
/// there.
#[derive(Debug)]
pub(crate) struct Client {
    pub(super) http: reqwest::Client,
    /// The proxy that requests go through, without its login.
    pub(super) proxy: Option<String>,
    tls: ClientConfig,
    is_left: AtomicBool,
}

impl Client {
    pub(crate) fn new(parts: &Parts<'_>, reach: &Reach) -> Result<Self> {
        Self::with(parts, reach, tls(reach)?)
    }

    /// Another like this one, with no connection yet. What it trusts is not read again.
    pub(crate) fn renewed(&self, parts: &Parts<'_>, reach: &Reach) -> Result<Self> {
        Self::with(parts, reach, self.tls.clone())
    }

    fn with(parts: &Parts<'_>, reach: &Reach, tls: ClientConfig) -> Result<Self> {
        let built = (parts.finish)(builder(parts, reach, tls.clone())?).build();
        let http = built.map_err(|error| unusable(Setting::Client("the HTTP settings"), error))?;
        Ok(Self { http, proxy: reach.way.proxy(), tls, is_left: AtomicBool::new(false) })
    }

    /// Has all later requests go over other connections.
    pub(crate) fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }
}

/// A wait for what a connection is to bring. Whoever gives it up after a while leaves the connection, too: it would be what the
/// next one waits on.
pub(super) struct Wait<'a> {
    client: OnceLock<Arc<Client>>,
    began: Instant,
    clock: &'a dyn Clock,
}

impl<'a> Wait<'a> {
    /// It may take so long.
    const PROMPT: Duration = Duration::from_secs(10);

    /// A wait for `client`; `None` where that is not known yet, or leaves no connection.
    pub(super) fn of(client: Option<Arc<Client>>, clock: &'a dyn Clock) -> Self {
        let client = client.map_or_else(OnceLock::new, OnceLock::from);
        Self { client, began: clock.now(), clock }
    }

    /// `client`, which is what is waited for, unless another was named before.
    pub(super) fn on(&self, client: Arc<Client>) -> &Arc<Client> {
        self.client.get_or_init(|| client)
    }

    /// What was waited for is there.
    pub(super) fn end(mut self) {
        self.client.take();
    }

    pub(super) fn leave(&self) {
        // Whether the connection was one by HTTP/2, which outlives its requests, only an answer would have told.
        if let Some(client) = self.client.get() {
            client.leave();
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if self.clock.now().saturating_duration_since(self.began) >= Self::PROMPT {
            self.leave();
        }
    }
}

fn builder(parts: &Parts<'_>, reach: &Reach, tls: ClientConfig) -> Result<reqwest::ClientBuilder> {
    let Parts { options, names, .. } = parts;
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        // What comes back unseen over HTTP/2 is repeated with everything else, within the same budget.
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(options.timeouts.connect)
        .http2_max_header_list_size(HEADER_BYTES)
        .user_agent(&options.user_agent);
    let builder = match options.timeouts.ping {
        Some(ping) => builder.http2_keep_alive_interval(ping).http2_keep_alive_timeout(ping * 2 / 3),
        None => builder,
    };
    Ok(match &reach.way {
        Way::OfSystem(_) => builder,
        Way::Straight(home) => builder.no_proxy().dns_resolver(Guard { names: Arc::clone(names), home: *home }),
        Way::Through(url) => {
            let proxy = reqwest::Proxy::all(url.url().clone());
            builder.proxy(proxy.map_err(|error| unusable(Setting::Proxy(url.to_string()), error.without_url()))?)
        }
    })
}

/// Makes sure that the files which `settings` name can be used.
///
/// # Errors
/// `Settings`.
pub(crate) fn check(settings: &HostSettings) -> Result<()> {
    tls(&Reach::new(settings, Way::Straight(Zone::Public))).map(drop)
}

fn tls(reach: &Reach) -> Result<ClientConfig> {
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let certificates = Certificates::new(&reach.ca, provider.clone())?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(Setting::Client("the TLS settings"), error))?;
    let verified = builder.dangerous().with_custom_certificate_verifier(Arc::new(certificates));
    let mut tls = match &reach.client {
        None => verified.with_no_client_auth(),
        Some(client) => {
            let (chain, key) = identity(client)?;
            let what = Setting::ClientCertificate(client.certificate.clone());
            verified.with_client_auth_cert(chain, key).map_err(|error| unusable(what, error))?
        }
    };
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(tls)
}

fn identity(client: &ClientCertificate) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let unreadable = |error| unusable(Setting::ClientCertificate(client.certificate.clone()), error);
    let chain = CertificateDer::pem_file_iter(&client.certificate).map_err(unreadable)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let private = PrivateKeyDer::from_pem_file(&client.key);
    Ok((chain, private.map_err(|error| unusable(Setting::ClientKey(client.key.clone()), error))?))
}

fn unusable(what: Setting, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Settings { what, source: Arc::new(error) }
}
