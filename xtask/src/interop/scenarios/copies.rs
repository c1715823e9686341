//! What crane and oras make, `refs cp` carries elsewhere, whole.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::peers_read::json;
use crate::error::Result;
use crate::interop::bench::{Bench, require_equal};
use crate::interop::process::Outcome;
use crate::interop::servers::PlaceKind;
use crate::interop::trees;

const IMAGES: [&str; 4] = ["amd64", "arm64", "riscv64", "s390x"];

/// To registries that list referrers, and back to one where clients keep the list.
pub(super) fn between_registries(bench: &Bench<'_>) -> Result<()> {
    let reference = graph(bench, "interop/copies")?;
    let expected = (about(bench, &reference)?, bench.crane(&["digest", &reference])?.text()?);
    for kind in [PlaceKind::Olareg, PlaceKind::RefsServe] {
        let place = bench.start(kind)?;
        let there = place.reference("interop/copied", "v1");
        let back = bench.place.reference(&format!("interop/back-from-{}", kind.name()), "v1");
        for (from, to) in [(&reference, &there), (&there, &back)] {
            bench.refs(&["cp", from, to])?.stdout()?;
            bench.crane(&["validate", "--remote", to])?.stdout()?;
            require_equal("crane digest", &expected.1, &bench.crane(&["digest", to])?.text()?)?;
            require_equal("oras discover", &expected.0, &about(bench, to)?)?;
        }
    }
    Ok(())
}

/// By the registry's own log.
pub(super) fn within_a_registry(bench: &Bench<'_>) -> Result<()> {
    let reference = graph(bench, "interop/copies-beside")?;
    let before = bench.place.blobs_sent()?.len();
    let to = bench.place.reference("interop/beside", "v1");
    bench.refs(&["cp", &reference, &to])?.stdout()?;
    require_equal("blobs sent", &before.to_string(), &bench.place.blobs_sent()?.len().to_string())?;
    bench.crane(&["validate", "--remote", &to])?.stdout()?;
    require_equal("oras discover", &about(bench, &reference)?, &about(bench, &to)?)
}

/// In `repository`, an index of three platforms and of another index, with two referrers.
fn graph(bench: &Bench<'_>, repository: &str) -> Result<String> {
    let tagged = |tag: &str| bench.place.reference(repository, tag);
    let archive = bench.path("layer.tar");
    let mut tar = Command::new("tar");
    tar.arg("-cf").arg(&archive).arg("-C").arg(&bench.trees.sample).arg(".");
    Outcome::of(&mut tar)?.stdout()?;
    let base = tagged("base");
    bench.crane(&["append", "--oci-empty-base", "-f", &archive.to_string_lossy(), "-t", &base])?.stdout()?;
    for image in IMAGES {
        let platform = format!("linux/{image}");
        bench.crane(&["mutate", &base, "--set-platform", &platform, "-t", &tagged(image)])?.stdout()?;
    }
    let (nested, reference) = (tagged("nested"), tagged("v1"));
    let [first, second, third, inner] = IMAGES.map(tagged);
    bench.crane(&["index", "append", "-m", &inner, "-t", &nested])?.stdout()?;
    let listed = ["-m", &first, "-m", &second, "-m", &third, "-m", &nested];
    bench.crane(&[&["index", "append", "--flatten=false"], &listed[..], &["-t", &reference]].concat())?.stdout()?;
    trees::write(&bench.path("about/note.txt"), b"note\n")?;
    for kind in ["text/x-signature", "text/x-sbom"] {
        let words = ["attach", "--artifact-type", kind, &reference, "note.txt:text/plain"];
        bench.oras(&bench.path("about"), &words)?.stdout()?;
    }
    Ok(reference)
}

/// The digests and types of what refers to `reference`, sorted, as oras finds them.
fn about(bench: &Bench<'_>, reference: &str) -> Result<String> {
    let words = ["discover", "--format", "json", reference];
    let found = json("oras discover", &bench.oras(Path::new("/"), &words)?.stdout()?)?;
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let about = found["referrers"].as_array().into_iter().flatten();
    let mut about: Vec<String> =
        about.map(|about| format!("{} {}", text(about, "digest"), text(about, "artifactType"))).collect();
    about.sort();
    require_equal("how many refer", "2", &about.len().to_string())?;
    Ok(about.join("\n"))
}
