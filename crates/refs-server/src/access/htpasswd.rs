//! Users and the hashes of their passwords, as `htpasswd -B` writes them.

use std::{collections::BTreeMap, fmt};

/// Users, and of each the bcrypt hash of its password.
///
/// It never shows a hash.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Htpasswd {
    users: BTreeMap<String, Hash>,
}

/// A bcrypt hash that is known to be well-formed, and its cost.
#[derive(Clone, PartialEq, Eq)]
struct Hash {
    text: String,
    cost: u32,
}

/// A line of an htpasswd file that can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct HtpasswdError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: HtpasswdFault,
}

/// What is wrong with a line of an htpasswd file. It repeats nothing of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HtpasswdFault {
    /// It is no user and hash.
    #[error("expected `USER:HASH`")]
    NoHash,
    /// The hash is of another kind.
    #[error("the hash is not bcrypt's; `htpasswd -B` writes one that is")]
    NotBcrypt,
    /// The hash begins as bcrypt's do, and does not go on like one.
    #[error("the bcrypt hash is damaged")]
    Damaged,
    /// A password would take seconds to check, or more.
    #[error("the hash has a cost of {0}, and at most {MAX_COST} is taken")]
    Costly(u32),
    /// The user has an earlier line.
    #[error("the user has an earlier line")]
    Twice,
}

/// What `htpasswd -C` takes at most: some eight seconds of work for each password that is tried.
const MAX_COST: u32 = 17;
/// What a password is checked against where there is no user: the cost that bcrypt's users mostly choose.
const USUAL_COST: u32 = 10;

impl Htpasswd {
    /// Reads the lines of `text`: `USER:HASH`, comments that begin with `#`, and empty ones.
    ///
    /// # Errors
    /// The first line that is none of these, by its number.
    pub fn parse(text: &str) -> Result<Self, HtpasswdError> {
        let mut read = Self::default();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                read.add(line).map_err(|fault| HtpasswdError { line: index + 1, fault })?;
            }
        }
        Ok(read)
    }

    /// Whether there is no user.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn has(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// The hash to check a password of `user` against: for one who is not there, one that no password has, and that costs no
    /// less to check than any other.
    pub(super) fn hash(&self, user: &str) -> (Known, String) {
        match self.users.get(user) {
            Some(hash) => (Known::User, hash.text.clone()),
            None => {
                let cost = self.users.values().map(|hash| hash.cost).max().unwrap_or(USUAL_COST);
                (Known::Nobody, format!("$2y${cost:02}${}", ".".repeat(53)))
            }
        }
    }

    fn add(&mut self, line: &str) -> Result<(), HtpasswdFault> {
        let (user, hash) = line.split_once(':').ok_or(HtpasswdFault::NoHash)?;
        let hash = Hash::parse(hash)?;
        if user.is_empty() {
            return Err(HtpasswdFault::NoHash);
        }
        match self.users.insert(user.to_owned(), hash) {
            None => Ok(()),
            Some(_) => Err(HtpasswdFault::Twice),
        }
    }
}

/// Whether a name is a user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    User,
    Nobody,
}

impl Hash {
    fn parse(text: &str) -> Result<Self, HtpasswdFault> {
        // Not `$2x$`, which marks hashes of a broken implementation.
        if !["$2y$", "$2b$", "$2a$"].iter().any(|kind| text.starts_with(kind)) {
            return Err(HtpasswdFault::NotBcrypt);
        }
        let parts: bcrypt::HashParts = text.parse().ok().ok_or(HtpasswdFault::Damaged)?;
        match parts.get_cost() {
            cost @ 4..=MAX_COST => Ok(Self { text: text.to_owned(), cost }),
            cost if cost > MAX_COST => Err(HtpasswdFault::Costly(cost)),
            _ => Err(HtpasswdFault::Damaged),
        }
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Htpasswd").field("users", &self.users.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HtpasswdFault::{Costly, Damaged, NoHash, NotBcrypt, Twice};

    fn hash(kind: &str, cost: &str) -> String {
        format!("${kind}${cost}${}", ".".repeat(53))
    }

    #[track_caller]
    fn check(text: &str, expect: Result<&[&str], (usize, HtpasswdFault)>) {
        let read = Htpasswd::parse(text);
        let users = read.as_ref().map(|read| read.users.keys().map(String::as_str).collect::<Vec<_>>());
        let expect = expect.map(<[&str]>::to_vec).map_err(|(line, fault)| HtpasswdError { line, fault });
        assert_eq!(users.map_err(|error| *error), expect, "{text}");
    }

    #[test]
    fn users_have_a_line_each() {
        let one = hash("2y", "05");
        check("", Ok(&[]));
        check(&format!("a:{one}"), Ok(&["a"]));
        check(
            &format!("# users\r\n\r\n b b:{one}\r\nä:{}\n\na:{}", hash("2a", "17"), hash("2b", "04")),
            Ok(&["a", "b b", "ä"]),
        );
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        let one = hash("2y", "05");
        check("a", Err((1, NoHash)));
        check(&format!("\n:{one}"), Err((2, NoHash)));
        check(&format!("a:{one}\n# a\na:{one}"), Err((3, Twice)));
        for other in ["", "plain", "$apr1$x$y", "{SHA}x", "$5$x$y", "$2$05$x", &hash("2x", "05")] {
            check(&format!("a:{one}\nb:{other}"), Err((2, NotBcrypt)));
        }
        for damaged in
            [hash("2y", "03"), hash("2y", "xx"), hash("2y", "5"), format!("{one}:more"), one[..59].to_owned()]
        {
            check(&format!("a:{damaged}"), Err((1, Damaged)));
        }
        check(&format!("a:{}", hash("2y", "18")), Err((1, Costly(18))));
        check(&format!("a:{}", hash("2y", "99")), Err((1, Costly(99))));
    }

    #[test]
    fn nobody_costs_as_much_as_the_costliest_user() {
        let read = Htpasswd::parse(&format!("a:{}\nb:{}", hash("2y", "05"), hash("2y", "07"))).unwrap();
        assert_eq!(read.hash("a"), (Known::User, hash("2y", "05")));
        assert_eq!(read.hash("c"), (Known::Nobody, hash("2y", "07")));
        assert_eq!(Htpasswd::default().hash(""), (Known::Nobody, hash("2y", "10")));
        assert!(!bcrypt::verify("", &read.hash("c").1).unwrap());
    }

    #[test]
    fn hashes_are_never_shown() {
        let read = Htpasswd::parse(&format!("a:{}", hash("2y", "05"))).unwrap();
        assert_eq!(format!("{read:?}"), r#"Htpasswd { users: ["a"], .. }"#);
        let wrong = Htpasswd::parse("user:hunter2").unwrap_err();
        assert!(!format!("{wrong} {wrong:?}").contains("hunter2"));
    }
}
