//! Servers that ask who is there.

use super::round_trip::pushed;
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};

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
