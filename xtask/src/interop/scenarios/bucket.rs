//! Two mirrors with a disk each share what they keep by a bucket.

use std::fs;
use std::path::Path;
use std::thread;

use refs_url::Digest;

use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::compare::{Closely, Tree};
use crate::interop::moto::Moto;
use crate::interop::servers::{Place, PlaceKind};

/// More than one upload is done with at once.
const LARGE_BYTES: usize = 48 << 20;

/// What the first fetched the second gives when the registry is gone, and both say the same of its tags.
pub(super) fn two_nodes(bench: &Bench<'_>) -> Result<()> {
    let (moto, upstream) = (bench.moto()?, bench.start(PlaceKind::Plain)?);
    let nodes = Nodes::start(bench, &moto, &upstream)?;
    let source = bench.path("source");
    fs::create_dir(&source).map_err(Error::file("create", &source))?;
    let mut last = String::new();
    for round in 0..4 {
        write(&source.join("file"), format!("round {round}").as_bytes())?;
        last = bench.push(&source, &upstream.reference("o/r", "v1"))?;
        require_agreement(bench, &nodes, &last)?;
    }
    // Nobody has asked the second for more than the tag.
    let first = nodes.asking.reference("hub/o/r", "v1");
    let expected = bench.pull(&first, &["--no-cache"])?;
    moto.wait_for(&[last])?;
    drop(upstream);
    let destination = bench.path("from the second");
    let second = nodes.believing.reference("hub/o/r", "v1");
    bench.refs(&["pull", "--no-cache", &second, &destination.to_string_lossy()])?.stdout()?;
    expected.require(&Tree::read(&destination)?, Closely::Content, "the second node")
}

/// A node that is killed while it sends a blob leaves nothing under a digest that is not that, and another sends it anew.
pub(super) fn killed_while_it_sends(bench: &Bench<'_>) -> Result<()> {
    let (moto, upstream) = (bench.moto()?, bench.start(PlaceKind::Plain)?);
    for round in 0..3 {
        let (file, content) = (bench.path("large"), noise(round));
        write(&file, &content)?;
        bench.refs(&["blob", "put", &upstream.repository("o/r"), &file.to_string_lossy()])?.stdout()?;
        let digest = Digest::sha256(&content).to_string();
        for (name, ends) in [("killed", Ends::AtOnce), ("other", Ends::WhenSent)] {
            let node = bench.node(&moto, &format!("{name} {round}"), &mirrors(upstream.host()), "1ms")?;
            let blob = format!("{}@{digest}", node.repository("hub/o/r"));
            let got = bench.path(&format!("{name} {round} got"));
            bench.refs(&["blob", "get", "--no-cache", &blob, "--output", &got.to_string_lossy()])?.stdout()?;
            let found = Digest::sha256(&fs::read(&got).map_err(Error::file("read", &got))?);
            require_equal("what the node gave", &digest, found.as_ref())?;
            if ends == Ends::WhenSent {
                moto.wait_for(std::slice::from_ref(&digest))?;
            }
            drop(node);
            require_sound(&moto)?;
        }
    }
    Ok(())
}

/// When a node is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    AtOnce,
    WhenSent,
}

struct Nodes {
    /// Asks for each tag each time.
    asking: Place,
    /// Believes what it knows, and what the other has written down.
    believing: Place,
}

impl Nodes {
    fn start(bench: &Bench<'_>, moto: &Moto, upstream: &Place) -> Result<Self> {
        let flag = mirrors(upstream.host());
        let asking = bench.node(moto, "asking", &flag, "1ms")?;
        let believing = bench.node(moto, "believing", &flag, "1h")?;
        Ok(Self { asking, believing })
    }
}

/// Many ask both nodes at once for a tag that has moved; afterwards both say where to.
fn require_agreement(bench: &Bench<'_>, nodes: &Nodes, digest: &str) -> Result<()> {
    let [asking, believing] = [&nodes.asking, &nodes.believing].map(|node| node.reference("hub/o/r", "v1"));
    let resolve = |reference: &str| bench.refs(&["resolve", "--no-cache", reference])?.text();
    let (resolve, references) = (&resolve, [asking.as_str(), believing.as_str()]);
    thread::scope(|scope| {
        let askers: Vec<_> = references.repeat(4).into_iter().map(|it| scope.spawn(move || resolve(it))).collect();
        askers.into_iter().try_for_each(|asker| match asker.join() {
            Ok(resolved) => resolved.map(drop),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    for reference in references {
        let found = resolve(reference)?;
        let found = found.rsplit_once('@').map_or(found.as_str(), |(_, digest)| digest);
        require_equal("what the tag leads to", digest, found)?;
    }
    Ok(())
}

/// All that shows in the bucket under a digest is what that says.
fn require_sound(moto: &Moto) -> Result<()> {
    for name in moto.names("blobs")? {
        let digits = name.rsplit_once('/').map_or(name.as_str(), |(_, digits)| digits);
        require_equal(&name, digits, Digest::sha256(&moto.read(&name)?).encoded())?;
    }
    Ok(())
}

fn mirrors(host: &str) -> String {
    format!("hub=http://{host}")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(Error::file("write", path))
}

/// Bytes that nothing makes shorter.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).take(LARGE_BYTES / 8).flatten().collect()
}
