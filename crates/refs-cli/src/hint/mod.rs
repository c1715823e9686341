//! What to do next about an error, where that is not plain from its message.

pub(crate) mod cache;
mod client;
pub(crate) mod machine;
mod named;
mod place;
mod registry;

use std::io;

pub(crate) use client::client_hint;
pub(crate) use named::{Asked, hint_by_place};
pub(crate) use place::{destination_hint, host_hint};
pub(crate) use registry::registry_hint;

use refs_registry::ErrorKind;

use crate::{commands::Failure, server_config::Fault};

/// How the cache comes by what it lacks.
const FETCH: &str = "refs cache fetch REF";

/// What to do next, where that is not plain from the message.
pub(crate) fn hint(failure: &Failure) -> Option<String> {
    machine::of(failure).map(str::to_owned).or_else(|| hint_of(failure)).or_else(|| machine::denied(failure))
}

fn hint_of(failure: &Failure) -> Option<String> {
    match failure {
        Failure::Fetch { source: refs_client::Error::Registry(error), .. } if error.kind() == ErrorKind::NotCached => Some(
            "the cache did not take it: `refs cache verify` puts aside what is damaged there, `refs cache info` tells how \
             much it holds"
                .to_owned(),
        ),
        Failure::Client(error) | Failure::Fetch { source: error, .. } => client_hint(error),
        Failure::Offline(error) => Some(offline_hint(error)),
        Failure::Kept(_) => Some(cache::of_damaged(FETCH)),
        Failure::Hinted { hint, .. } => Some(hint.clone()),
        Failure::Registry(error) => registry_hint(error),
        Failure::Cache(error) => Some(cache::for_keeper(error)),
        Failure::Credentials(fault) => fault.hint(),
        Failure::Deadline(_) => Some("allow more with `--timeout TIME`".to_owned()),
        Failure::Deleting(fault) => fault.hint(),
        Failure::Api(fault) => fault.hint(),
        Failure::Serve { at, source } if source.kind() == io::ErrorKind::AddrInUse => {
            Some(format!("stop what listens there, or take a free port with {}", at.instead("127.0.0.1:0")))
        }
        Failure::Serve { at, source } if source.kind() == io::ErrorKind::InvalidInput => {
            Some(format!("name an address and a port, such as {}", at.instead("127.0.0.1:5000")))
        }
        Failure::ServerConfig(Fault::Name { source, .. }) => source.hint(),
        Failure::PackToStdout => Some("name a file; one that is called `-` is `./-`".to_owned()),
        Failure::Root { root, .. } if root.is_file() => {
            Some("`--root` is a directory, which need not be there yet".to_owned())
        }
        Failure::Root { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
            Some("name another directory with `--root DIR`, which need not be there yet".to_owned())
        }
        _ => None,
    }
}

/// What to do next about versions of which none that the cache knows will do.
fn offline_hint(error: &refs_client::Error) -> String {
    const OTHERS: &str =
        "only the tags that the cache knows were looked at; without `--offline` the registry is asked for all";
    match error {
        refs_client::Error::NoMatchingVersion { left_out: Some(left_out), .. } => format!("{left_out}; {OTHERS}"),
        _ => OTHERS.to_owned(),
    }
}
