//! A server that speaks to nobody without a certificate.

use serde_json::Value;

use super::round_trip::pushed;
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::certificates::Certificates;
use crate::interop::process::Outcome;

const UNREACHABLE: i32 = 7;

/// What our client may do, it may neither without its certificate nor with somebody else's.
pub(super) fn refused(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let tree = bench.trees.sample.to_string_lossy();
    let (none, foreign) = (certificates(bench)?.trusting(), certificates(bench)?.foreign());
    for words in [&["ls", &reference][..], &["push", &tree, &reference]] {
        bench.refs(words)?.stdout()?;
        for flags in [&none, &foreign] {
            // Over HTTP/2 the server's refusal looks like a connection that broke, which would be made again.
            let words = ["--retries", "0"].iter().chain(words).map(AsRef::as_ref);
            let words: Vec<_> = flags.iter().copied().chain(words).collect();
            Outcome::of(&mut bench.refs_uncertified(&words))?.fails_with(UNREACHABLE)?;
        }
    }
    Ok(())
}

/// The certificate is taken, and both sides agree upon HTTP/2.
pub(super) fn doctor(bench: &Bench<'_>) -> Result<()> {
    let reference = pushed(bench)?;
    let printed = bench.refs(&["doctor", "--format", "json", &reference])?.stdout()?;
    let report: Value =
        serde_json::from_slice(&printed).map_err(|source| Error::Json { from: "refs doctor", source })?;
    require_equal("usable", "true", &report["usable"].to_string())?;
    require_equal("how it is spoken to", "TLS, HTTP/2.0", report["findings"][0]["detail"].as_str().unwrap_or_default())
}

fn certificates<'a>(bench: &Bench<'a>) -> Result<&'a Certificates> {
    bench.place.certificates.as_ref().ok_or(Error::Usage("only where certificates are asked for"))
}
