//! Names of the test's own, and where those that lead inside are not followed.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use refs_registry::{
    Dns, Error, Options, Proxies, Registries, Source,
    auth::{Anonymous, Credential, Static},
    error::Fault,
};
use refs_url::{Digest, Host};

use crate::{
    certificates::{ca_file, server_of},
    peer::{Peer, Reply},
    setup::{TestClock, challenge, hosts, name, options, tag},
};

type Answer = dyn Fn(&str, usize) -> Option<&'static str> + Send + Sync;

/// Says where names lead, by how often they were asked for before.
pub(crate) struct TestDns {
    answer: Box<Answer>,
    asked: Mutex<Vec<String>>,
}

impl TestDns {
    pub(crate) fn new(answer: impl Fn(&str, usize) -> Option<&'static str> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), asked: Mutex::default() })
    }

    /// All names lead to loopback.
    pub(crate) fn loopback() -> Arc<Self> {
        Self::new(|_, _| Some("127.0.0.1"))
    }
}

impl fmt::Debug for TestDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDns").field("asked", &self.asked).finish_non_exhaustive()
    }
}

#[async_trait]
impl Dns for TestDns {
    async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let before = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(name.to_owned());
            asked.iter().filter(|known| *known == name).count() - 1
        };
        let address = (self.answer)(name, before).ok_or(io::ErrorKind::NotFound)?;
        Ok(vec![SocketAddr::new(address.parse().unwrap(), 0)])
    }
}

/// A client that goes by `dns`.
pub(crate) fn by_name(clock: &Arc<TestClock>, dns: Arc<dyn Dns>) -> Options {
    Options { dns, proxies: Proxies::Ignored, ..options(clock, vec![Arc::new(Anonymous)]) }
}

/// What comes of asking a registry, without TLS and on loopback, that answers so. `meta.test` and `inner.test` are names
/// that lead elsewhere.
async fn ask(answer: impl FnMut() -> Reply + Send + 'static) -> Result<(), Error> {
    let mut answer = answer;
    let peer = Peer::start(move |_| answer()).await;
    let host = peer.at("r.test");
    let dns = TestDns::new(|name, _| {
        Some(match name {
            "meta.test" => "169.254.169.254",
            "inner.r.test" => "10.0.0.1",
            _ => "127.0.0.1",
        })
    });
    let credential = Credential::Basic { username: "user".into(), password: "secret".into() };
    let credentials = Arc::new(Static::new(host.clone(), "the test", credential));
    let hosts = hosts([host.clone()], None);
    let options = Options { hosts, credentials, ..by_name(&TestClock::new(), dns) };
    let repository = Registries::new(options).repository(&host, &name()).unwrap();
    repository.stat_blob(&Digest::sha256(b"blob")).await.map(drop)
}

#[tokio::test]
async fn m028_m035_a_name_that_leads_inside_is_not_dialled() {
    let content = Peer::start(|_| Reply::ok("blob")).await;
    let to = format!("http://{}/blob", content.at("cdn.test"));
    ask(move || Reply::redirect(307, &*to)).await.unwrap();
    for to in ["http://meta.test/latest", "http://inner.r.test/"] {
        let error = ask(move || Reply::redirect(307, to)).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { fault: Fault::PrivateAddress(_), .. }), "{to}: {error:?}");
    }
    // The site is the registry's own, and TLS is spoken: the address alone is wrong.
    let error = ask(|| challenge("https://inner.r.test/token", "")).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { fault: Fault::PrivateAddress(_), .. }), "{error:?}");
}

#[tokio::test]
async fn m035_a_registry_whose_name_moves_inside_is_not_followed() {
    let peer = Peer::start(|_| Reply::ok("blob")).await;
    let (host, clock) = (peer.at("r.test"), TestClock::new());
    let time = clock.clone();
    // Outside when it is judged, and on loopback when it is dialled, a minute later.
    let dns = TestDns::new(move |_, before| {
        time.advance(Duration::from_secs(60));
        Some(if before == 0 { "203.0.113.1" } else { "127.0.0.1" })
    });
    let options = Options { hosts: hosts([host.clone()], None), ..by_name(&clock, dns) };
    let error = Registries::new(options).repository(&host, &name()).unwrap().manifest(&tag("v1")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Protocol { fault: Fault::PrivateAddress(name), .. } if name == "r.test"),
        "{error:?}"
    );
    assert!(peer.seen().is_empty());
}

#[tokio::test]
async fn a_name_without_an_address_is_a_host_that_cannot_be_reached() {
    let options = by_name(&TestClock::new(), TestDns::new(|_, _| None));
    let host = Host::parse("r.test").unwrap();
    let error = Registries::new(options).repository(&host, &name()).unwrap().manifest(&tag("v1")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach r.test");
}

#[tokio::test]
async fn m055_a_host_without_tls_is_so_for_itself_alone() {
    let plain = Peer::start(|_| Reply::json(r#"{"token":"t"}"#)).await;
    let to = format!("http://{}/token", plain.at("plain.test"));
    for answer in [Reply::redirect(307, &*to), challenge(&to, "")] {
        let secured = Peer::start_tls(server_of(&["r.test"]), move |_| answer.clone()).await;
        let options = Options {
            hosts: hosts([plain.at("plain.test")], Some(ca_file())),
            ..by_name(&TestClock::new(), TestDns::loopback())
        };
        let repository = Registries::new(options).repository(&secured.at("r.test"), &name()).unwrap();
        let error = repository.stat_blob(&Digest::sha256(b"blob")).await.unwrap_err();
        let is_refused = |fault: &Fault| matches!(fault, Fault::UnsafeRedirect { .. } | Fault::UntrustedRealm(_));
        assert!(matches!(&error, Error::Protocol { fault, .. } if is_refused(fault)), "{error:?}");
        assert_eq!((secured.seen().len(), plain.seen().len()), (1, 0));
    }
}
