//! What other programs carry from a layout into our server and out again is the same image.

use std::path::Path;

use super::round_trip::pulls;
use crate::error::Result;
use crate::interop::bench::{Bench, digest_of, require_equal};
use crate::interop::compare::Closely;

/// A layout with an image to carry, a place for it in the registry, and a layout for what comes back.
struct Journey {
    image: String,
    from: String,
    registry: String,
    back: String,
}

pub(super) fn skopeo(bench: &Bench<'_>) -> Result<()> {
    let journey = Journey::begin(bench, "skopeo")?;
    let registry = format!("docker://{}", journey.registry);
    let copy = |words: &[&str], from: &str, to: &str| {
        let words = [&["--insecure-policy", "copy", "--preserve-digests"], words, &[from, to]].concat();
        bench.skopeo(&words)?.stdout().map(drop)
    };
    let plainly = |word| Vec::from_iter(bench.plainly(word));
    copy(&plainly("--dest-tls-verify=false"), &format!("oci:{}:v1", journey.from), &registry)?;
    copy(&plainly("--src-tls-verify=false"), &registry, &format!("oci:{}:v1", journey.back))?;
    journey.end(bench)
}

pub(super) fn crane(bench: &Bench<'_>) -> Result<()> {
    let journey = Journey::begin(bench, "crane")?;
    bench.crane(&["push", &journey.from, &journey.registry])?.stdout()?;
    bench.crane(&["pull", "--format=oci", "--annotate-ref", &journey.registry, &journey.back])?.stdout()?;
    journey.end(bench)
}

pub(super) fn oras(bench: &Bench<'_>) -> Result<()> {
    let journey = Journey::begin(bench, "oras")?;
    let (from, back) = (format!("{}:v1", journey.from), format!("{}:v1", journey.back));
    let [to_flag, from_flag] = ["--to-plain-http", "--from-plain-http"].map(|flag| bench.oras_flag(flag));
    bench.oras_layout(&["cp", "--from-oci-layout", &from, &to_flag, &journey.registry])?.stdout()?;
    bench.oras_layout(&["cp", &from_flag, &journey.registry, "--to-oci-layout", &back])?.stdout()?;
    journey.end(bench)
}

pub(super) fn regctl(bench: &Bench<'_>) -> Result<()> {
    let journey = Journey::begin(bench, "regctl")?;
    let layout = |folder: &str| format!("ocidir://{folder}:v1");
    bench.regctl(&["image", "copy", &layout(&journey.from), &journey.registry])?.stdout()?;
    bench.regctl(&["image", "copy", &journey.registry, &layout(&journey.back)])?.stdout()?;
    journey.end(bench)
}

impl Journey {
    fn begin(bench: &Bench<'_>, program: &str) -> Result<Self> {
        let folder = |name: &str| bench.path(name).to_string_lossy().into_owned();
        let (from, back) = (folder("from"), folder("back"));
        let image = bench.push(&bench.trees.sample, &layout(Path::new(&from)))?;
        let registry = bench.place.reference(&format!("interop/carried-by/{program}"), "v1");
        Ok(Self { image, from, registry, back })
    }

    /// Requires the same manifest at the registry and in the layout, and the files in both.
    fn end(self, bench: &Bench<'_>) -> Result<()> {
        for reference in [self.registry, layout(Path::new(&self.back))] {
            let found = digest_of(&bench.refs(&["resolve", &reference])?.text()?)?;
            require_equal(&reference, &self.image, &found)?;
            pulls(bench, &reference, &bench.trees.sample_tree, Closely::Times)?;
            // The next one is pulled to the same place, past the cache.
            std::fs::remove_dir_all(bench.path("pulled")).map_err(crate::error::Error::file("remove", "pulled"))?;
        }
        Ok(())
    }
}

fn layout(folder: &Path) -> String {
    format!("ocidir://{}:v1", folder.display())
}
