//! Images made by programs that are not ours, unpacked by `refs` and by umoci.

mod disk;
mod layer;
mod made;
mod shapes;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::bench::Bench;
use super::process::Outcome;
use super::rootfs::Rootfs;
use crate::error::{Error, Result};

pub(crate) use made::{
    appended_by_crane, built_by_buildah, built_by_umoci, docker_schema_2, estargz, layered, overlapping, platforms,
    zstd,
};

/// An image, where both programs find it.
#[derive(Debug)]
pub(crate) struct Image {
    /// For the names of directories.
    name: String,
    /// As `refs` takes it.
    reference: String,
    /// The image layout that umoci reads, with the tag.
    layout: String,
}

/// What the eStargz format adds to a layer is no part of the image.
const ESTARGZ_OWN: [&str; 3] = ["stargz.index.json", ".no.prefetch.landmark", ".prefetch.landmark"];

/// Requires that the image is unpacked here as umoci does it.
fn require_equal_trees(bench: &Bench<'_>, image: &Image) -> Result<()> {
    let is_own = |path: &Path| ESTARGZ_OWN.iter().any(|own| path == Path::new(own));
    // A directory that no layer has an entry for gets the time of the moment from umoci, and always the same from us.
    let start = SystemTime::now();
    let expected = Rootfs::read(&unpacked_by_umoci(bench, image)?)?.without(is_own).undated_since(start);
    let found = Rootfs::read(&unpacked(bench, image, &[])?)?.undated_like(&expected);
    expected.require(&found, &format!("refs unpack {}", image.name))
}

/// Unpacks with umoci, without the rights of root, and says where.
fn unpacked_by_umoci(bench: &Bench<'_>, image: &Image) -> Result<PathBuf> {
    let bundle = bench.path(&format!("umoci-{}", image.name));
    let words = [OsStr::new("unpack"), "--rootless".as_ref(), "--image".as_ref(), image.layout.as_ref()];
    bench.umoci(&[&words[..], &[bundle.as_os_str()]].concat())?.stdout()?;
    Ok(bundle.join("rootfs"))
}

/// Unpacks with our own program, and says where.
fn unpacked(bench: &Bench<'_>, image: &Image, more: &[&str]) -> Result<PathBuf> {
    let destination = bench.path(&format!("refs-{}", image.name));
    let words = [OsStr::new("unpack"), image.reference.as_ref(), destination.as_os_str()];
    let more: Vec<&OsStr> = more.iter().map(OsStr::new).collect();
    bench.refs(&[&words[..], &more].concat())?.stdout()?;
    Ok(destination)
}

impl Image {
    /// What is in the registry at `reference`, with a copy for umoci.
    fn pulled(bench: &Bench<'_>, reference: String, name: &str) -> Result<Self> {
        let layout = format!("{}:{name}", bench.path("pulled-layout").display());
        skopeo(bench, &["copy", "--src-tls-verify=false", &format!("docker://{reference}"), &format!("oci:{layout}")])?;
        Ok(Self { name: name.to_owned(), reference, layout })
    }

    /// What is in an image layout on disk.
    fn in_layout(layout: &Path, tag: &str) -> Self {
        let layout = format!("{}:{tag}", layout.display());
        Self { name: tag.to_owned(), reference: format!("ocidir://{layout}"), layout }
    }
}

fn skopeo(bench: &Bench<'_>, words: &[&str]) -> Result<Vec<u8>> {
    bench.skopeo(&[&["--insecure-policy"], words].concat())?.stdout()
}

/// Writes the archives of a shape, and says where.
fn archives(bench: &Bench<'_>, shape: &shapes::Shape) -> Result<Vec<PathBuf>> {
    let dir = bench.path("archives");
    fs::create_dir_all(&dir).map_err(Error::file("create", &dir))?;
    let path = |number: usize| dir.join(format!("{}-{number}.tar", shape.name));
    let written =
        |(number, items): (usize, &Vec<layer::Item>)| layer::archive(items, &path(number)).map(|()| path(number));
    shape.layers.iter().enumerate().map(written).collect()
}

/// For a program that needs the rights of root: devices and owners are made.
fn as_root() -> Result<()> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Error::NotRoot("devices and owners are made")) }
}

fn run(outcome: Outcome) -> Result<()> {
    outcome.stdout().map(drop)
}
