//! Who we are to a registry: challenges, scopes, tokens, and where credentials come from.

mod challenge;
mod credentials;
mod docker_config;
mod login;
mod realm;
mod scope;
mod secret;
mod token;

pub use credentials::{Anonymous, Candidate, Chain, Credential, Credentials, Static};
pub use docker_config::DockerConfig;
pub use secret::Secret;

pub(crate) use challenge::Demand;
pub(crate) use login::{Authority, Login, Refusal};
pub(crate) use scope::Scopes;
pub(crate) use token::Tokens;
