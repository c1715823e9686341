//! What is set for one host, and where: by the caller, in our own file, and in those of containerd, docker and podman.

mod certs_d;
pub(crate) mod containerd;
pub(crate) mod document;
mod fault;
mod lookup;
mod mirror;
pub(crate) mod own;
mod own_host;
mod podman;
mod settings;

pub use fault::SettingsFault;
pub use lookup::{Files, Hosts, Scope};
pub use mirror::{Mirror, Moved, Serves};
pub use settings::{ClientCertificate, HostSettings, Origin, Proxy, ProxyUrl, Security, Set};

pub(crate) use certs_d::files;
pub(crate) use lookup::Lookup;
pub(crate) use mirror::{beneath, host_of};
