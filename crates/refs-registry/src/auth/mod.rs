//! Who we are to a registry: challenges, scopes, tokens, and where credentials come from.

mod authority;
mod challenge;
mod credentials;
mod docker_config;
mod docker_file;
mod found;
mod github;
mod helper;
mod json_object;
mod login;
mod program;
mod realm;
mod saved;
mod scope;
mod secret;
mod token;
mod token_service;

pub use credentials::{Anonymous, Candidate, Chain, Credential, Credentials, Static};
pub use docker_config::DockerConfig;
pub use github::GitHub;
pub use program::Programs;
pub use saved::{Forgotten, Saved};
pub use secret::Secret;

pub(crate) use authority::Authority;
pub(crate) use challenge::Demand;
pub(crate) use login::{Login, Refusal};
pub(crate) use realm::is_at;
pub(crate) use scope::Scopes;
pub(crate) use token::Tokens;
