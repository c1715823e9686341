//! Servers that ask who is there.

use std::path::Path;

use super::round_trip::pushed;
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, digest_of, require_equal};
use crate::interop::process::Outcome;
use crate::interop::token::{PASSWORD, USER};
use crate::interop::trees;

const UNAUTHORIZED: i32 = 4;

pub(super) fn refused(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let tree = bench.trees.sample.to_string_lossy();
    let credentials = &bench.place.credentials;
    for config in [&credentials.wrong, &credentials.none] {
        bench.refs_as(config, &["ls", &reference])?.fails_with(UNAUTHORIZED)?;
        bench.refs_as(config, &["push", &tree, &reference])?.fails_with(UNAUTHORIZED)?;
    }
    Ok(())
}

/// Reading asks for no more than `pull`; pushing asks for `pull` and `push`, of the one repository.
pub(super) fn scopes(bench: &Bench<'_>) -> Result<()> {
    let Some(tokens) = &bench.place.tokens else { return Ok(()) };
    tokens.take_asked();
    let reference = pushed(bench)?;
    let asked = tokens.take_asked();
    let may_push = asked.iter().any(|scope| scope.actions.iter().any(|action| action == "push"));
    if !may_push || asked.iter().any(|scope| scope.name != "interop/sample") {
        let found = asked.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let expected = "push of interop/sample and nothing else".to_owned();
        return Err(Error::Unexpected { what: "scopes for push".to_owned(), expected, found });
    }
    bench.refs(&["ls", &reference])?.stdout()?;
    let asked: Vec<String> = tokens.take_asked().iter().map(ToString::to_string).collect();
    require_equal("scopes for ls", "repository:interop/sample:pull", &asked.join(" "))
}

/// A login of ours is one of crane's and oras', and ends with our logout.
pub(super) fn our_login(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let (config, host) = (bench.path("config"), bench.place.host());
    log_in(bench, &config, "battery staple")?.fails_with(UNAUTHORIZED)?;
    if config.exists() {
        let (expected, found) = ("nothing".to_owned(), "something".to_owned());
        return Err(Error::Unexpected { what: "what a refused login saved".to_owned(), expected, found });
    }
    log_in(bench, &config, PASSWORD)?.stdout()?;
    let digest = bench.refs_as(&config, &["resolve", &reference])?.text()?;
    let digest = digest_of(&digest)?;
    require_equal("crane digest", &digest, &bench.crane_as(&config, &["digest", &reference])?.text()?)?;
    let directory = bench.path("");
    let resolved = bench.oras_as(&config, &directory, &["resolve", &reference])?.text()?;
    require_equal("oras resolve", &digest, &resolved)?;
    bench.refs_as(&config, &["logout", host])?.stdout()?;
    bench.refs_as(&config, &["resolve", &reference])?.fails_with(UNAUTHORIZED)
}

/// A login of crane's or oras' is one of ours, and a logout of ours ends it.
pub(super) fn their_logins(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let (config, directory, host) = (bench.path("config"), bench.path(""), bench.place.host());
    // Beside another login, which is to stay.
    trees::write(&config.join("config.json"), br#"{"auths":{"other.test":{"auth":"dTpw"}},"detachKeys":"ctrl-q"}"#)?;
    let crane = || bench.crane_as(&config, &["auth", "login", host, "-u", USER, "-p", PASSWORD]);
    let oras = || bench.oras_as(&config, &directory, &["login", host, "-u", USER, "-p", PASSWORD]);
    let logins: [&dyn Fn() -> Result<Outcome>; 2] = [&crane, &oras];
    for log_in in logins {
        bench.refs_as(&config, &["resolve", &reference])?.fails_with(UNAUTHORIZED)?;
        log_in()?.stdout()?;
        bench.refs_as(&config, &["resolve", &reference])?.stdout()?;
        bench.refs_as(&config, &["logout", host])?.stdout()?;
    }
    let left = std::fs::read_to_string(config.join("config.json")).map_err(Error::file("read", &config))?;
    require_equal("what is left", "true", &(left.contains("other.test") && left.contains("ctrl-q")).to_string())
}

/// Four programs, each with a configuration of its own: the right password lets it read, a wrong one and none do not.
pub(super) fn each_logs_in(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let expected = digest_of(&bench.refs(&["resolve", &reference])?.text()?)?;
    let image = format!("docker://{reference}");
    let skopeo: Login<'_> = (
        "skopeo",
        &|config, words| {
            let file = config.join("config.json").to_string_lossy().into_owned();
            let words = [&[words[0], "--authfile", &file], &words[1..]].concat();
            bench.skopeo_as(config, &words)
        },
        &["login"],
        &["inspect", "--format", "{{.Digest}}", &image],
    );
    let crane: Login<'_> =
        ("crane", &|config, words| bench.crane_as(config, words), &["auth", "login"], &["digest", &reference]);
    let oras: Login<'_> =
        ("oras", &|config, words| bench.oras_as(config, Path::new("/"), words), &["login"], &["resolve", &reference]);
    let regctl: Login<'_> = (
        "regctl",
        &|config, words| bench.regctl_as(config, words),
        &["registry", "login"],
        &["image", "digest", &reference],
    );
    [crane, oras, regctl, skopeo].into_iter().try_for_each(|login| logs_in(bench, &expected, login))
}

/// A program, how it runs with a configuration, how it logs in, and how it tells the digest of what was pushed.
type Login<'a> = (&'a str, &'a dyn Fn(&Path, &[&str]) -> Result<Outcome>, &'a [&'a str], &'a [&'a str]);

fn logs_in(bench: &Bench<'_>, expected: &str, (name, run, log_in, digest): Login<'_>) -> Result<()> {
    let config = bench.path(name);
    let host = bench.place.host();
    let with = |password| [log_in, &[host, "-u", USER, "-p", password]].concat();
    run(&config, digest)?.fails()?;
    // crane doesn't ask the server whether it is right.
    let _saved_or_refused = run(&config, &with("battery staple"))?;
    run(&config, digest)?.fails()?;
    run(&config, &with(PASSWORD))?.stdout()?;
    require_equal(name, expected, &run(&config, digest)?.text()?)
}

fn log_in(bench: &Bench<'_>, config: &Path, password: &str) -> Result<Outcome> {
    let mut command = bench.refs_command(config, &["login", bench.place.host(), "--username", USER]);
    Outcome::of(command.env("REFS_PASSWORD", password))
}
