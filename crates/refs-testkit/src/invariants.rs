//! What must hold of an image layout on disk while nobody writes to it, whatever happened before.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use refs_registry::{
    Descriptor, Manifest, MediaType,
    spec::{Document, Index},
};
use refs_url::{Digest, Hasher};

/// The annotation with which a cache of refs says which index an image was chosen from.
const CHOSEN_FROM: &str = "io.github.refs-rs.index";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// How often locks are looked at, and how long it is waited before each time but the first.
const MOST_ATTEMPTS: u32 = 500;
const STEP: Duration = Duration::from_millis(10);

/// An invariant that a layout breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// A file of the layout's own says nothing: `index.json` or `oci-layout`.
    Unreadable(PathBuf),
    /// What is below `blobs` is no file that is called by a digest.
    NotBlob(PathBuf),
    /// The bytes of a blob are not those of its name.
    Damaged(PathBuf),
    /// What the index leads to is not there.
    Missing {
        /// What is missing.
        digest: Digest,
        /// What speaks of it.
        named_by: PathBuf,
    },
    /// A manifest that the index leads to is of other bytes than its descriptor says, or none.
    NotManifest(PathBuf),
    /// Two entries of the index have this name.
    Twice(String),
    /// A file that was on its way to a name, or the beginning of a blob that is there as a whole.
    Temporary(PathBuf),
    /// Somebody holds this lock.
    Locked(PathBuf),
}

/// What is wrong with the image layout at `root`, or with the cache whose layout it is, in order. Empty when all of this holds:
///
/// - every file below `blobs` has the bytes that its name says;
/// - `index.json` can be read, lists no name twice, and all that it leads to is there: manifests, configs, layers, and the
///   index that an image was chosen from. What an index lists for other platforms may be missing, and layers that are to be
///   fetched from elsewhere;
/// - nothing is left of writing, and nobody holds a lock.
///
/// # Errors
/// When a file can't be read.
pub fn check_layout(root: &Path) -> io::Result<Vec<Flaw>> {
    let mut checking = Checking { root, flaws: BTreeSet::new(), whole: BTreeSet::new() };
    checking.blobs()?;
    checking.index()?;
    checking.temporary()?;
    checking.locks()?;
    Ok(checking.flaws.into_iter().collect())
}

/// Waits for locks of this process first: a thread may still let go of what nobody waits for any more, and a child that is
/// being started holds them until its program begins.
///
/// # Panics
/// When something is wrong with the layout at `root`, with all that is.
#[track_caller]
pub fn require_layout(root: &Path) {
    let mut attempts = 0;
    let flaws = loop {
        attempts += 1;
        match check_layout(root) {
            Ok(flaws) if attempts < MOST_ATTEMPTS && flaws.iter().any(Flaw::may_pass) => thread::sleep(STEP),
            Ok(flaws) => break flaws,
            Err(error) => panic!("the layout at {} can't be read: {error}", root.display()),
        }
    };
    let flaws: Vec<_> = flaws.iter().map(|flaw| format!("\n- {flaw}")).collect();
    assert!(flaws.is_empty(), "the layout at {} is not as it should be:{}", root.display(), flaws.concat());
}

struct Checking<'a> {
    root: &'a Path,
    flaws: BTreeSet<Flaw>,
    /// The blobs that are there and undamaged.
    whole: BTreeSet<Digest>,
}

impl Checking<'_> {
    fn blobs(&mut self) -> io::Result<()> {
        for algorithm in names(&self.root.join("blobs"))? {
            if !algorithm.is_dir() {
                self.flaws.insert(Flaw::NotBlob(algorithm));
                continue;
            }
            for path in names(&algorithm)? {
                match named_digest(&path).filter(|_| path.symlink_metadata().is_ok_and(|found| found.is_file())) {
                    None => drop(self.flaws.insert(Flaw::NotBlob(path))),
                    Some(digest) if is_undamaged(&path, &digest)? => drop(self.whole.insert(digest)),
                    Some(_) => drop(self.flaws.insert(Flaw::Damaged(path))),
                }
            }
        }
        Ok(())
    }

    fn index(&mut self) -> io::Result<()> {
        let (index, version) = (self.root.join("index.json"), self.root.join("oci-layout"));
        if read_json::<serde_json::Value>(&version)?.is_none_or(|version| version["imageLayoutVersion"] != "1.0.0") {
            self.flaws.insert(Flaw::Unreadable(version));
        }
        let Some(Index { manifests, .. }) = read_json(&index)? else {
            self.flaws.insert(Flaw::Unreadable(index));
            return Ok(());
        };
        let mut names = BTreeSet::new();
        for entry in &manifests {
            if let Some(name) = entry.annotations.get(REF_NAME).filter(|name| !names.insert(*name)) {
                self.flaws.insert(Flaw::Twice(name.clone()));
            }
            self.entry(entry, &index)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Descriptor, index: &Path) -> io::Result<()> {
        let mut waiting = BTreeMap::from([(entry.digest.clone(), entry.clone())]);
        if let Some(chosen_from) = entry.annotations.get(CHOSEN_FROM) {
            match Digest::parse(chosen_from) {
                // What it lists beside the image need not be there.
                Ok(digest) => self.require(&digest, index),
                Err(_) => drop(self.flaws.insert(Flaw::Unreadable(index.to_owned()))),
            }
        }
        self.require(&entry.digest, index);
        let mut seen = BTreeSet::new();
        while let Some((digest, manifest)) = waiting.pop_first() {
            if seen.insert(digest) && is_manifest(&manifest.media_type) && self.whole.contains(&manifest.digest) {
                let listed = self.manifest(&manifest)?;
                waiting.extend(listed.into_iter().map(|listed| (listed.digest.clone(), listed)));
            }
        }
        Ok(())
    }

    /// Follows a manifest that is there; gives the manifests that it lists.
    fn manifest(&mut self, descriptor: &Descriptor) -> io::Result<Vec<Descriptor>> {
        let path = self.path(&descriptor.digest);
        let raw = fs::read(&path)?;
        let agrees = raw.len() as u64 == descriptor.size;
        let manifest = Manifest { descriptor: descriptor.clone(), raw: raw.into() };
        match manifest.parse() {
            Ok(Document::Image(image)) if agrees => {
                let own = image.layers.iter().filter(|layer| !layer.is_foreign());
                own.chain([&image.config]).for_each(|blob| self.require(&blob.digest, &path));
                Ok(Vec::new())
            }
            Ok(Document::Index(index)) if agrees => Ok(index.manifests),
            _ => {
                self.flaws.insert(Flaw::NotManifest(path));
                Ok(Vec::new())
            }
        }
    }

    fn require(&mut self, digest: &Digest, named_by: &Path) {
        if !self.whole.contains(digest) {
            self.flaws.insert(Flaw::Missing { digest: digest.clone(), named_by: named_by.to_owned() });
        }
    }

    fn temporary(&mut self) -> io::Result<()> {
        let on_their_way = names(&self.root.join("ingest"))?;
        self.flaws.extend(on_their_way.into_iter().map(Flaw::Temporary));
        let mut beginnings = Vec::new();
        find_beginnings(&self.root.join("origins"), &mut beginnings)?;
        for path in beginnings {
            let digits = path.file_name().and_then(|name| Some(name.to_str()?.rsplit_once('-')?.0));
            let digest = digits.and_then(|digits| named_digest(&path.with_file_name(digits)));
            if digest.is_none_or(|digest| self.whole.contains(&digest)) {
                self.flaws.insert(Flaw::Temporary(path));
            }
        }
        Ok(())
    }

    fn locks(&mut self) -> io::Result<()> {
        let mut locks = names(&self.root.join("locks"))?;
        locks.extend(["lock", "evict"].map(|name| self.root.join(name)));
        for path in locks {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => drop(self.flaws.insert(Flaw::Locked(path))),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm_str()).join(digest.encoded())
    }
}

impl Flaw {
    /// Whether it is of somebody who may be about to end.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Locked(_) | Self::Temporary(_))
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path) => write!(f, "{} can't be understood", path.display()),
            Self::NotBlob(path) => write!(f, "{} is not a blob", path.display()),
            Self::Damaged(path) => write!(f, "{} has other bytes than its name says", path.display()),
            Self::Missing { digest, named_by } => write!(f, "{} names {digest}, which is missing", named_by.display()),
            Self::NotManifest(path) => write!(f, "{} is not the manifest that it is listed as", path.display()),
            Self::Twice(name) => write!(f, "the index has `{name}` twice"),
            Self::Temporary(path) => write!(f, "{} is left of writing", path.display()),
            Self::Locked(path) => write!(f, "{} is locked", path.display()),
        }
    }
}

fn is_manifest(media_type: &MediaType) -> bool {
    media_type.is_image() || media_type.is_index()
}

/// The paths in `folder`, sorted; none when there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The digest that `path` ends in, as the folder of an algorithm and the digits.
fn named_digest(path: &Path) -> Option<Digest> {
    let algorithm = path.parent()?.file_name()?.to_str()?;
    Digest::parse(&format!("{algorithm}:{}", path.file_name()?.to_str()?)).ok()
}

/// A blob under an algorithm that is not computed here can't be told from a damaged one.
fn is_undamaged(path: &Path, digest: &Digest) -> io::Result<bool> {
    let Some(mut hasher) = Hasher::for_digest(digest) else { return Ok(false) };
    let (mut file, mut chunk) = (File::open(path)?, vec![0; 256 << 10]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hasher.finish() == *digest),
            read => hasher.update(&chunk[..read]),
        }
    }
}

/// `None` when there is no such file, or it says something else.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(json) => Ok(serde_json::from_slice(&json).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The files `_partials/ALGORITHM/DIGITS-TOTAL` beneath `folder`.
fn find_beginnings(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for path in names(folder)? {
        if path.file_name().is_some_and(|name| name == "_partials") {
            for algorithm in names(&path)? {
                found.extend(names(&algorithm)?);
            }
        } else if path.is_dir() {
            find_beginnings(&path, found)?;
        }
    }
    Ok(())
}
