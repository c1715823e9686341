#![doc = include_str!("../README.md")]

mod accepting;
mod access;
mod answer;
mod answered;
mod blobs;
mod body;
mod call;
mod conditions;
mod connection;
mod error;
mod health;
mod listing;
mod load;
mod manifests;
#[cfg(feature = "metrics")]
mod metrics;
mod mirror;
mod neighbours;
mod observer;
mod options;
mod places;
mod range;
mod reading;
mod referrers;
mod rest;
mod route;
mod serve;
mod server;
mod service;
mod session;
mod tls;
mod turns;
mod uploads;
mod watch;

pub use access::{
    Access, Actions, Anonymous, Grant, Htpasswd, HtpasswdError, HtpasswdFault, Key, Rights, Scheme, ShortKey,
    TokenOptions, UnknownAction,
};
pub use answer::{Body, BoxError};
pub use answered::{Answered, End, Endpoint, Found};
pub use call::{Call, Page, Read, Start, UploadId, Write};
pub use error::{Code, Refusal};
pub use health::{Health, Probe};
pub use load::Load;
#[cfg(feature = "metrics")]
pub use metrics::{Metrics, serve_metrics};
pub use mirror::{Mirror, MirrorOptions, TagOptions, Upstream};
pub use observer::Observer;
pub use options::Options;
pub use route::{Route, RouteError};
pub use serve::{ServeOptions, serve};
pub use server::Server;
pub use tls::{Tls, TlsError, tls};
pub use watch::Peer;
