//! TLS with certificates of the test's own: who is trusted, and who we are.

use std::path::{Path, PathBuf};

use refs_registry::{
    Options, Registries,
    hosts::{ClientCertificate, Files, HostSettings, Hosts, Origin, Scope, Set},
};
use refs_testkit::{
    FakeRegistry,
    tls::{Authority, Identity, Life, TlsFront},
};
use refs_url::Host;

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, anonymous, name, options, tag},
};

const FROM: Origin = Origin::Given("the test");

fn set<T>(value: T) -> Set<T> {
    Set { value, from: FROM }
}

fn registries(hosts: Hosts) -> Registries {
    Registries::new(Options { hosts, ..options(&TestClock::new(), Vec::new()) })
}

/// Trusts what is at `ca`, for `host`.
fn trusting(host: &Host, ca: PathBuf) -> Hosts {
    let settings = HostSettings { ca: vec![set(ca)], ..HostSettings::default() };
    Hosts::default().with(Scope::One(host.clone()), settings)
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), text).unwrap();
    folder.join(name)
}

/// The error and its causes, as a person sees them.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn a_ca_in_a_file_and_in_a_folder_is_trusted() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let registry = FakeRegistry::start().await;
    let front = TlsFront::start(&registry.host(), authority.issue(&["localhost"], Life::Current).server(None));
    let file = write(folder.path(), "ca.pem", authority.pem());
    write(folder.path(), "README", "no certificate");
    for ca in [file, folder.path().to_owned()] {
        registries(trusting(&front.host(), ca)).registry(&front.host()).unwrap().ping().await.unwrap();
    }
    assert_eq!(registry.requests(), ["GET /v2/", "GET /v2/"]);
}

#[tokio::test]
async fn a_folder_without_certificates_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::parse("localhost:1").unwrap();
    let registries = registries(trusting(&host, folder.path().to_owned()));
    let error = registries.registry(&host).unwrap().ping().await.unwrap_err();
    let folder = folder.path().display();
    assert_eq!(told(&error), format!("cannot use `{folder}`: no file in it ends in `.crt`, `.pem` or `.cer`"));
}

/// What is said of a server that shows `identity` to who trusts `authority`; it is never asked for anything.
#[track_caller]
fn check_refused(authority: &Authority, identity: &Identity, at: impl Fn(&TlsFront) -> Host, expect: &str) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = FakeRegistry::builder().start_blocking();
    let front = TlsFront::start(&registry.host(), identity.server(None));
    let host = at(&front);
    let registries = registries(trusting(&host, write(folder.path(), "ca.pem", authority.pem())));
    let error = runtime.block_on(async { registries.registry(&host).unwrap().ping().await.unwrap_err() });
    assert!(told(&error).starts_with(&format!("cannot reach {host}: ")), "{}", told(&error));
    assert!(told(&error).contains(expect), "{}", told(&error));
    assert_eq!(registry.requests(), [] as [&str; 0], "nothing is asked without TLS instead");
}

#[test]
fn m054_certificates_that_are_no_good_are_refused_and_the_error_says_why() {
    let authority = Authority::new("ours");
    let good = authority.issue(&["localhost"], Life::Current);
    let foreign = Authority::new("foreign").issue(&["localhost"], Life::Current);
    check_refused(&authority, &Identity::self_signed("localhost"), TlsFront::host, "UnknownIssuer");
    check_refused(&authority, &foreign, TlsFront::host, "UnknownIssuer");
    check_refused(&authority, &authority.issue(&["localhost"], Life::Over), TlsFront::host, "certificate expired");
    check_refused(&authority, &good, TlsFront::address, "certificate not valid for name \"127.0.0.1\"");
    check_refused(&authority, &authority.issue(&["other.test"], Life::Current), TlsFront::host, "not valid for name");
}

#[tokio::test]
async fn who_we_are_is_shown_to_the_one_host_that_it_is_for() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let registry = FakeRegistry::start().await;
    let server = authority.issue(&["localhost"], Life::Current).server(Some(&authority));
    let front = TlsFront::start(&registry.host(), server.clone());
    let other = TlsFront::start(&registry.host(), server);
    let us = authority.issue(&["us"], Life::Current);
    let ca = write(folder.path(), "ca.pem", authority.pem());
    let certificate = write(folder.path(), "us.pem", &us.certificate);
    let key = write(folder.path(), "us.key", &us.key);
    let client = Some(set(ClientCertificate { certificate, key }));
    let ours = HostSettings { client, ..HostSettings::default() };
    let hosts = trusting(&front.host(), ca.clone()).with(Scope::One(front.host()), ours);
    let hosts = Hosts { given: [hosts.given, trusting(&other.host(), ca).given].concat(), ..hosts };
    let registries = registries(hosts);
    registries.registry(&front.host()).unwrap().ping().await.unwrap();
    let error = registries.registry(&other.host()).unwrap().ping().await.unwrap_err();
    assert!(told(&error).contains("CertificateRequired"), "{}", told(&error));
    assert_eq!(registry.requests(), ["GET /v2/"]);
}

#[tokio::test]
async fn dockers_folder_for_a_host_has_all_that_mutual_tls_takes() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let registry = FakeRegistry::start().await;
    let server = authority.issue(&["localhost"], Life::Current).server(Some(&authority));
    let front = TlsFront::start(&registry.host(), server);
    let (us, of_host) = (authority.issue(&["us"], Life::Current), folder.path().join(front.host().as_str()));
    write(&of_host, "ca.crt", authority.pem());
    write(&of_host, "client.cert", &us.certificate);
    write(&of_host, "client.key", &us.key);
    let files = Files { docker: vec![folder.path().to_owned()], ..Files::default() };
    let registries = registries(Hosts { files, ..Hosts::default() });
    registries.registry(&front.host()).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_client_certificate_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::parse("localhost:1").unwrap();
    let certificate = write(folder.path(), "us.pem", &Identity::self_signed("us").certificate);
    let key = write(folder.path(), "us.key", "no key");
    let told_of = |client| async {
        let settings = HostSettings { client: Some(set(client)), ..HostSettings::default() };
        let registries = registries(Hosts::default().with(Scope::One(host.clone()), settings));
        let error = registries.registry(&host).unwrap().ping().await.unwrap_err();
        error.to_string().replace(&folder.path().display().to_string(), "…")
    };
    let none = folder.path().join("none.pem");
    let absent = ClientCertificate { certificate: none, key: key.clone() };
    assert_eq!(told_of(absent).await, "cannot use the client certificate `…/none.pem`");
    let no_key = ClientCertificate { certificate: certificate.clone(), key };
    assert_eq!(told_of(no_key).await, "cannot use the key `…/us.key` of a client certificate");
    let other = write(folder.path(), "other.key", &Identity::self_signed("us").key);
    let foreign = ClientCertificate { certificate, key: other };
    assert_eq!(told_of(foreign).await, "cannot use the client certificate `…/us.pem`");
}

#[tokio::test]
async fn m055_plain_http_for_one_host_is_for_no_other() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let elsewhere = Peer::start(|_| Reply::ok("secret")).await;
    let location = elsewhere.url("/x");
    let peer = Peer::start(move |_| Reply::redirect(307, location.clone())).await;
    let front = TlsFront::start(&peer.host, authority.issue(&["localhost"], Life::Current).server(None));
    let ca = write(folder.path(), "ca.pem", authority.pem());
    let plain = Host::parse("plain.test").unwrap();
    let hosts = trusting(&front.host(), ca).with(Scope::One(plain.clone()), HostSettings::plain(FROM));
    let repository = registries(hosts).repository(&front.host(), &name()).unwrap();
    let error = refs_registry::Source::manifest(&repository, &tag("v1")).await.unwrap_err();
    assert!(told(&error).contains("it gives up TLS"), "{}", told(&error));
    assert!(elsewhere.seen().is_empty());
    // A realm of a host with TLS, without.
    let realm = elsewhere.url("/token");
    let peer = Peer::start(move |_| crate::setup::challenge(&realm, "repository:a/b:pull")).await;
    let front = TlsFront::start(&peer.host, authority.issue(&["localhost"], Life::Current).server(None));
    let ca = write(folder.path(), "ca.pem", authority.pem());
    let hosts = trusting(&front.host(), ca).with(Scope::One(plain), HostSettings::plain(FROM));
    let repository = registries(hosts).repository(&front.host(), &name()).unwrap();
    refs_registry::Source::manifest(&repository, &tag("v1")).await.unwrap_err();
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_host_without_certificates_of_its_own_is_as_it_was() {
    let peer = Peer::start(|_| Reply::ok("{}")).await;
    anonymous().registry(&peer.host).unwrap().ping().await.unwrap();
}
