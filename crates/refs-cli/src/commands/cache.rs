//! `refs cache`

use std::{fmt, sync::Arc, time::SystemTime};

use refs_store::{DiskStore, Held, ListedImage, PruneOptions, Pruned, StoreInfo, Verified, Verifying};
use serde::Serialize;

use super::Failure;
use crate::{
    args::{Cache, Prune},
    output::{Bytes, escape},
    wiring::Session,
};

pub(super) async fn run(session: &Session, args: Cache) -> Result<(), Failure> {
    let store = session.cache().ok_or_else(|| {
        Failure::Usage(
            "there is no cache: `--no-cache` leaves it alone, and without a home and REFS_CACHE_DIR there is none"
                .to_owned(),
        )
    })?;
    let mut output = session.output();
    match args {
        Cache::Info => output.result(&Info::of(&store.info().await?))?,
        Cache::Verify => {
            let verified = verify(session, store).await?;
            output.result(&Checked::of(&verified))?;
            output.flush()?;
            return if verified.is_sound() { Ok(()) } else { Err(Failure::Damaged) };
        }
        Cache::Prune(prune) => output.result(&Removed::of(&store.prune(&options(&prune)).await?))?,
    }
    Ok(output.flush()?)
}

async fn verify(session: &Session, store: &DiskStore) -> Result<Verified, Failure> {
    let progress = Arc::<Verifying>::default();
    Ok(session.showing_figures("hashing", progress.as_ref(), store.verify(&progress)).await?)
}

fn options(args: &Prune) -> PruneOptions {
    // What is older than time itself is nothing.
    let unread_since = args.older_than.and_then(|age| SystemTime::now().checked_sub(age));
    PruneOptions { max_bytes: if args.all { Some(0) } else { args.max_size }, unread_since }
}

/// Files of one kind, and their bytes.
#[derive(Serialize)]
struct Files {
    files: u64,
    bytes: u64,
}

impl Files {
    const fn of(held: Held) -> Self {
        Self { files: held.files, bytes: held.bytes }
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.files, Bytes(self.bytes))
    }
}

#[derive(Serialize)]
struct Image {
    name: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<String>,
}

impl Image {
    fn all(listed: &[ListedImage]) -> Vec<Self> {
        let image = |image: &ListedImage| Self {
            name: image.name.clone(),
            digest: image.manifest.digest.to_string(),
            index: image.index.as_ref().map(ToString::to_string),
        };
        listed.iter().map(image).collect()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    path: String,
    bytes: u64,
    max_bytes: u64,
    blobs: Files,
    parts: Files,
    partials: Files,
    indexes: Files,
    quarantined: Files,
    uploads: u64,
    images: Vec<Image>,
    misplaced: Vec<String>,
}

impl Info {
    fn of(info: &StoreInfo) -> Self {
        Self {
            path: info.path.display().to_string(),
            bytes: info.bytes(),
            max_bytes: info.max_bytes,
            blobs: Files::of(info.blobs),
            parts: Files::of(info.parts),
            partials: Files::of(info.partials),
            indexes: Files::of(info.indexes),
            quarantined: Files::of(info.quarantined),
            uploads: info.uploads,
            images: Image::all(&info.images),
            misplaced: info.misplaced.iter().map(|path| path.display().to_string()).collect(),
        }
    }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} of {}", escape(&self.path), Bytes(self.bytes), Bytes(self.max_bytes))?;
        writeln!(f, "blobs:       {}", self.blobs)?;
        writeln!(f, "parts:       {}", self.parts)?;
        writeln!(f, "beginnings:  {}", self.partials)?;
        writeln!(f, "indexes:     {}", self.indexes)?;
        writeln!(f, "quarantine:  {}", self.quarantined)?;
        writeln!(f, "uploads:     {}", self.uploads)?;
        write!(f, "images:      {}", self.images.len())?;
        self.images.iter().try_for_each(|image| write!(f, "\n  {} {}", escape(&image.name), image.digest))?;
        let misplaced =
            |path: &String| write!(f, "\nnot what belongs there, see `refs cache verify`: {}", escape(path));
        self.misplaced.iter().try_for_each(misplaced)
    }
}

#[derive(Serialize)]
struct Checked {
    blobs: u64,
    bytes: u64,
    damaged: Vec<String>,
    unchecked: Vec<String>,
    unlisted: Vec<Image>,
}

impl Checked {
    fn of(verified: &Verified) -> Self {
        Self {
            blobs: verified.blobs,
            bytes: verified.bytes,
            damaged: verified.damaged.iter().map(|path| path.display().to_string()).collect(),
            unchecked: verified.unchecked.iter().map(ToString::to_string).collect(),
            unlisted: Image::all(&verified.unlisted),
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in &self.damaged {
            writeln!(f, "damaged, and in quarantine: {}", escape(path))?;
        }
        for digest in &self.unchecked {
            writeln!(f, "of an algorithm that is not computed here: {digest}")?;
        }
        for image in &self.unlisted {
            writeln!(f, "not whole, and no longer listed: {}", escape(&image.name))?;
        }
        write!(f, "{} hashed, {} damaged", Files { files: self.blobs, bytes: self.bytes }, self.damaged.len())
    }
}

#[derive(Serialize)]
struct Removed {
    removed: Files,
    kept: Files,
    temporary: u64,
    unlisted: Vec<Image>,
}

impl Removed {
    fn of(pruned: &Pruned) -> Self {
        Self {
            removed: Files::of(pruned.removed),
            kept: Files::of(pruned.kept),
            temporary: pruned.temporary,
            unlisted: Image::all(&pruned.unlisted),
        }
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for image in &self.unlisted {
            writeln!(f, "no longer whole: {}", escape(&image.name))?;
        }
        write!(f, "removed {}, kept {}", self.removed, self.kept)
    }
}
