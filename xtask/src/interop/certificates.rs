//! Mutual TLS: an authority made for one run, and who has a certificate from it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use refs_registry::hosts::{ClientCertificate, HostSettings, Hosts, Origin, Scope, Set};
use refs_testkit::tls::{Authority, Identity, Life};
use refs_url::Host;
use serde_json::{Value, json};

use super::trees::write;
use crate::error::Result;

/// Files of PEM: what the authority issued to a server at `localhost` and to its one client.
#[derive(Debug)]
pub(crate) struct Certificates {
    authority: PathBuf,
    server: ClientCertificate,
    client: ClientCertificate,
    /// From another authority of the same name, which the server does not know.
    foreign: ClientCertificate,
}

impl Certificates {
    /// Issues them, and writes them into `dir`.
    pub(crate) fn write(dir: &Path) -> Result<Self> {
        const NAME: &str = "interop";
        let (ours, foreign) = (Authority::new(NAME), Authority::new(NAME));
        let authority = dir.join("ca.pem");
        write(&authority, ours.pem().as_bytes())?;
        Ok(Self {
            authority,
            server: pair(dir, "server", &ours.issue(&["localhost"], Life::Current))?,
            client: pair(dir, "client", &ours.issue(&["client"], Life::Current))?,
            foreign: pair(dir, "foreign", &foreign.issue(&["client"], Life::Current))?,
        })
    }

    /// The `http.tls` of docker-registry that speaks to nobody but the client.
    pub(crate) fn tls(&self) -> Value {
        let ClientCertificate { certificate, key } = &self.server;
        json!({"certificate": certificate, "key": key, "clientcas": [self.authority]})
    }

    /// The flags of our own server that say who it is.
    pub(crate) fn of_server(&self) -> [&OsStr; 4] {
        let ClientCertificate { certificate, key } = &self.server;
        ["--tls-cert".as_ref(), certificate.as_ref(), "--tls-key".as_ref(), key.as_ref()]
    }

    /// Whom to trust, as PEM.
    pub(crate) fn authority(&self) -> &Path {
        &self.authority
    }

    /// What our client has to know of the server at `host`.
    pub(crate) fn hosts(&self, host: &Host) -> Hosts {
        let from = Origin::Given("the run");
        let settings = HostSettings {
            ca: vec![Set { value: self.authority.clone(), from: from.clone() }],
            client: Some(Set { value: self.client.clone(), from }),
            ..HostSettings::default()
        };
        Hosts::default().with(Scope::One(host.clone()), settings)
    }

    /// The flags of `refs` that say the same.
    pub(crate) fn flags(&self) -> Vec<&OsStr> {
        [self.trusting(), showing(&self.client)].concat()
    }

    /// Flags that trust the server, and show it nothing.
    pub(crate) fn trusting(&self) -> Vec<&OsStr> {
        vec!["--ca".as_ref(), self.authority.as_ref()]
    }

    /// Flags that trust the server, and show it a certificate that it can't know.
    pub(crate) fn foreign(&self) -> Vec<&OsStr> {
        [self.trusting(), showing(&self.foreign)].concat()
    }
}

fn showing(client: &ClientCertificate) -> Vec<&OsStr> {
    vec!["--client-cert".as_ref(), client.certificate.as_ref(), "--client-key".as_ref(), client.key.as_ref()]
}

fn pair(dir: &Path, name: &str, identity: &Identity) -> Result<ClientCertificate> {
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    write(&certificate, identity.certificate.as_bytes())?;
    write(&key, identity.key.as_bytes())?;
    Ok(ClientCertificate { certificate, key })
}
