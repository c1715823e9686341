//! Certificates of the test's own, and what becomes of bad ones.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use refs_registry::{Error, Options, Registries, Source};
use refs_url::Digest;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tempfile::TempDir;

use crate::{
    names::{TestDns, by_name},
    peer::{Peer, Reply},
    setup::{TestClock, name},
};

/// The one who signs the certificates of all tests.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // By its own name: a certificate that is signed by itself has the usual one.
    params.distinguished_name.push(DnType::CommonName, "the authority of the tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
    Authority { issuer, folder }
});

/// The file to trust.
pub(crate) fn ca_file() -> PathBuf {
    AUTHORITY.folder.path().join("ca.pem")
}

/// What a server needs to be taken for each of `names`.
pub(crate) fn server_of(names: &[&str]) -> Arc<ServerConfig> {
    serve_with(&params(names))
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap()
}

fn serve_with(params: &CertificateParams) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &AUTHORITY.issuer).unwrap();
    server(certificate.der().clone(), &key)
}

fn server(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    Arc::new(config.with_single_cert(vec![certificate], key).unwrap())
}

/// What a client, to whom the test's authority is known, says of a registry that shows this.
async fn check(shown: Arc<ServerConfig>, expect: &str) {
    let peer = Peer::start_tls(shown, |_| Reply::ok("blob")).await;
    let clock = TestClock::new();
    let options = Options { ca_files: vec![ca_file()], ..by_name(&clock, TestDns::loopback()) };
    let repository = Registries::new(options).repository(&peer.at("r.test"), &name()).unwrap();
    let error = repository.stat_blob(&Digest::sha256(b"blob")).await.unwrap_err();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let told = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    assert!(matches!(error, Error::Unreachable { .. }) && told.contains(expect), "{told}");
    // Neither without TLS nor a second time.
    assert_eq!((peer.seen().len(), clock.waits().len()), (0, 0));
}

#[tokio::test]
async fn m054_a_bad_certificate_is_refused_and_the_error_says_what_is_wrong() {
    let own = KeyPair::generate().unwrap();
    let by_itself = params(&["r.test"]).self_signed(&own).unwrap();
    check(server(by_itself.der().clone(), &own), "UnknownIssuer").await;
    let mut ended = params(&["r.test"]);
    ended.not_before = date_time_ymd(2001, 1, 1);
    ended.not_after = date_time_ymd(2002, 1, 1);
    check(serve_with(&ended), "expired").await;
    check(server_of(&["s.test"]), "not valid for name").await;
}

#[tokio::test]
async fn a_good_certificate_is_taken() {
    let peer = Peer::start_tls(server_of(&["r.test"]), |_| Reply::ok("blob")).await;
    let options = Options { ca_files: vec![ca_file()], ..by_name(&TestClock::new(), TestDns::loopback()) };
    let repository = Registries::new(options).repository(&peer.at("r.test"), &name()).unwrap();
    assert_eq!(repository.stat_blob(&Digest::sha256(b"blob")).await.unwrap(), Some(4));
}
