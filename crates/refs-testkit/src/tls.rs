//! TLS on loopback, with a certificate authority that the test makes.

use std::{fmt, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use refs_url::Host;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{io::copy_bidirectional, net::TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::port::Port;

/// A certificate authority, which nobody trusts but those who are given its certificate.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and the key to it, both as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// When a certificate counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Life {
    /// Now, and for as long as any test will run.
    #[default]
    Current,
    /// Until a day that has passed.
    Over,
}

/// TLS before a peer that speaks none: what comes is decrypted and handed on, byte by byte.
///
/// It listens on loopback, runs on a thread of its own, and ends when it is dropped.
pub struct TlsFront {
    host: Host,
    _port: Port,
}

#[expect(clippy::expect_used, reason = "a test without certificates can only fail")]
impl Authority {
    /// An authority of this name.
    ///
    /// # Panics
    /// When the machine has no random numbers.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, as PEM: who has it trusts all that it issues.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for all of `names`, which may be addresses.
    ///
    /// # Panics
    /// When one of them can't be in a certificate.
    #[must_use]
    pub fn issue(&self, names: &[&str], life: Life) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = leaf(names, life).signed_by(&key, &self.issuer).expect("a certificate");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

#[expect(clippy::expect_used, reason = "a test without certificates can only fail")]
impl Identity {
    /// A certificate for `name` that vouches for itself.
    ///
    /// # Panics
    /// When `name` can't be in a certificate.
    #[must_use]
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let certificate = leaf(&[name], Life::Current).self_signed(&key).expect("a certificate");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A certificate for `name` that vouches for itself and may vouch for others, as `openssl req -x509` makes one that is
    /// told nothing else.
    ///
    /// # Panics
    /// When `name` can't be in a certificate.
    #[must_use]
    pub fn self_signed_authority(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = leaf(&[name], Life::Current);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The settings of a server that is this; with `clients`, one that refuses whoever has no certificate of theirs. No
    /// protocol is announced: the caller adds to `alpn_protocols` what it speaks.
    ///
    /// # Panics
    /// When the certificate and the key are no PEM, or do not belong together.
    #[must_use]
    pub fn server(&self, clients: Option<&Authority>) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("the versions that ring has");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate(&authority.pem)).expect("the certificate of an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a root"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        builder.with_single_cert(vec![certificate(&self.certificate)], key).expect("a key of the certificate's")
    }
}

#[expect(clippy::expect_used, reason = "a test without a port can only fail")]
impl TlsFront {
    /// Listens with the settings `server`, and hands what is said there on to `to`.
    ///
    /// # Panics
    /// When the machine has no port or thread left.
    #[must_use]
    pub fn start(to: &Host, mut server: ServerConfig) -> Self {
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let (acceptor, to) = (TlsAcceptor::from(Arc::new(server)), to.clone());
        let port = Port::open(move |stream| connection(stream, acceptor.clone(), to.clone()));
        let host = Host::parse(&format!("localhost:{}", port.address.port())).expect("a host");
        Self { host, _port: port }
    }

    /// Where it listens: `localhost` and a port.
    #[must_use]
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// The same place by its address, which is another name to a certificate.
    ///
    /// # Panics
    /// Never: an address and a port are a host.
    #[must_use]
    pub fn address(&self) -> Host {
        Host::parse(&self.host.as_str().replace("localhost", "127.0.0.1")).expect("a host")
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, to: Host) {
    // A handshake that fails, and a connection that breaks, is what tests of TLS are about.
    let (Ok(mut inside), Ok(mut peer)) = (acceptor.accept(stream).await, TcpStream::connect(to.as_str()).await) else {
        return;
    };
    drop(copy_bidirectional(&mut inside, &mut peer).await);
}

#[expect(clippy::expect_used, reason = "a wrong literal in a test")]
fn leaf(names: &[&str], life: Life) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
        .expect("a name for a certificate");
    // The machine may trust somebody called `localhost`, whom a self-signed certificate would then claim to be from.
    params.distinguished_name.push(DnType::CommonName, "the server of a test");
    if life == Life::Over {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    }
    params
}

#[expect(clippy::expect_used, reason = "what this file made is what it says")]
fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("pem", &self.pem).finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsFront {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFront").field("host", &self.host).finish_non_exhaustive()
    }
}
