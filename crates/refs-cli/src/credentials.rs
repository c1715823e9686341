//! Who the command line and the environment say we are, to the one registry of the command.

use std::{
    env,
    io::{self, IsTerminal, Read},
    sync::Arc,
};

use refs_registry::auth::{Chain, Credential, Credentials, Secret, Static};
use refs_url::Host;

use crate::{args::Identity, terminal};

/// Why what was given can't be used. No request has been made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no user name and no password are given")]
    Nothing,
    #[error("a password is given, and no user name")]
    NoName,
    #[error("a user name is given, and no password")]
    NoPassword,
    #[error("a token is given, and a user name or a password besides")]
    Both,
    #[error("a login is a user name and a password, not a token")]
    Token,
    #[error("there is nothing on stdin")]
    Empty,
    #[error("stdin has more than {MAX_BYTES} bytes")]
    TooLong,
    #[error("stdin is not text")]
    NotText,
    #[error("cannot read from stdin")]
    Stdin(#[source] io::Error),
    #[error("credentials are for one registry, and this command asks none")]
    NoRegistry,
    #[error("credentials are for one registry, and this command asks {}", .0.join(" and "))]
    Registries(Vec<String>),
}

impl Fault {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Nothing => "give both with `--username NAME --password-stdin`, or run it on a terminal to be asked",
            Self::NoName => "add `--username NAME`, or set REFS_USERNAME",
            Self::NoPassword => "add `--password-stdin`, or set REFS_PASSWORD",
            Self::Both => "give a token alone",
            Self::Token => "most registries take a token as a password: `--username NAME --password-stdin`",
            Self::Empty => "send it there, as in `refs … --password-stdin < FILE`",
            Self::NoRegistry => "leave them out",
            Self::Registries(_) => "log in to each with `refs login HOST`",
            Self::TooLong | Self::NotText | Self::Stdin(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// More than any password or token has.
const MAX_BYTES: u64 = 64 * 1024;

/// What was given, and how it was, in the words of errors.
struct Given {
    from: &'static str,
    words: Words,
}

enum Words {
    Nothing,
    Token(Secret),
    /// Either may be missing.
    Login(Option<String>, Option<Secret>),
}

/// The credentials for a command that asks `hosts`: those that were given, if any, then those of the environment.
pub(crate) fn chain(identity: &Identity, hosts: Vec<Host>) -> Result<Arc<dyn Credentials>, Fault> {
    let environment: Arc<dyn Credentials> = Arc::new(Chain::from_env());
    let is_explicit = identity.username.is_some() || identity.password_stdin || identity.token_stdin;
    let host = match <[Host; 1]>::try_from(hosts) {
        Ok([host]) => host,
        // Variables are set once for many commands, and this one has no use for them.
        Err(hosts) if hosts.is_empty() && !is_explicit => return Ok(environment),
        Err(hosts) if hosts.is_empty() => return Err(Fault::NoRegistry),
        Err(hosts) => {
            let is_given = is_explicit || !matches!(given(identity)?.words, Words::Nothing);
            let named = hosts.iter().map(ToString::to_string).collect();
            return if is_given { Err(Fault::Registries(named)) } else { Ok(environment) };
        }
    };
    let Given { from, words } = given(identity)?;
    let credential = match words {
        Words::Nothing => return Ok(environment),
        Words::Token(token) => Credential::Bearer(token),
        Words::Login(username, password) => {
            Credential::Basic { username: username.ok_or(Fault::NoName)?, password: password.ok_or(Fault::NoPassword)? }
        }
    };
    Ok(Arc::new(Chain::new(vec![Arc::new(Static::new(host, from, credential)), environment])))
}

/// The user's name and password for `refs login`. On a terminal, what was not given is asked for.
pub(crate) async fn login(identity: &Identity) -> Result<(String, Secret), Fault> {
    let (username, password) = match given(identity)?.words {
        Words::Token(_) => return Err(Fault::Token),
        Words::Nothing => (None, None),
        Words::Login(username, password) => (username, password),
    };
    let is_terminal = io::stdin().is_terminal();
    if !is_terminal && username.is_none() && password.is_none() {
        return Err(Fault::Nothing);
    }
    let username = match username {
        Some(username) => username,
        None if is_terminal => filled(terminal::line("user name: ").await.map_err(Fault::Stdin)?)?,
        None => return Err(Fault::NoName),
    };
    let password = match password {
        Some(password) => password,
        None if is_terminal => Secret::new(filled(terminal::hidden("password: ").await.map_err(Fault::Stdin)?)?),
        None => return Err(Fault::NoPassword),
    };
    Ok((username, password))
}

/// What the flags say, or else the variables. Flags and variables make one login: a name here, a password there.
fn given(identity: &Identity) -> Result<Given, Fault> {
    let Identity { username, password_stdin, token_stdin } = identity;
    if *token_stdin {
        if username.is_some() || *password_stdin {
            return Err(Fault::Both);
        }
        return Ok(Given { from: "`--token-stdin`", words: Words::Token(from_stdin()?) });
    }
    let name = || username.clone().or_else(|| variable("REFS_USERNAME"));
    let password = || variable("REFS_PASSWORD").map(Secret::new);
    if *password_stdin {
        return Ok(Given { from: "`--password-stdin`", words: Words::Login(name(), Some(from_stdin()?)) });
    }
    if username.is_some() {
        return Ok(Given { from: "`--username`", words: Words::Login(name(), password()) });
    }
    if let Some(token) = variable("REFS_TOKEN") {
        return Ok(Given { from: "`REFS_TOKEN`", words: Words::Token(Secret::new(token)) });
    }
    let words = match (name(), password()) {
        (None, None) => Words::Nothing,
        (name, password) => Words::Login(name, password),
    };
    Ok(Given { from: "`REFS_USERNAME` and `REFS_PASSWORD`", words })
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// All of stdin, without the newline at its end.
fn from_stdin() -> Result<Secret, Fault> {
    let mut text = Vec::new();
    io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut text).map_err(Fault::Stdin)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Fault::TooLong);
    }
    let text = String::from_utf8(text).ok().ok_or(Fault::NotText)?;
    filled(text).map(Secret::new)
}

/// A line without its end, unless that is all there is.
fn filled(line: impl AsRef<str>) -> Result<String, Fault> {
    let line = line.as_ref();
    let text = line.strip_suffix('\n').unwrap_or(line);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() { Err(Fault::Empty) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(username: Option<&str>) -> Identity {
        Identity { username: username.map(str::to_owned), password_stdin: false, token_stdin: false }
    }

    #[test]
    fn what_is_given_is_for_one_registry() {
        let hosts = |names: &[&str]| names.iter().map(|name| Host::parse(name).unwrap()).collect::<Vec<_>>();
        let fault = |names| chain(&flags(Some("u")), hosts(names)).unwrap_err();
        assert!(matches!(fault(&[]), Fault::NoRegistry));
        let two = fault(&["a.test", "b.test:5000"]);
        assert_eq!(two.to_string(), "credentials are for one registry, and this command asks a.test and b.test:5000");
        assert_eq!(two.hint().unwrap(), "log in to each with `refs login HOST`");
        chain(&flags(None), hosts(&[])).unwrap();
    }

    #[test]
    fn a_line_loses_its_end_and_nothing_else() {
        for (line, expect) in [("a\n", "a"), ("a\r\n", "a"), (" a b \n\n", " a b \n"), ("a", "a")] {
            assert_eq!(filled(line).unwrap(), expect);
        }
        for line in ["", "\n", "\r\n"] {
            assert!(matches!(filled(line), Err(Fault::Empty)));
        }
    }
}
