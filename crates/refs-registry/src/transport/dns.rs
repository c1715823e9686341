//! From names to addresses, and which of those are dialled.

use std::{
    collections::HashMap,
    fmt::Debug,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{clock::Clock, zone::Zone};

/// What turns the names of hosts into addresses.
#[async_trait]
pub trait Dns: Debug + Send + Sync {
    /// The addresses of `name`, in the order to try them in. Their ports are not looked at.
    ///
    /// # Errors
    /// That of the system when it has no answer.
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>>;
}

/// The system's own: `/etc/hosts`, and the servers that the system is set to ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDns;

#[async_trait]
impl Dns for SystemDns {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.collect())
    }
}

/// The names that have been asked for.
#[derive(Debug)]
pub(crate) struct Names {
    dns: Arc<dyn Dns>,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<Last>>,
    zones: Mutex<HashMap<String, Zone>>,
}

/// The last answer: to judge a registry and to dial it takes the same one twice.
#[derive(Debug)]
struct Last {
    name: String,
    at: Instant,
    addresses: Vec<SocketAddr>,
}

const LAST_FOR: Duration = Duration::from_secs(5);

impl Names {
    pub(crate) fn new(dns: Arc<dyn Dns>, clock: Arc<dyn Clock>) -> Self {
        Self { dns, clock, last: Mutex::default(), zones: Mutex::default() }
    }

    /// Where the host `name`, which the user named, is. That is found out once: a name that leads elsewhere later on is not
    /// followed there.
    pub(crate) async fn zone(&self, name: &str) -> io::Result<Zone> {
        if let Some(zone) = self.zones().get(name) {
            return Ok(*zone);
        }
        let addresses = self.addresses(name).await?;
        let zone = Zone::of_all(addresses.iter().map(SocketAddr::ip)).ok_or_else(no_address)?;
        Ok(*self.zones().entry(name.to_owned()).or_insert(zone))
    }

    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let now = self.clock.now();
        let lasts = |last: &&Last| last.name == name && now.saturating_duration_since(last.at) < LAST_FOR;
        if let Some(last) = self.last().as_ref().filter(lasts) {
            return Ok(last.addresses.clone());
        }
        let addresses = self.dns.addresses(name).await?;
        *self.last() = Some(Last { name: name.to_owned(), at: now, addresses: addresses.clone() });
        Ok(addresses)
    }

    fn zones(&self) -> MutexGuard<'_, HashMap<String, Zone>> {
        self.zones.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a client those addresses only that a registry in the zone `home` may have it dial. What is judged is what is
/// dialled, so that a name that changes its mind in between (DNS rebinding) gains nothing.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) names: Arc<Names>,
    pub(crate) home: Zone,
}

/// A name that leads into a network where a registry from outside must not send its clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` leads into a private network")]
pub(crate) struct LeadsInside(pub(crate) String);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, home) = (self.names.clone(), self.home);
        Box::pin(async move {
            let addresses = names.addresses(name.as_str()).await?;
            if addresses.is_empty() {
                return Err(no_address().into());
            }
            let outside: Vec<SocketAddr> =
                addresses.into_iter().filter(|address| home.reaches(Zone::of_ip(address.ip()))).collect();
            if outside.is_empty() {
                return Err(LeadsInside(name.as_str().to_owned()).into());
            }
            Ok(Box::new(outside.into_iter()) as Addrs)
        })
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    /// Each name leads to these addresses, or, when there are two lines of them, to the second line the second time.
    #[derive(Debug)]
    struct Table(Mutex<Vec<&'static str>>);

    #[async_trait]
    impl Dns for Table {
        async fn addresses(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
            let mut lines = self.0.lock().unwrap();
            let line = if lines.len() > 1 { lines.remove(0) } else { lines[0] };
            Ok(line.split_whitespace().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect())
        }
    }

    fn names(lines: &[&'static str]) -> Arc<Names> {
        Arc::new(Names::new(Arc::new(Table(Mutex::new(lines.to_vec()))), Arc::new(SystemClock)))
    }

    async fn dialled(names: Arc<Names>, home: Zone) -> String {
        match (Guard { names, home }).resolve("x.test".parse().unwrap()).await {
            Ok(addresses) => addresses.map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    async fn check(home: Zone, addresses: &'static str, expect: &str) {
        assert_eq!(dialled(names(&[addresses]), home).await, expect, "{home:?} -> {addresses}");
    }

    #[tokio::test]
    async fn m028_m035_names_that_lead_inside_are_not_dialled() {
        const INSIDE: &str = "`x.test` leads into a private network";
        for address in ["127.0.0.1", "::1", "10.0.0.1", "fd00::1", "169.254.169.254", "::ffff:192.168.0.1", "0.0.0.0"] {
            check(Zone::Public, address, INSIDE).await;
        }
        check(Zone::Public, "8.8.8.8 2606:4700::1111", "8.8.8.8 2606:4700::1111").await;
        check(Zone::Public, "10.0.0.1 8.8.8.8 ::1", "8.8.8.8").await;
        check(Zone::Private, "10.0.0.1 127.0.0.1 8.8.8.8", "10.0.0.1 8.8.8.8").await;
        check(Zone::Private, "169.254.169.254", INSIDE).await;
        check(Zone::Loopback, "127.0.0.2 10.0.0.1", "127.0.0.2").await;
        check(Zone::Nowhere, "0.0.0.0", INSIDE).await;
        check(Zone::Public, "", "the name has no address").await;
    }

    #[tokio::test]
    async fn a_name_that_leads_out_and_in_is_outside() {
        let zone = async |addresses| names(&[addresses]).zone("x.test").await.map_err(|error| error.kind());
        assert_eq!(zone("127.0.0.1 10.0.0.1 8.8.8.8").await, Ok(Zone::Public));
        assert_eq!(zone("127.0.0.1 10.0.0.1").await, Ok(Zone::Private));
        assert_eq!(zone("::1 127.0.0.1").await, Ok(Zone::Loopback));
        assert_eq!(zone("0.0.0.0").await, Err(io::ErrorKind::NotFound));
    }

    #[tokio::test]
    async fn a_registry_that_moves_inside_after_it_was_judged_is_not_followed() {
        let names = names(&["8.8.8.8", "127.0.0.1"]);
        assert_eq!(names.zone("x.test").await.unwrap(), Zone::Public);
        // Another name in between, so that the answer is asked for again.
        names.addresses("y.test").await.unwrap();
        assert_eq!(names.zone("x.test").await.unwrap(), Zone::Public);
        assert_eq!(dialled(names, Zone::Public).await, "`x.test` leads into a private network");
    }
}
