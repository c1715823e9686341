//! What works against a registry, tried out.

use refs_url::{RepoName, Target};

use crate::{
    Error, Registry,
    auth::Demand,
    error::{Detail, Fault, Place, Wanted},
    transport::{Answer, retry_after},
};

/// Something that a registry may do, and whether it does.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was tried.
    pub of: Aspect,
    /// What came of it.
    pub outcome: Outcome,
}

/// What is tried of a registry, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aspect {
    /// A connection, and the protocol on it.
    Connection,
    /// `/v2/`, which makes a host a registry.
    Api,
    /// Who we are to it.
    Login,
    /// The manifest that a reference names.
    Manifest,
    /// How many requests are allowed.
    Rate,
    /// Parts of blobs.
    Ranges,
    /// The list of referrers.
    Referrers,
    /// Uploads in pieces.
    Uploads,
}

/// What came of trying something.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// It works; in words, how.
    Works(String),
    /// It does not.
    Fails(Error),
    /// It could not be tried; in words, why.
    Unknown(&'static str),
}

/// Whether uploads are tried, for which something has to be begun in the repository. It is cancelled, and leaves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Uploads {
    /// They are not.
    #[default]
    Untouched,
    /// They are.
    Tried,
}

impl Finding {
    pub(crate) fn works(of: Aspect, how: impl Into<String>) -> Self {
        Self { of, outcome: Outcome::Works(how.into()) }
    }

    pub(crate) const fn fails(of: Aspect, error: Error) -> Self {
        Self { of, outcome: Outcome::Fails(error) }
    }

    pub(crate) const fn unknown(of: Aspect, why: &'static str) -> Self {
        Self { of, outcome: Outcome::Unknown(why) }
    }
}

impl Registry {
    /// Tries the registry out: whether it is reached, is a registry, and takes our credentials. What fails ends it.
    pub async fn probe(&self) -> Vec<Finding> {
        let mut answer = match self.knock().await {
            Ok(answer) => answer,
            Err(error) => return vec![Finding::fails(Aspect::Connection, error)],
        };
        let mut findings = vec![Finding::works(Aspect::Connection, connection(&answer))];
        let demand = Demand::of(&answer.headers);
        let status = answer.status.as_u16();
        if !matches!(status, 200 | 401 | 403 | 429) {
            let error = match status {
                404 => Error::NotFound {
                    wanted: Wanted::Host(self.host().clone()),
                    at: Place::registry(self.host().as_str()),
                    code: None,
                },
                _ => {
                    let retry_after = retry_after(&answer.headers);
                    Error::Refused { at: answer.at, status, retry_after, detail: Detail::default() }
                }
            };
            findings.push(Finding::fails(Aspect::Api, error));
            return findings;
        }
        if status == 200 && answer.is_page().await {
            findings.push(Finding::fails(Aspect::Api, answer.protocol(Fault::Page)));
            return findings;
        }
        findings.push(Finding::works(Aspect::Api, "/v2/ answers as a registry's does"));
        findings.push(match self.check_auth().await {
            Ok(None) if demand.is_none() => Finding::works(Aspect::Login, "it asks nobody who they are"),
            Ok(None) => Finding::works(Aspect::Login, format!("everyone is let in; it asks for {}", wants(demand))),
            Ok(Some(from)) => Finding::works(Aspect::Login, format!("it took {from}; it asks for {}", wants(demand))),
            Err(error) => Finding::fails(Aspect::Login, error),
        });
        findings
    }

    /// Tries out the repository `name` likewise, at `target` or, without one, at its first tag.
    pub async fn probe_repository(&self, name: &RepoName, target: Option<&Target>, uploads: Uploads) -> Vec<Finding> {
        self.repository(name).probe(target, uploads).await
    }
}

/// What a registry asks for, in words.
fn wants(demand: Option<Demand>) -> String {
    match demand {
        None => "nothing".to_owned(),
        Some(Demand::Basic) => "name and password with each request".to_owned(),
        Some(Demand::Bearer { realm, service, .. }) => {
            // Of a URL, the query is nobody's business.
            let realm = realm.split('?').next().unwrap_or_default();
            let service = service.map(|service| format!(" for `{service}`")).unwrap_or_default();
            format!("a token of {realm}{service}")
        }
    }
}

fn connection(answer: &Answer) -> String {
    let tls = if answer.url.scheme() == "https" { "TLS" } else { "plain HTTP" };
    format!("{tls}, {:?}", answer.version)
}
