//! Who may do what, where.

use std::{fmt, ops::BitOr, str::FromStr};

use refs_url::RepoName;

/// What can be allowed in a repository: any of `pull`, `push` and `delete`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions(u8);

/// The words for actions, in the order in which they are written.
const WORDS: [(Actions, &str); 3] = [(Actions::PULL, "pull"), (Actions::PUSH, "push"), (Actions::DELETE, "delete")];

impl Actions {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// To read.
    pub const PULL: Self = Self(1);
    /// To add blobs and manifests, and to move tags.
    pub const PUSH: Self = Self(2);
    /// To remove blobs, manifests and tags.
    pub const DELETE: Self = Self(4);
    /// All of these.
    pub const ALL: Self = Self(7);

    /// Whether all of `other` is allowed.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The action that is called `word`, or all of them for `*`.
    fn word(word: &str) -> Option<Self> {
        if word == "*" {
            return Some(Self::ALL);
        }
        WORDS.iter().find(|(_, known)| *known == word).map(|(action, _)| *action)
    }

    /// The actions in `text`, divided by commas. Those that are not known are left out: they can't be allowed.
    pub(super) fn known(text: &str) -> Self {
        text.split(',').filter_map(Self::word).fold(Self::NONE, Self::bitor)
    }
}

/// Text that is no list of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected some of `pull`, `push` and `delete`, divided by commas")]
pub struct UnknownAction;

impl FromStr for Actions {
    type Err = UnknownAction;

    /// Reads `pull,push,delete`, or some of them.
    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        text.split(',').try_fold(Self::NONE, |read, word| Ok(read | Self::word(word.trim()).ok_or(UnknownAction)?))
    }
}

impl BitOr for Actions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = WORDS.iter().filter(|(action, _)| self.contains(*action)).map(|(_, word)| *word).collect();
        f.write_str(&words.join(","))
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actions({self})")
    }
}

/// Who may do what. Nothing takes away: what any line allows is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What those may do who say nothing of themselves. Nothing by default.
    pub anonymous: Anonymous,
    /// What the users may do everywhere of whom no grant tells. All by default.
    pub users: Actions,
    /// What single users may do, and where. A user that is in one of them has these, and not the above.
    pub grants: Vec<Grant>,
}

/// What somebody without an account may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Nothing.
    #[default]
    Nothing,
    /// Pull from any repository.
    Pull,
}

/// What one user may do beneath a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The user.
    pub user: String,
    /// What the names of the repositories begin with, component by component: `team` is for `team` itself and `team/app`, and
    /// not for `teams`. `None` for all repositories.
    pub prefix: Option<RepoName>,
    /// What is allowed there.
    pub actions: Actions,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// Somebody without an account.
    Stranger,
    User(String),
}

impl Default for Rights {
    fn default() -> Self {
        Self { anonymous: Anonymous::Nothing, users: Actions::ALL, grants: Vec::new() }
    }
}

impl Rights {
    /// What `caller` may do in `repository`.
    pub(super) fn of(&self, caller: &Caller, repository: &RepoName) -> Actions {
        let anonymous = match self.anonymous {
            Anonymous::Nothing => Actions::NONE,
            Anonymous::Pull => Actions::PULL,
        };
        let Caller::User(user) = caller else { return anonymous };
        let mut grants = self.grants.iter().filter(|grant| grant.user == *user).peekable();
        if grants.peek().is_none() {
            return anonymous | self.users;
        }
        let reaching = grants.filter(|grant| grant.reaches(repository));
        reaching.fold(anonymous, |allowed, grant| allowed | grant.actions)
    }
}

impl Grant {
    fn reaches(&self, repository: &RepoName) -> bool {
        let Some(prefix) = &self.prefix else { return true };
        let rest = repository.as_str().strip_prefix(prefix.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_words(text: &str, expect: Option<&str>) {
        let read = text.parse::<Actions>().ok();
        assert_eq!(read.map(|actions| actions.to_string()).as_deref(), expect, "{text}");
    }

    #[test]
    fn actions_are_words() {
        check_words("pull", Some("pull"));
        check_words("push,pull", Some("pull,push"));
        check_words("delete, pull,delete", Some("pull,delete"));
        check_words("*", Some("pull,push,delete"));
        for wrong in ["", ",", "pull,", "Pull", "read"] {
            check_words(wrong, None);
        }
        assert_eq!(Actions::known("pull,fly,*x,"), Actions::PULL);
    }

    fn rights() -> Rights {
        let grant = |user: &str, prefix: Option<&str>, actions| Grant {
            user: user.to_owned(),
            prefix: prefix.map(|prefix| RepoName::parse(prefix).unwrap()),
            actions,
        };
        let grants = vec![
            grant("reader", None, Actions::PULL),
            grant("dev", None, Actions::PULL),
            grant("dev", Some("team"), Actions::PUSH),
            grant("dev", Some("team/own"), Actions::ALL),
            grant("guest", Some("team/app"), Actions::PULL),
            grant("locked", None, Actions::NONE),
        ];
        Rights { users: Actions::PULL | Actions::PUSH, grants, ..Rights::default() }
    }

    #[track_caller]
    fn check(user: &str, repository: &str, expect: &str) {
        let name = RepoName::parse(repository).unwrap();
        let caller = if user == "-" { Caller::Stranger } else { Caller::User(user.to_owned()) };
        assert_eq!(rights().of(&caller, &name).to_string(), expect, "{user} in {repository}");
    }

    #[test]
    fn the_grants_of_a_user_stand_in_the_place_of_what_all_users_have() {
        check("-", "team/app", "");
        check("somebody", "team/app", "pull,push");
        check("reader", "team/app", "pull");
        check("locked", "team/app", "");
    }

    #[test]
    fn a_prefix_is_whole_components() {
        check("dev", "team", "pull,push");
        check("dev", "team/app", "pull,push");
        check("dev", "team/own/app", "pull,push,delete");
        check("dev", "team/owner", "pull,push");
        check("dev", "teams", "pull");
        check("dev", "other/team", "pull");
        check("guest", "team/app", "pull");
        check("guest", "team/app/deep", "pull");
        check("guest", "team", "");
    }

    #[test]
    fn what_anybody_may_do_users_may_do() {
        let rights = Rights { anonymous: Anonymous::Pull, ..rights() };
        let name = RepoName::parse("other").unwrap();
        for caller in [Caller::Stranger, Caller::User("locked".to_owned()), Caller::User("guest".to_owned())] {
            assert_eq!(rights.of(&caller, &name), Actions::PULL, "{caller:?}");
        }
    }
}
