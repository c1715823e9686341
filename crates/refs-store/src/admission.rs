//! What a repository makes sure of before it takes a manifest, and what it learns from it.

use refs_registry::{
    Descriptor, Error, Manifest, Result,
    error::Wanted,
    spec::{Document, Referrer},
};
use refs_url::{Digest, Hasher, Target};

/// A manifest that is what its descriptor says.
pub(crate) struct Admission {
    /// The manifest's type, digest and size, without what its sender noted beside them.
    pub(crate) descriptor: Descriptor,
    /// The blobs that the repository must hold.
    pub(crate) blobs: Vec<Digest>,
    /// How the manifest shows in the list of its subject's referrers.
    pub(crate) referrer: Option<Referrer>,
}

/// Checks size, digest and document of `manifest`.
pub(crate) fn admit(manifest: &Manifest) -> Result<Admission> {
    check_bytes(manifest)?;
    let Descriptor { media_type, digest, size, .. } = manifest.descriptor.clone();
    let descriptor = Descriptor::new(media_type, digest, size);
    let document = manifest.parse()?;
    let referrer = Referrer::of(&descriptor, &document);
    Ok(Admission { blobs: blobs(&document), referrer, descriptor })
}

fn check_bytes(manifest: &Manifest) -> Result<()> {
    let Descriptor { digest, size, .. } = &manifest.descriptor;
    let wanted = || Wanted::Manifest(Target::Digest(digest.clone()));
    let actual = manifest.raw.len() as u64;
    if actual > Manifest::MAX_BYTES {
        return Err(Error::TooLarge { wanted: wanted(), limit: Manifest::MAX_BYTES });
    }
    if actual != *size {
        return Err(Error::Size { wanted: wanted(), expected: *size, actual });
    }
    let mut hasher = Hasher::for_digest(digest).ok_or_else(|| unknown_algorithm(digest))?;
    hasher.update(&manifest.raw);
    match hasher.finish() {
        actual if actual == *digest => Ok(()),
        actual => Err(Error::Digest { wanted: wanted(), actual }),
    }
}

/// This build can't check bytes against `digest`.
pub(crate) fn unknown_algorithm(digest: &Digest) -> Error {
    Error::unsupported(Wanted::Algorithm(digest.clone()), "this build")
}

/// What an image can't be read without. Layers that are foreign need not be here, and an index may list platforms that are
/// not.
fn blobs(document: &Document) -> Vec<Digest> {
    match document {
        Document::Image(image) => {
            let own = image.layers.iter().filter(|layer| !layer.is_foreign());
            std::iter::once(&image.config).chain(own).map(|blob| blob.digest.clone()).collect()
        }
        Document::Index(_) => Vec::new(),
    }
}
