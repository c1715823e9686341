//! What things are called in a bucket: as on disk, below a prefix.

use object_store::path::Path;
use refs_url::{Digest, Tag};

use crate::{
    disk::{INDEXES_FOLDER, MEMBERS_FOLDER, ORIGINS_FOLDER, PINS_FOLDER, TAGS_FOLDER, wire_name},
    layout::BLOBS_FOLDER,
    store::Origin,
};

/// The names below a prefix.
#[derive(Debug, Clone)]
pub(super) struct Names(Path);

impl Names {
    pub(super) const fn below(prefix: Path) -> Self {
        Self(prefix)
    }

    pub(super) fn blob(&self, digest: &Digest) -> Path {
        by_digest(self.folder(BLOBS_FOLDER), digest)
    }

    pub(super) fn seek_index(&self, digest: &Digest) -> Path {
        by_digest(self.folder(INDEXES_FOLDER), digest)
    }

    pub(super) fn pin(&self, digest: &Digest) -> Path {
        by_digest(self.folder(PINS_FOLDER), digest)
    }

    pub(super) fn members(&self, origin: &Origin) -> Path {
        self.origin(origin).join(MEMBERS_FOLDER)
    }

    pub(super) fn member(&self, origin: &Origin, digest: &Digest) -> Path {
        by_digest(self.members(origin), digest)
    }

    pub(super) fn tags(&self, origin: &Origin) -> Path {
        self.origin(origin).join(TAGS_FOLDER)
    }

    pub(super) fn tag(&self, origin: &Origin, tag: &Tag) -> Path {
        self.tags(origin).join(tag.as_str())
    }

    fn origin(&self, Origin { wire, host, repository }: &Origin) -> Path {
        let origins = self.folder(ORIGINS_FOLDER).join(wire_name(*wire)).join(host.as_str());
        repository.as_str().split('/').fold(origins, Path::join)
    }

    fn folder(&self, name: &str) -> Path {
        self.0.clone().join(name)
    }
}

fn by_digest(folder: Path, digest: &Digest) -> Path {
    folder.join(digest.algorithm_str()).join(digest.encoded())
}

/// The digest that the last two parts of `path` are.
pub(super) fn digest_at(path: &Path) -> Option<Digest> {
    let parts: Vec<_> = path.parts().collect();
    let [.., algorithm, digits] = parts.as_slice() else { return None };
    Digest::parse(&format!("{}:{}", algorithm.as_ref(), digits.as_ref())).ok()
}
