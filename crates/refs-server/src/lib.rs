#![doc = include_str!("../README.md")]

mod answer;
mod answered;
mod blobs;
mod body;
mod call;
mod error;
mod listing;
mod manifests;
mod mirror;
mod neighbours;
mod range;
mod referrers;
mod route;
mod serve;
mod server;
mod service;
mod session;
mod uploads;

pub use answer::{Body, BoxError};
pub use answered::Answered;
pub use call::{Call, Page, Read, Start, UploadId, Write};
pub use error::{Code, Refusal};
pub use mirror::{Mirror, MirrorOptions, TagOptions, Upstream};
pub use route::{Route, RouteError};
pub use serve::{ServeOptions, serve};
pub use server::{Options, Server};
