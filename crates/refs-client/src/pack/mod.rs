//! From a directory to a layer: which of its entries ([`Plan`]), their bytes ([`write_layer`]), and a file to keep them in.

mod file;
mod plan;
mod write;

use std::path::Path;

pub use file::Packed;
pub(crate) use file::pack;
pub use plan::Mtime;
pub(crate) use plan::{Plan, Rules, is_exclusion};
use refs_estargz::Kind;
pub(crate) use write::write_layer;

use crate::{
    Error, Limits, ManifestName, Result,
    manifest_file::{self, ManifestFile},
    thread,
};

/// How to make a layer of a directory.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// What to leave out, in gitignore's grammar; `.git/`, `.DS_Store` and `node_modules/` are left out anyway.
    pub exclude: Vec<String>,
    /// What the manifest file is called. Where there is one, it is checked, and what it excludes is left out.
    pub manifest_file: ManifestName,
    /// Whether a directory without a manifest file is refused.
    pub require_manifest: bool,
    /// Which modification times to keep.
    pub mtime: Mtime,
    /// How hard to compress, from 0 to 9.
    pub level: u32,
    /// Above these figures a pull will refuse by default; this warns.
    pub limits: Limits,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self {
            exclude: Vec::new(),
            manifest_file: ManifestName::DEFAULT,
            require_manifest: false,
            mtime: Mtime::Keep,
            level: 6,
            limits: Limits::default(),
        }
    }
}

/// What to pack of `directory`, and its manifest file.
///
/// # Errors
/// `Source` and `Io` for what can't be packed; `ManifestFile` for a manifest file that breaks its schema,
/// `ManifestNotFound` when one is required.
pub(crate) async fn plan(directory: &Path, options: &PackOptions) -> Result<(Plan, Option<ManifestFile>)> {
    let (root, name, exclude) = (directory.to_owned(), options.manifest_file.clone(), options.exclude.clone());
    let mtime = options.mtime;
    let (plan, manifest) = thread::run(move || {
        let manifest = manifest_file::read(&root, &name)?;
        let rules = Rules::new(name, manifest.as_ref(), &exclude)?;
        Ok((Plan::walk(&root, &rules, mtime)?, manifest))
    })
    .await?;
    if options.require_manifest && manifest.is_none() {
        let at = directory.display().to_string();
        return Err(Error::ManifestNotFound { at, name: options.manifest_file.to_string() });
    }
    warn_of_limits(&plan, &options.limits);
    Ok((plan, manifest))
}

fn warn_of_limits(plan: &Plan, limits: &Limits) {
    let exceeds = |figure: u64, limit: u64| limit != 0 && figure > limit;
    let entries = plan.entries().count() as u64;
    if exceeds(entries, limits.entries) {
        let limit = limits.entries;
        tracing::warn!("there are {entries} entries: who pulls all of them has to allow more than {limit}");
    }
    if exceeds(plan.bytes(), limits.total_bytes) {
        let (bytes, limit) = (plan.bytes(), limits.total_bytes);
        tracing::warn!("the files have {bytes} bytes: who pulls all of them has to allow more than {limit}");
    }
    for entry in plan.entries() {
        if let Kind::File { size } = entry.kind
            && exceeds(size, limits.file_bytes)
        {
            let (path, limit) = (&entry.path, limits.file_bytes);
            tracing::warn!("`{path}` has {size} bytes: who pulls it has to allow more than {limit} for a file");
        }
    }
}
