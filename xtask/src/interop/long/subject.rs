//! Work that is interrupted, and what must hold afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use refs_testkit::invariants::{Flaw, check_layout};

use crate::error::{Error, Result};
use crate::interop::bench::{Bench, digest_of, require_equal};
use crate::interop::images;
use crate::interop::process::Outcome;
use crate::interop::rootfs::Rootfs;
use crate::interop::trees;

/// The kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// `refs pull` of an artifact from the registry, through the cache.
    Pull,
    /// `refs push` to an image layout.
    Push,
    /// `refs unpack` of an image with several layers, through the cache.
    Unpack,
}

/// Work of one kind, and what it gives when nothing comes between.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    bench: &'a Bench<'a>,
    work: Work,
    /// What is pulled or unpacked.
    reference: String,
    source: PathBuf,
    /// Since when a time that something has is one that no layer gave it.
    start: SystemTime,
    /// What a destination holds in the end.
    tree: Rootfs,
    /// What the tag in the layout leads to in the end.
    digest: String,
}

/// What the disk has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Nothing,
    /// Bytes of a cache that nobody waited for, because whoever reads it notices.
    Unsynced,
}

/// Files whose content needs more than one write.
const LARGE_BYTES: usize = 300_000;

impl<'a> Subject<'a> {
    /// Does the work once, undisturbed, below `path("undisturbed")`.
    pub(super) fn new(bench: &'a Bench<'a>, work: Work) -> Result<Self> {
        let source = bench.path("source");
        small_tree(&source)?;
        let reference = match work {
            Work::Pull | Work::Push => {
                let reference = bench.place.reference("interop/interrupted", "v1");
                bench.push(&source, &reference)?;
                reference
            }
            Work::Unpack => images::layered(bench)?,
        };
        let (start, tree, digest) = (SystemTime::now(), Rootfs::default(), String::new());
        let mut subject = Self { bench, work, reference, source, start, tree, digest };
        let root = bench.path("undisturbed");
        fs::create_dir(&root).map_err(Error::file("create", &root))?;
        let printed = Outcome::of(&mut subject.command(&root))?.text()?;
        match work {
            Work::Pull | Work::Unpack => subject.tree = subject.read(&root)?,
            Work::Push => subject.digest = digest_of(&printed)?,
        }
        subject.require_whole(&root)?;
        Ok(subject)
    }

    /// The work, to be done below `root`, which exists.
    pub(super) fn command(&self, root: &Path) -> Command {
        let (layout, dest) = (layout(root), root.join("dest"));
        let words = match self.work {
            Work::Pull => ["pull".as_ref(), self.reference.as_ref(), dest.as_os_str()],
            Work::Unpack => ["unpack".as_ref(), self.reference.as_ref(), dest.as_os_str()],
            Work::Push => ["push".as_ref(), self.source.as_os_str(), layout.as_ref()],
        };
        let mut command = self.bench.refs_command(&self.bench.place.credentials.right, &words);
        command.env("REFS_CACHE_DIR", root.join("cache"));
        command
    }

    /// Nothing that can be seen below `root` is less than whole. Files that nobody has given a name yet may be there.
    pub(super) fn require_sound(&self, root: &Path, lost: Lost) -> Result<()> {
        if lost == Lost::Nothing {
            self.require_no_flaw(&root.join("cache"), is_visible)?;
        }
        self.require_no_flaw(&root.join("layout"), is_visible)?;
        match fs::symlink_metadata(root.join("dest")) {
            Ok(_) => self.require_tree(root),
            Err(_) => Ok(()),
        }
    }

    /// Doing the work again two days later succeeds, and leaves all that it should, and nothing else.
    pub(super) fn require_again(&self, root: &Path) -> Result<()> {
        let dest = root.join("dest");
        // Before that, an upload that broke off may be gone on with.
        for layout in ["cache", "layout"] {
            age(&root.join(layout).join("ingest"))?;
        }
        if dest.exists() {
            fs::remove_dir_all(&dest).map_err(Error::file("remove", &dest))?;
        }
        Outcome::of(&mut self.command(root))?.stdout()?;
        self.require_whole(root)
    }

    /// The work is done, and nothing is left of doing it.
    pub(super) fn require_whole(&self, root: &Path) -> Result<()> {
        self.require_result(root)?;
        // A cache looks for what is left when it looks for room, not each time.
        let ingest = root.join("cache/ingest");
        self.require_no_flaw(
            &root.join("cache"),
            |flaw| !matches!(flaw, Flaw::Temporary(path) if path.starts_with(&ingest)),
        )?;
        self.require_no_flaw(&root.join("layout"), |_| true)?;
        let listed = fs::read_dir(root).map_err(Error::file("list", root))?;
        let mut names: Vec<_> =
            listed.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| name != "cache" && name != "lost+found");
        require_equal("what lies there", self.result(), &names.join(" "))
    }

    /// The work is done.
    pub(super) fn require_result(&self, root: &Path) -> Result<()> {
        if self.work != Work::Push {
            return self.require_tree(root);
        }
        let resolved = self.bench.refs(&["resolve", &layout(root)])?.text()?;
        require_equal("the tag", &self.digest, &digest_of(&resolved)?)?;
        self.require_no_flaw(&root.join("layout"), is_visible)
    }

    fn require_tree(&self, root: &Path) -> Result<()> {
        self.tree.clone().require(&self.read(root)?, "the destination")
    }

    fn read(&self, root: &Path) -> Result<Rootfs> {
        Ok(Rootfs::read(&root.join("dest"))?.undated_since(self.start))
    }

    /// The name of what the work makes.
    fn result(&self) -> &'static str {
        match self.work {
            Work::Pull | Work::Unpack => "dest",
            Work::Push => "layout",
        }
    }

    fn require_no_flaw(&self, layout: &Path, counts: impl Fn(&Flaw) -> bool) -> Result<()> {
        // The layout of a push that had not come so far, or the cache of work that needs none.
        if !layout.exists() {
            return Ok(());
        }
        let flaws = check_layout(layout).map_err(Error::file("check", layout))?;
        let flaws: Vec<String> = flaws.iter().filter(|flaw| counts(flaw)).map(Flaw::to_string).collect();
        require_equal(&format!("flaws of {:?}", self.work), "", &flaws.join("; "))
    }
}

/// A layout that is being made lacks files of its own at first; one that is there must be readable.
fn is_visible(flaw: &Flaw) -> bool {
    match flaw {
        Flaw::Temporary(_) => false,
        Flaw::Unreadable(path) => path.exists(),
        _ => true,
    }
}

fn layout(root: &Path) -> String {
    format!("ocidir://{}:v1", root.join("layout").display())
}

/// Dates the files in `folder` two days back.
fn age(folder: &Path) -> Result<()> {
    const TWO_DAYS: Duration = Duration::from_secs(2 * 86_400);
    let Ok(listed) = fs::read_dir(folder) else { return Ok(()) };
    let set_back = |path: &Path| fs::File::open(path)?.set_modified(SystemTime::now() - TWO_DAYS);
    listed.flatten().map(|entry| entry.path()).try_for_each(|path| set_back(&path).map_err(Error::file("date", &path)))
}

fn small_tree(root: &Path) -> Result<()> {
    for (path, bytes) in [("a", &b"a\n"[..]), ("d/b", b"b\n"), ("d/e/c", b""), ("f/g/h", b"h\n")] {
        trees::write(&root.join(path), bytes)?;
    }
    trees::write(&root.join("d/large"), &trees::noise(LARGE_BYTES))?;
    trees::set_time(&root.join("d/large"), 1_500_000_000)?;
    std::os::unix::fs::symlink("d", root.join("link")).map_err(Error::file("link", root))
}
