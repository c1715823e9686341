//! `refs cp`

use std::fmt;

use refs_client::{
    Copied, CopyOptions, Location,
    copy::{CopiedBlob, Fate, LeftBehind, Mode, Outcome, Platforms, Referrers, Tally},
};
use refs_registry::Platform;
use refs_url::{Digest, Tag};
use serde::{Serialize, Serializer};

use super::{Failure, pull::Count, tag::reference};
use crate::{
    args::{Cp, Format},
    output::{Bytes, escape},
    wiring::Session,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    reference: String,
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    media_type: String,
    #[serde(serialize_with = "outcome")]
    outcome: Outcome,
    manifests: Manifests,
    /// How many of the manifests refer to others of them.
    referrers: u64,
    /// What refers to the index that images were taken out of, and stays there.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_behind: Option<Left>,
    copied: Blobs,
    mounted: Blobs,
    present: Blobs,
    /// Of a dry run, what each blob would cost.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blobs: Vec<Blob>,
}

#[derive(Serialize)]
struct Manifests {
    written: u64,
    bytes: u64,
    present: u64,
}

#[derive(Serialize)]
struct Left {
    index: String,
    referrers: u64,
}

#[derive(Serialize)]
struct Blobs {
    blobs: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Blob {
    digest: String,
    size: u64,
    fate: &'static str,
    /// The bytes that would be moved.
    moved: u64,
}

impl Report {
    fn of(at: &Location, copied: &Copied) -> Self {
        let tally = |fate| Blobs::from(copied.tally(fate));
        let blob = |blob: &CopiedBlob| Blob {
            digest: blob.descriptor.digest.to_string(),
            size: blob.descriptor.size,
            fate: word(blob.fate),
            moved: blob.moved_bytes,
        };
        let is_planned = copied.outcome == Outcome::Planned;
        Self {
            reference: named(at, copied.tag.as_ref(), &copied.manifest.digest),
            digest: copied.manifest.digest.to_string(),
            tag: copied.tag.as_ref().map(ToString::to_string),
            media_type: copied.manifest.media_type.to_string(),
            outcome: copied.outcome,
            manifests: Manifests {
                written: copied.manifests.count,
                bytes: copied.manifests.bytes,
                present: copied.manifests_present,
            },
            referrers: copied.referrers,
            left_behind: copied
                .left_behind
                .as_ref()
                .map(|LeftBehind { index, referrers }| Left { index: index.to_string(), referrers: *referrers }),
            copied: tally(Fate::Copied),
            mounted: tally(Fate::Mounted),
            present: tally(Fate::Present),
            blobs: if is_planned { copied.blobs.iter().map(blob).collect() } else { Vec::new() },
        }
    }
}

impl Report {
    /// What refers came along with the artifact, if anything did.
    fn with(&self) -> String {
        match self.referrers {
            0 => String::new(),
            referrers => format!(", with {}", Count(referrers, "referrer", "referrers")),
        }
    }

    /// The tag, where that is all that there was to write.
    fn retags(&self) -> Option<&str> {
        let is_written = self.manifests.written + self.copied.blobs + self.mounted.blobs > 0;
        self.tag.as_deref().filter(|_| !is_written)
    }
}

impl From<Tally> for Blobs {
    fn from(Tally { count, bytes }: Tally) -> Self {
        Self { blobs: count, bytes }
    }
}

/// What the copy goes by; of a dry run, what there would be to do.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Blob { digest, size, fate, moved } in &self.blobs {
            write!(f, "{fate:<8}{digest} ")?;
            if (1..*size).contains(moved) {
                write!(f, "{} of ", Bytes(*moved))?;
            }
            writeln!(f, "{}", Bytes(*size))?;
        }
        f.write_str(&escape(&self.reference))?;
        if self.outcome == Outcome::Planned { write!(f, ": {}", Figures(self)) } else { Ok(()) }
    }
}

/// What a copy came to, in words.
struct Figures<'a>(&'a Report);

impl fmt::Display for Figures<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let with = report.with();
        match (report.outcome, report.retags()) {
            (Outcome::Itself, _) => return f.write_str("it is its own copy, nothing was done"),
            (Outcome::Present, _) => return write!(f, "all of it was there{with}"),
            (Outcome::Copied, Some(tag)) => return write!(f, "the tag `{tag}` set, all else was there{with}"),
            (Outcome::Planned, Some(tag)) => return write!(f, "would set the tag `{tag}`, all else is there{with}"),
            (Outcome::Planned, None) => f.write_str("would write ")?,
            (Outcome::Copied, None) => {}
        }
        let count = Count(report.manifests.written, "manifest", "manifests");
        write!(f, "{count}, {}", Words(&report.copied, "copied"))?;
        for (blobs, word) in [(&report.mounted, "mounted"), (&report.present, "there already")] {
            if blobs.blobs > 0 {
                write!(f, ", {}", Words(blobs, word))?;
            }
        }
        f.write_str(&with)
    }
}

struct Words<'a>(&'a Blobs, &'static str);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Blobs { blobs, bytes }, word) = self;
        write!(f, "{} {word} ({})", Count(*blobs, "blob", "blobs"), Bytes(*bytes))
    }
}

fn outcome<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match outcome {
        Outcome::Copied => "copied",
        Outcome::Planned => "planned",
        Outcome::Present => "present",
        Outcome::Itself => "itself",
    })
}

const fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Present => "present",
        Fate::Mounted => "mount",
        Fate::Copied => "copy",
    }
}

/// What the copy goes by at `at`.
fn named(at: &Location, tag: Option<&Tag>, digest: &Digest) -> String {
    match tag {
        Some(tag) => reference(at, tag, digest),
        None => at.clone().at_digest(digest.clone()).to_string(),
    }
}

pub(super) async fn run(session: &Session, args: Cp) -> Result<(), Failure> {
    let platforms = platforms(&args);
    let referrers = match args.referrers_type {
        Some(kind) => Referrers::OfType(kind),
        None if args.no_referrers => Referrers::None,
        None => Referrers::All,
    };
    let defaults = CopyOptions::default();
    let options = CopyOptions {
        platforms,
        referrers,
        blobs_at_once: session.jobs().unwrap_or(defaults.blobs_at_once),
        mode: if args.dry_run { Mode::DryRun } else { Mode::Copy },
        ..defaults
    };
    let copied = session.showing("copying", session.client().copy(&args.from, &args.to, &options)).await?;
    warn_of_referrers(session, &args.from, &options, &copied);
    let report = Report::of(&args.to, &copied);
    let mut output = session.output();
    output.result(&report)?;
    output.flush()?;
    if report.outcome != Outcome::Planned {
        session.say(&Figures(&report));
    }
    Ok(())
}

/// Warns of referrers that someone may expect at the destination, and that are not there.
fn warn_of_referrers(session: &Session, from: &Location, options: &CopyOptions, copied: &Copied) {
    match (&copied.left_behind, &options.referrers) {
        // JSON has it.
        (Some(_), _) if session.format() == Format::Json => {}
        (Some(LeftBehind { index, referrers }), _) => {
            let count = Count(*referrers, "referrer", "referrers");
            tracing::warn!("{count} of the index {index} left behind, as the index itself is not copied");
        }
        (None, Referrers::OfType(kind)) if copied.referrers == 0 && copied.outcome != Outcome::Itself => {
            let at = match options.platforms {
                Platforms::Image(_) => from.clone().at_digest(copied.manifest.digest.clone()),
                _ => from.clone(),
            };
            tracing::warn!(
                "nothing of the artifact type `{kind}` refers to what is copied; `refs referrers {at}` lists what there is"
            );
        }
        _ => {}
    }
}

/// What of an index is asked for, each platform once.
fn platforms(args: &Cp) -> Platforms {
    let mut platforms: Vec<Platform> = Vec::new();
    for platform in &args.platforms {
        if !platforms.contains(platform) {
            platforms.push(platform.clone());
        }
    }
    match platforms.as_slice() {
        [] => Platforms::All,
        _ if args.rewrite_index => Platforms::Rewritten(platforms),
        [only] => Platforms::Image(Box::new(only.clone())),
        _ => Platforms::Sparse(platforms),
    }
}
