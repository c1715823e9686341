//! What a command line names: places, and the registries that they are in.

use refs_client::Location;
use refs_registry::Platform;
use refs_url::Host;

use crate::{
    args::{Cache, Command, Doctor},
    place::Place,
};

impl Command {
    /// The places that the command reads, in the order in which they are written, and that which it writes.
    pub(crate) fn locations(&self) -> Vec<&Location> {
        let at = match self {
            Self::Doctor(Doctor { at: Place::At(at), .. }) => at,
            Self::Cp(cp) => return vec![&cp.from, &cp.to],
            Self::Push(push) => &push.to,
            Self::Ls(ls) => &ls.at,
            Self::Cat(cat) => &cat.at,
            Self::Inspect(inspect) => &inspect.at,
            Self::Pull(pull) => &pull.at,
            Self::Unpack(unpack) => &unpack.at,
            Self::Resolve(resolve) => &resolve.at,
            Self::Tags(tags) => &tags.at,
            Self::Referrers(referrers) => &referrers.at,
            Self::Tree(tree) => &tree.at,
            Self::Tag(retag) => &retag.at,
            Self::Rm(rm) => &rm.at,
            Self::Manifest(manifest) => &manifest.at,
            Self::Blob(blob) => blob.at(),
            Self::Diff(diff) => return vec![&diff.old, &diff.new],
            Self::Cache(Cache::Fetch(fetch)) => return fetch.at.iter().collect(),
            Self::Doctor(Doctor { at: Place::Host(_), .. })
            | Self::Repos(_)
            | Self::Api(_)
            | Self::Serve(_)
            | Self::Pack(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Cache(_)
            | Self::Demo
            | Self::Completions(_)
            | Self::Man(_) => return Vec::new(),
        };
        vec![at]
    }

    /// The platform that one image of an index is asked for by.
    pub(crate) const fn platform(&self) -> Option<&Platform> {
        match self {
            Self::Ls(ls) => ls.read.platform.as_ref(),
            Self::Cat(cat) => cat.read.platform.as_ref(),
            Self::Inspect(inspect) => inspect.read.platform.as_ref(),
            Self::Pull(pull) => pull.read.platform.as_ref(),
            Self::Unpack(unpack) => unpack.platform.as_ref(),
            Self::Resolve(resolve) => resolve.platform.as_ref(),
            Self::Manifest(manifest) => manifest.platform.as_ref(),
            Self::Diff(diff) => diff.read.platform.as_ref(),
            _ => None,
        }
    }

    /// The registries that the command may show given credentials to, each once. A login sees to that itself.
    pub(crate) fn registries(&self) -> Vec<Host> {
        match self {
            Self::Doctor(Doctor { at: Place::Host(host), .. }) => return vec![host.clone()],
            Self::Repos(repos) => return vec![repos.host.clone()],
            Self::Api(api) => return vec![api.target.host.clone()],
            Self::Serve(serve) => return serve.registries(),
            _ => {}
        }
        let mut hosts = Vec::new();
        for (host, _) in self.locations().into_iter().filter_map(|at| at.registry().ok()) {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        hosts
    }
}
