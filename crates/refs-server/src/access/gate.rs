//! The one place that asks who a request is from, and whether it may be.

use std::sync::Arc;

use http::{StatusCode, header::WWW_AUTHENTICATE, request};
use refs_url::RepoName;

use super::{
    Access, Actions, Rights, Scheme,
    challenge::{self, Fault},
    passwords::{Passwords, Verdict},
    rights::Caller,
    shown::Shown,
    token::{Scopes, Token},
};
use crate::{Call, Code, Refusal, Start, Write, watch::Notes};

/// What stands before everything that a server does.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(super) access: Access,
    pub(super) passwords: Passwords,
    rights: Arc<Rights>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// To know that this is a registry that lets the sender in.
    Entry,
    Catalog,
    Repository {
        name: &'a RepoName,
        actions: Actions,
        /// The repository whose blob is to be mounted.
        from: Option<&'a RepoName>,
    },
}

/// How far a request that was let in may look around.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// Everywhere.
    All,
    /// As far as its sender.
    Of(Arc<Rights>, Visitor),
}

/// The sender of a request, as far as that is certain.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    caller: Caller,
    /// Who comes by a token is held to it.
    scopes: Option<Scopes>,
}

impl<'a> Wanted<'a> {
    /// What `call` is for, where the repository in it is known here as `name`.
    pub(crate) fn of(call: &'a Call, name: Option<&'a RepoName>) -> Self {
        let in_repository =
            |own: &'a RepoName, actions, from| Self::Repository { name: name.unwrap_or(own), actions, from };
        match call {
            Call::Ping => Self::Entry,
            Call::Catalog(_) => Self::Catalog,
            Call::Read(own, _) => in_repository(own, Actions::PULL, None),
            Call::Write(own, Write::DeleteManifest(_) | Write::DeleteBlob(_)) => {
                in_repository(own, Actions::DELETE, None)
            }
            Call::Write(own, Write::Upload(Start::Mount { from, .. })) => {
                in_repository(own, Actions::PUSH, from.as_ref())
            }
            Call::Write(own, _) => in_repository(own, Actions::PUSH, None),
        }
    }

    /// The scope to ask a token for: who writes looks first, and should not need another token for that.
    fn scope(&self) -> String {
        match self {
            Self::Entry => String::new(),
            Self::Catalog => "registry:catalog:*".to_owned(),
            Self::Repository { name, actions, from } => {
                let own = format!("repository:{name}:{}", Actions::PULL | *actions);
                from.map_or_else(|| own.clone(), |from| format!("{own} repository:{from}:{}", Actions::PULL))
            }
        }
    }
}

impl Gate {
    pub(crate) fn new(access: Access) -> Self {
        let passwords = Passwords::new(access.users.clone(), Arc::clone(&access.clock));
        let rights = Arc::new(access.rights.clone());
        Self { access, passwords, rights }
    }

    /// Lets the request in that `head` is of, if its sender may have what is `wanted`.
    ///
    /// # Errors
    /// 401 with a challenge where other credentials might do, 403 where it is certain who asks, and that it is not for them.
    /// Neither depends on what is there.
    pub(crate) async fn admit(
        &self,
        wanted: Wanted<'_>,
        head: &request::Parts,
        notes: &Notes,
    ) -> Result<Reach, Refusal> {
        let visitor = match self.visitor(head).await? {
            Ok(visitor) => visitor,
            Err(fault) => return Err(self.refuse(wanted, head, fault)),
        };
        note(&visitor.caller, notes);
        let may = |name, actions| self.rights.of(&visitor.caller, name).contains(actions);
        let holds = |name, actions| visitor.scopes.as_ref().is_none_or(|scopes| scopes.allow(name, actions));
        let (is_allowed, is_in_scope) = match wanted {
            // A token is a proof of having asked, which is all that clients want to know before they begin.
            Wanted::Entry => (visitor.scopes.is_some() || visitor.caller != Caller::Stranger, true),
            Wanted::Catalog => {
                (self.is_for(&visitor.caller), visitor.scopes.as_ref().is_none_or(Scopes::allow_catalog))
            }
            Wanted::Repository { name, actions, from } => {
                // Where the sender may not read, a mount is not refused: it becomes an upload, whatever is there.
                let mounts = from.is_none_or(|from| !may(from, Actions::PULL) || holds(from, Actions::PULL));
                (may(name, actions), mounts && holds(name, actions))
            }
        };
        match (is_allowed, &visitor.caller) {
            (true, _) if is_in_scope => Ok(Reach::Of(Arc::clone(&self.rights), visitor)),
            (true, _) => Err(self.refuse(wanted, head, Fault::InsufficientScope)),
            (false, Caller::Stranger) => Err(self.refuse(wanted, head, Fault::Absent)),
            (false, Caller::User(_)) => Err(denied()),
        }
    }

    /// Whether `caller` has any business here.
    pub(super) fn is_for(&self, caller: &Caller) -> bool {
        *caller != Caller::Stranger || self.rights.anonymous == super::Anonymous::Pull
    }

    /// As much of `scopes` as `caller` may.
    pub(super) fn allowed(&self, scopes: Scopes, caller: &Caller) -> Scopes {
        scopes.within(|name| self.rights.of(caller, name))
    }

    /// Who has sent `head`; or what is wrong with what it says of that.
    async fn visitor(&self, head: &request::Parts) -> Result<Result<Visitor, Fault>, Refusal> {
        let by_password = |caller| Visitor { caller, scopes: None };
        Ok(match (Shown::of(&head.headers), &self.access.scheme) {
            (Shown::Nothing, _) => Ok(by_password(Caller::Stranger)),
            (Shown::Basic { user, password }, Scheme::Basic) => match self.passwords.check(&user, &password).await? {
                Verdict::Right => Ok(by_password(Caller::User(user))),
                Verdict::Wrong => Err(Fault::Absent),
            },
            (Shown::Bearer(text), Scheme::Bearer(tokens)) => {
                let now = self.access.clock.date();
                let token = Token::read(text.reveal(), &tokens.key, &self.access.name, now);
                token
                    .map(|Token { caller, scopes }| Visitor { caller, scopes: Some(scopes) })
                    .ok_or(Fault::InvalidToken)
            }
            _ => Err(Fault::Absent),
        })
    }

    fn refuse(&self, wanted: Wanted<'_>, head: &request::Parts, fault: Fault) -> Refusal {
        match challenge::challenge(&self.access, head, &wanted.scope(), fault) {
            Ok(challenge) => unauthorized(&challenge),
            Err(refusal) => refusal,
        }
    }
}

impl Reach {
    /// Whether `repository` may be listed.
    pub(crate) fn can_see(&self, repository: &RepoName) -> bool {
        let Self::Of(rights, visitor) = self else { return true };
        rights.of(&visitor.caller, repository).contains(Actions::PULL)
    }

    /// Whether what `repository` has may be used: who comes by a token is held to it.
    pub(crate) fn can_pull(&self, repository: &RepoName) -> bool {
        let is_in_scope = match self {
            Self::Of(_, Visitor { scopes: Some(scopes), .. }) => scopes.allow(repository, Actions::PULL),
            _ => true,
        };
        is_in_scope && self.can_see(repository)
    }
}

/// Notes who `caller` is: for sure, as nobody can have a name here without its password.
pub(super) fn note(caller: &Caller, notes: &Notes) {
    if let Caller::User(user) = caller {
        notes.user.get_or_init(|| user.clone());
    }
}

pub(super) fn unauthorized(challenge: &str) -> Refusal {
    let message = "credentials are needed, or others than these";
    Refusal::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message).with(WWW_AUTHENTICATE, challenge)
}

fn denied() -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, Code::Denied, "this is not allowed to you")
}
