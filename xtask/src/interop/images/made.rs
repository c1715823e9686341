//! The programs that make images, one scenario each.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::shapes::{self, Shape};
use super::{Image, archives, as_root, disk, layer, require_equal_trees, run, skopeo, unpacked};
use crate::error::{Error, Result};
use crate::interop::bench::{Bench, require_equal};
use crate::interop::trees;

/// Layers that crane pushes, and a config that it changes afterwards.
pub(crate) fn appended_by_crane(bench: &Bench<'_>) -> Result<()> {
    for shape in shapes::all() {
        let reference = appended(bench, &shape)?;
        let words = ["mutate", &reference, "--entrypoint", "/bin/run,--now", "--label", "a=b", "--env", "C=d", "-t"];
        bench.crane(&[&words[..], &[&reference]].concat())?.stdout()?;
        require_equal_trees(bench, &Image::pulled(bench, reference, shape.name)?)?;
    }
    Ok(())
}

/// The same layers under docker's media types.
pub(crate) fn docker_schema_2(bench: &Bench<'_>) -> Result<()> {
    const GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    for shape in shapes::all() {
        let reference = bench.place.reference(&format!("images/{}-docker", shape.name), "v1");
        let [from, to] = [appended(bench, &shape)?, reference.clone()].map(|at| format!("docker://{at}"));
        skopeo(bench, &["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--format", "v2s2", &from, &to])?;
        require_layers(GZIP, &manifest(bench, &reference)?)?;
        require_equal_trees(bench, &Image::pulled(bench, reference, shape.name)?)?;
    }
    Ok(())
}

/// The same layers compressed with Zstandard, in an image layout: into a registry, skopeo would copy them as they are.
pub(crate) fn zstd(bench: &Bench<'_>) -> Result<()> {
    const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    let layout = bench.path("zstd-layout");
    for shape in shapes::all() {
        let from = format!("docker://{}", appended(bench, &shape)?);
        let to = format!("oci:{}:{}", layout.display(), shape.name);
        let words = ["copy", "--src-tls-verify=false", "--format", "oci", "--dest-compress-format", "zstd"];
        skopeo(bench, &[&words[..], &[&from, &to]].concat())?;
        require_layers(ZSTD, &parsed("skopeo inspect", &skopeo(bench, &["inspect", "--raw", &to])?)?)?;
        require_equal_trees(bench, &Image::in_layout(&layout, shape.name))?;
    }
    Ok(())
}

fn require_layers(media_type: &str, manifest: &Value) -> Result<()> {
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let mut found = layers.map(|layer| layer["mediaType"].as_str().unwrap_or_default());
    found.try_for_each(|found| require_equal("media type", media_type, found))
}

/// The same layers as eStargz, each with the digest of its table of contents.
pub(crate) fn estargz(bench: &Bench<'_>) -> Result<()> {
    const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
    for shape in shapes::all() {
        let reference = bench.place.reference(&format!("images/{}", shape.name), "estargz");
        let (mut blobs, mut tables) = (Vec::new(), Vec::new());
        for archive in archives(bench, &shape)? {
            let blob = archive.with_extension("estargz");
            tables.push(bench.convert(&archive, &blob)?);
            blobs.push(blob);
        }
        append(bench, &blobs, &reference)?;
        let mut manifest = manifest(bench, &reference)?;
        for (layer, digest) in manifest["layers"].as_array_mut().into_iter().flatten().zip(tables) {
            layer["annotations"] = json!({ TOC_DIGEST: digest });
        }
        let path = bench.path("manifest.json");
        trees::write(&path, manifest.to_string().as_bytes())?;
        run(bench.oras(Path::new("/"), &["manifest", "push", &reference, &path.to_string_lossy()])?)?;
        require_equal_trees(bench, &Image::pulled(bench, reference, shape.name)?)?;
    }
    Ok(())
}

/// Layers that umoci takes as they are, and layers that it finds by what has changed in a directory.
pub(crate) fn built_by_umoci(bench: &Bench<'_>) -> Result<()> {
    let layout = bench.path("umoci-layout");
    let shown = layout.to_string_lossy();
    bench.umoci(&["init", "--layout", &shown])?.stdout()?;
    for shape in shapes::all() {
        let image = format!("{shown}:{}", shape.name);
        bench.umoci(&["new", "--image", &image])?.stdout()?;
        for archive in archives(bench, &shape)? {
            bench.umoci(&["raw", "add-layer", "--image", &image, &archive.to_string_lossy()])?.stdout()?;
        }
        require_equal_trees(bench, &Image::in_layout(&layout, shape.name))?;
    }
    as_root()?;
    for shape in shapes::of_directories() {
        let tag = format!("{}-repacked", shape.name);
        let (image, bundle) = (format!("{shown}:{tag}"), bench.path(&format!("bundle-{tag}")));
        let bundle = bundle.to_string_lossy();
        bench.umoci(&["new", "--image", &image])?.stdout()?;
        bench.umoci(&["unpack", "--image", &image, &bundle])?.stdout()?;
        for items in &shape.layers {
            disk::apply(items, &Path::new(&*bundle).join("rootfs"))?;
            bench.umoci(&["repack", "--refresh-bundle", "--image", &image, &bundle])?.stdout()?;
        }
        require_equal_trees(bench, &Image::in_layout(&layout, &tag))?;
    }
    Ok(())
}

/// Layers that buildah finds by what has changed in a container.
pub(crate) fn built_by_buildah(bench: &Bench<'_>) -> Result<()> {
    as_root()?;
    let layout = bench.path("buildah-layout");
    for shape in shapes::of_directories() {
        let mut base = "scratch".to_owned();
        for (number, items) in shape.layers.iter().enumerate() {
            let container = bench.buildah(&["from", "--pull-never", &base])?.text()?;
            let root = PathBuf::from(bench.buildah(&["mount", &container])?.text()?);
            disk::apply(items, &root)?;
            base = format!("localhost/{}:{number}", shape.name);
            bench.buildah(&["commit", "--quiet", "--format", "oci", &container, &base])?.stdout()?;
            bench.buildah(&["rm", &container])?.stdout()?;
        }
        let to = format!("oci:{}:{}", layout.display(), shape.name);
        bench.buildah(&["push", "--quiet", &base, &to])?.stdout()?;
        require_equal_trees(bench, &Image::in_layout(&layout, shape.name))?;
    }
    Ok(())
}

/// An index of crane's: what is asked for is what is unpacked.
pub(crate) fn platforms(bench: &Bench<'_>) -> Result<()> {
    const NOT_FOUND: i32 = 3;
    let index = bench.place.reference("images/platforms", "v1");
    let mut words = vec!["index".to_owned(), "append".to_owned(), "-t".to_owned(), index.clone()];
    let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
    for platform in platforms {
        let reference = bench.place.reference("images/platforms", &platform.replace('/', "-"));
        let archive = bench.path("platform.tar");
        layer::archive(&[layer::file("platform", platform)], &archive)?;
        append(bench, &[archive], &reference)?;
        bench.crane(&["mutate", &reference, "--set-platform", platform, "-t", &reference])?.stdout()?;
        words.extend(["-m".to_owned(), reference]);
    }
    bench.crane(&words)?.stdout()?;
    for platform in platforms {
        let name = platform.replace('/', "-");
        let image = Image { name, reference: index.clone(), layout: String::new() };
        let unpacked = unpacked(bench, &image, &["--platform", platform])?.join("platform");
        let found = fs::read_to_string(&unpacked).map_err(Error::file("read", &unpacked))?;
        require_equal("the platform", platform, &found)?;
    }
    let nowhere = bench.path("nowhere");
    bench.refs(&["unpack", &index, &nowhere.to_string_lossy(), "--platform", "plan9/mips"])?.fails_with(NOT_FOUND)
}

/// An image of several layers in the registry: links, deletions, replacements.
pub(crate) fn layered(bench: &Bench<'_>) -> Result<String> {
    appended(bench, &shapes::whiteouts())
}

/// Images in one repository of the registry, which have all layers but the last in common.
pub(crate) fn overlapping(bench: &Bench<'_>) -> Result<Vec<String>> {
    const IMAGES: usize = 4;
    let mut layers = archives(bench, &shapes::whiteouts())?;
    let large = bench.path("large.tar");
    layer::archive(&[layer::bytes("large", trees::noise(8 << 20))], &large)?;
    layers.push(large);
    (0..IMAGES)
        .map(|number| {
            let own = bench.path(&format!("own-{number}.tar"));
            layer::archive(&[layer::file("own", &number.to_string())], &own)?;
            let reference = bench.place.reference("images/overlapping", &number.to_string());
            append(bench, &[&layers[..], &[own]].concat(), &reference)?;
            Ok(reference)
        })
        .collect()
}

/// Pushes the layers of a shape as crane does, and gives the reference.
fn appended(bench: &Bench<'_>, shape: &Shape) -> Result<String> {
    let reference = bench.place.reference(&format!("images/{}", shape.name), "v1");
    append(bench, &archives(bench, shape)?, &reference)?;
    Ok(reference)
}

fn append(bench: &Bench<'_>, layers: &[PathBuf], reference: &str) -> Result<()> {
    let mut words = ["append", "--oci-empty-base", "-t", reference].map(str::to_owned).to_vec();
    words.extend(layers.iter().flat_map(|path| ["-f".to_owned(), path.to_string_lossy().into_owned()]));
    run(bench.crane(&words)?)?;
    run(bench.crane(&["mutate", reference, "--set-platform", "linux/amd64", "-t", reference])?)
}

fn manifest(bench: &Bench<'_>, reference: &str) -> Result<Value> {
    parsed("crane manifest", &bench.crane(&["manifest", reference])?.stdout()?)
}

fn parsed(from: &'static str, printed: &[u8]) -> Result<Value> {
    serde_json::from_slice(printed).map_err(|source| Error::Json { from, source })
}
