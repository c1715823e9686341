//! Which way a request goes: through a proxy, or to those addresses that its registry may lead to.

use std::sync::{Arc, OnceLock};

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::{
    client::{self, Route},
    dns::{Guard, Names},
    exchange::host_of,
    retry::Failure,
    zone::Zone,
};
use crate::{Error, Options, Proxies, Result};

/// The clients below everything, each made when it is first needed.
///
/// There is one for each zone that a registry can be in, with connections of its own: one that a registry inside a network
/// has made is no way in for a registry outside.
#[derive(Debug)]
pub(crate) struct Routes {
    names: Arc<Names>,
    proxies: OnceLock<Matcher>,
    proxied: OnceLock<Result<reqwest::Client>>,
    direct: [OnceLock<Result<reqwest::Client>>; Zone::ALL.len()],
}

impl Routes {
    pub(crate) fn new(options: &Options) -> Self {
        let names = Arc::new(Names::new(options.dns.clone(), options.clock.clone()));
        Self { names, proxies: OnceLock::new(), proxied: OnceLock::new(), direct: Default::default() }
    }

    /// Routes on which everything on loopback is taken to speak HTTP/2.
    #[cfg(test)]
    pub(super) fn over_http2(options: &Options) -> Self {
        let routes = Self::new(options);
        let guard = Guard { names: routes.names.clone(), home: Zone::Loopback };
        let client = client::builder(options, Route::Direct(guard)).unwrap().http2_prior_knowledge().build().unwrap();
        let at = Zone::ALL.iter().position(|zone| *zone == Zone::Loopback).unwrap();
        routes.direct[at].set(Ok(client)).unwrap();
        routes
    }

    /// The client for a request to `url` on behalf of `home`, which the user named.
    pub(crate) async fn client(&self, options: &Options, url: &Url, home: &Url) -> Result<reqwest::Client, Failure> {
        if self.is_proxied(options, url) {
            return Ok(self.proxied.get_or_init(|| client::build(options, Route::Proxied)).clone()?);
        }
        let home = self.zone(options, home).await?;
        let route = || Route::Direct(Guard { names: self.names.clone(), home });
        let client = Zone::ALL.iter().zip(&self.direct).find(|(zone, _)| **zone == home);
        match client {
            Some((_, client)) => Ok(client.get_or_init(|| client::build(options, route())).clone()?),
            None => Ok(client::build(options, route())?),
        }
    }

    /// Where `home` is. A proxy looks names up itself, so that a name that is reached through one counts as public.
    pub(crate) async fn zone(&self, options: &Options, home: &Url) -> Result<Zone, Failure> {
        let by_looks = Zone::of(home);
        match home.domain() {
            Some(name) if by_looks == Zone::Public && !self.is_proxied(options, home) => {
                self.names.zone(name).await.map_err(|source| match host_of(home) {
                    Some(host) => Failure::passing(Error::Unreachable { host, source: Arc::new(source) }),
                    None => {
                        Failure::last(Error::Settings { what: format!("the host `{name}`"), source: Arc::new(source) })
                    }
                })
            }
            _ => Ok(by_looks),
        }
    }

    /// Whether a proxy is asked for `url`. On loopback no proxy has any business, whatever the environment says.
    fn is_proxied(&self, options: &Options, url: &Url) -> bool {
        let is_on = options.proxies == Proxies::OfSystem && Zone::of(url) != Zone::Loopback;
        let proxies = || self.proxies.get_or_init(Matcher::from_system);
        is_on && Uri::try_from(url.as_str()).is_ok_and(|uri| proxies().intercept(&uri).is_some())
    }
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
    async fn names_are_left_to_the_proxy_where_there_is_one() {
        let options = |proxies| Options { dns: Arc::new(Nobody), proxies, ..Options::default() };
        let (on, off) = (options(Proxies::OfSystem), options(Proxies::Ignored));
        let matcher = Matcher::builder().https("http://proxy.test:3128").no("inner.test").build();
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
        assert!(!routes.is_proxied(&on, &Url::parse("https://127.0.0.1/").unwrap()));
    }
}
