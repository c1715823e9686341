//! Which way a request goes: through a proxy, or to those addresses that its registry may lead to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::{
    client::{Client, Parts, Reach, Way},
    dns::Names,
    retry::Failure,
    zone::Zone,
};
use crate::{
    Error, Options, Proxies, Result,
    error::Setting,
    hosts::{HostSettings, Lookup, Proxy, host_of},
};

/// The clients below everything, each made when it is first needed and anew when it was left, and what is set for the hosts
/// that they reach.
#[derive(Debug)]
pub(crate) struct Routes {
    lookup: Lookup,
    names: Arc<Names>,
    proxies: OnceLock<Matcher>,
    clients: Mutex<HashMap<Reach, Arc<Client>>>,
    finish: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
}

impl Routes {
    pub(crate) fn new(options: &Options) -> Self {
        let names = Arc::new(Names::new(options.dns.clone(), options.clock.clone()));
        let lookup = Lookup::new(options.hosts.clone());
        Self { lookup, names, proxies: OnceLock::new(), clients: Mutex::default(), finish: std::convert::identity }
    }

    /// Routes on which everything is taken to speak HTTP/2.
    #[cfg(test)]
    pub(super) fn over_http2(options: &Options) -> Self {
        Self { finish: reqwest::ClientBuilder::http2_prior_knowledge, ..Self::new(options) }
    }

    /// What is set for hosts.
    pub(crate) const fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// The client for a request to `url` on behalf of `home`, which the user named.
    pub(crate) async fn client(&self, options: &Options, url: &Url, home: &Url) -> Result<Arc<Client>, Failure> {
        let settings = self.settings(url)?;
        let way = match self.proxy(options, url, &settings) {
            Some(proxy) => proxy,
            None => Way::Straight(self.zone(options, home).await?),
        };
        let reach = Reach::new(&settings, way);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = Parts { options, names: &self.names, finish: self.finish };
        let client = Arc::new(match clients.get(&reach) {
            Some(client) if !client.is_left() => return Ok(Arc::clone(client)),
            Some(left) => left.renewed(&parts, &reach)?,
            None => Client::new(&parts, &reach)?,
        });
        clients.insert(reach, Arc::clone(&client));
        Ok(client)
    }

    /// Where `home` is. A proxy looks names up itself, so that a name that is reached through one counts as public.
    pub(crate) async fn zone(&self, options: &Options, home: &Url) -> Result<Zone, Failure> {
        let by_looks = Zone::of(home);
        match home.domain() {
            Some(name) if by_looks == Zone::Public && self.proxy(options, home, &*self.settings(home)?).is_none() => {
                self.names.zone(name).await.map_err(|source| match host_of(home) {
                    Some(host) => Failure::of(Error::Unreachable { host, source: Arc::new(source) }, None),
                    None => Failure::last(Error::Settings {
                        what: Setting::Host(name.to_owned()),
                        source: Arc::new(source),
                    }),
                })
            }
            _ => Ok(by_looks),
        }
    }

    /// The proxy that is asked for `url`, if one is. On loopback none has any business unless it is set for the very host.
    fn proxy(&self, options: &Options, url: &Url, settings: &HostSettings) -> Option<Way> {
        match settings.proxy.as_ref().map(|set| &set.value) {
            Some(Proxy::Through(url)) => return Some(Way::Through(url.clone())),
            Some(Proxy::Direct) => return None,
            None => {}
        }
        let is_on = options.proxies == Proxies::OfSystem && Zone::of(url) != Zone::Loopback;
        let proxies = || self.proxies.get_or_init(Matcher::from_system);
        let uri = Uri::try_from(url.as_str()).ok().filter(|_| is_on)?;
        let proxy = proxies().intercept(&uri)?;
        Some(Way::OfSystem(shown(proxy.uri())))
    }

    fn settings(&self, url: &Url) -> Result<Arc<HostSettings>> {
        Ok(host_of(url).map(|host| self.lookup.of(&host)).transpose()?.unwrap_or_default())
    }
}

/// A proxy as the system has it, without a login.
fn shown(proxy: &Uri) -> String {
    let port = proxy.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", proxy.scheme_str().unwrap_or("http"), proxy.host().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use std::{io, net::SocketAddr};

    use super::*;
    use crate::Dns;

    /// Knows no name.
    #[derive(Debug)]
    struct Nobody;

    #[async_trait]
    impl Dns for Nobody {
        async fn addresses(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    #[tokio::test]
    async fn requests_that_leave_a_client_together_share_the_next() {
        let options = Options::default();
        let routes = Routes::new(&options);
        let url = Url::parse("http://127.0.0.1/").unwrap();
        let client = async || routes.client(&options, &url, &url).await.map_err(|failure| failure.error).unwrap();
        let (first, same) = (client().await, client().await);
        assert!(Arc::ptr_eq(&first, &same));
        first.leave();
        let second = client().await;
        same.leave();
        assert!(!Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&second, &client().await));
    }

    #[tokio::test]
    async fn names_are_left_to_the_proxy_where_there_is_one() {
        let options = |proxies| Options { dns: Arc::new(Nobody), proxies, ..Options::default() };
        let (on, off) = (options(Proxies::OfSystem), options(Proxies::Ignored));
        let matcher = Matcher::builder().https("http://u:hunter2@proxy.test:3128").no("inner.test").build();
        let routes = Routes { proxies: OnceLock::from(matcher), ..Routes::new(&on) };
        let zone = async |options, url| {
            let zone = routes.zone(options, &Url::parse(url).unwrap()).await;
            zone.map_err(|failure| failure.error.to_string())
        };
        assert_eq!(zone(&on, "https://r.test/").await, Ok(Zone::Public));
        assert_eq!(zone(&on, "https://inner.test/").await, Err("cannot reach inner.test".to_owned()));
        assert_eq!(zone(&on, "http://r.test:81/").await, Err("cannot reach r.test:81".to_owned()));
        assert_eq!(zone(&off, "https://r.test/").await, Err("cannot reach r.test".to_owned()));
        assert_eq!(zone(&on, "https://localhost/").await, Ok(Zone::Loopback));
        assert_eq!(zone(&on, "https://10.0.0.1/").await, Ok(Zone::Private));
        let proxy = |url| routes.proxy(&on, &Url::parse(url).unwrap(), &HostSettings::default());
        let of_system = Some(Way::OfSystem("http://proxy.test:3128".to_owned()));
        assert_eq!((proxy("https://127.0.0.1/"), proxy("https://r.test/")), (None, of_system));
    }
}
