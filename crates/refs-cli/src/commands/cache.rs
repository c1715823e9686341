//! `refs cache`

use std::{fmt, sync::Arc, time::SystemTime};

use refs_client::{FetchOptions, Fetched, Location};
use refs_store::{DiskStore, Held, ListedImage, PruneOptions, Pruned, StoreInfo, Verified, Verifying};
use serde::Serialize;

use super::{Failure, pull::Count};
use crate::{
    args::{Cache, Fetch, Prune},
    exit,
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
        Cache::Fetch(args) => {
            drop(output);
            return fetch(session, args).await;
        }
        Cache::Info => output.result(&Info::of(&store.info().await.map_err(Failure::Cache)?))?,
        Cache::Verify => {
            let verified = verify(session, store).await?;
            output.result(&Checked::of(&verified))?;
            output.flush()?;
            return if verified.is_sound() { Ok(()) } else { Err(Failure::Damaged) };
        }
        Cache::Prune(prune) if prune.dry_run => {
            output.result(&Removed::of(
                &store.foresee_prune(&options(&prune)).await.map_err(Failure::Cache)?,
                Going::Would,
            ))?;
        }
        Cache::Prune(prune) => {
            output.result(&Removed::of(&store.prune(&options(&prune)).await.map_err(Failure::Cache)?, Going::Did))?
        }
    }
    Ok(output.flush()?)
}

/// Fetches one image after the other, and tells of each when it is there. One that fails is told of, and keeps no other from
/// coming; the first failure is that of the command.
async fn fetch(session: &Session, args: Fetch) -> Result<(), Failure> {
    let options = FetchOptions { platform: args.platform };
    let mut failed = None;
    for at in args.at {
        match session.showing("fetching", session.client().fetch(&at, &options)).await {
            Ok(fetched) => brought(session, &at, fetched)?,
            Err(source) => {
                let failure = Failure::Fetch { at: at.to_string(), source };
                exit::report(&failure, session.format());
                failed.get_or_insert(failure);
            }
        }
    }
    failed.map_or(Ok(()), |failure| Err(Failure::Told(Box::new(failure))))
}

fn brought(session: &Session, at: &Location, fetched: Fetched) -> Result<(), Failure> {
    let mut output = session.output();
    output.result(&Brought {
        reference: at.to_string(),
        digest: fetched.manifest.digest.to_string(),
        index: fetched.index.map(|index| index.digest.to_string()),
        fetched: fetched.new,
        present: fetched.present,
        fetched_bytes: fetched.fetched_bytes,
    })?;
    Ok(output.flush()?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Brought {
    reference: String,
    digest: String,
    /// The digest of the index that led to the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    /// Blobs: layers, and the config.
    fetched: u64,
    present: u64,
    fetched_bytes: u64,
}

impl fmt::Display for Brought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fetched, present) = (Count(self.fetched, "blob", "blobs"), self.present);
        write!(f, "{}: {}, ", escape(&self.reference), self.digest)?;
        write!(f, "{fetched} fetched, {present} there already, {} fetched", Bytes(self.fetched_bytes))
    }
}

async fn verify(session: &Session, store: &DiskStore) -> Result<Verified, Failure> {
    let progress = Arc::<Verifying>::default();
    let verifying = session.showing_figures("hashing", progress.as_ref(), store.verify(&progress));
    verifying.await.map_err(Failure::Cache)
}

fn options(args: &Prune) -> PruneOptions {
    // What is older than time itself is nothing.
    let unread_since = args.older_than.and_then(|age| SystemTime::now().checked_sub(age));
    // What is read at this very moment is as old as nothing, too.
    let is_all = args.all || args.older_than.is_some_and(|age| age.is_zero());
    PruneOptions { max_bytes: if is_all { Some(0) } else { args.max_size }, unread_since }
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
        writeln!(f, "blobs:             {}", self.blobs)?;
        writeln!(f, "parts of blobs:    {}", self.parts)?;
        writeln!(f, "partial downloads: {}", self.partials)?;
        writeln!(f, "seek indexes:      {}", self.indexes)?;
        writeln!(f, "in quarantine:     {}", self.quarantined)?;
        writeln!(f, "unfinished pushes: {}", self.uploads)?;
        write!(f, "whole images:      {}", self.images.len())?;
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
    misplaced: Vec<String>,
    unchecked: Vec<String>,
    unlisted: Vec<Image>,
}

impl Checked {
    fn of(verified: &Verified) -> Self {
        Self {
            blobs: verified.blobs,
            bytes: verified.bytes,
            damaged: verified.damaged.iter().map(|path| path.display().to_string()).collect(),
            misplaced: verified.misplaced.iter().map(|path| path.display().to_string()).collect(),
            unchecked: verified.unchecked.iter().map(ToString::to_string).collect(),
            unlisted: Image::all(&verified.unlisted),
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in &self.damaged {
            writeln!(f, "damaged, and moved to quarantine: {}", escape(path))?;
        }
        for path in &self.misplaced {
            writeln!(f, "not what belongs there, and left there: {}", escape(path))?;
        }
        for digest in &self.unchecked {
            writeln!(f, "of an algorithm that is not computed here: {digest}")?;
        }
        for image in &self.unlisted {
            writeln!(f, "not whole, and no longer listed: {}", escape(&image.name))?;
        }
        let blobs = Count(self.blobs, "blob", "blobs");
        write!(f, "{blobs}, {}, each hashed: {} damaged", Bytes(self.bytes), self.damaged.len())
    }
}

/// Whether what is told of was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    Did,
    Would,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Removed {
    removed: Files,
    kept: Files,
    temporary: Files,
    unlisted: Vec<Image>,
    dry_run: bool,
}

impl Removed {
    fn of(pruned: &Pruned, going: Going) -> Self {
        Self {
            removed: Files::of(pruned.removed),
            kept: Files::of(pruned.kept),
            temporary: Files::of(pruned.temporary),
            unlisted: Image::all(&pruned.unlisted),
            dry_run: going == Going::Would,
        }
    }
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (no_longer, removed, kept) = if self.dry_run {
            ("would be whole no longer", "would remove", "keep")
        } else {
            ("no longer whole", "removed", "kept")
        };
        for image in &self.unlisted {
            writeln!(f, "{no_longer}: {}", escape(&image.name))?;
        }
        write!(f, "{removed} {}", self.removed)?;
        if self.temporary.files > 0 {
            write!(f, " and {} of unfinished work", self.temporary)?;
        }
        write!(f, ", {kept} {}", self.kept)
    }
}
