//! `refs demo`: the main job, on an embedded registry that forgets everything afterwards.

use std::{fs, io, path::Path, sync::Arc};

use refs_client::{Client, Listing, Location, PullOptions, PushOptions, ReadOptions};
use refs_server::{Answered, ServeOptions, Server};
use refs_store::Memories;
use tokio::sync::{mpsc, oneshot};

use super::{Failure, serve};
use crate::{
    listen_args::Listen,
    output::{Bytes, Output, escape},
    wiring::Session,
};

const CHAPTERS: u32 = 200;

pub(super) async fn run(session: &Session) -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let tree = scratch.path().join("handbook");
    write_sample(&tree)?;
    let (log, answered) = mpsc::unbounded_channel();
    let listener = serve::bind(&Listen::by_flag("listen", "127.0.0.1:0".to_owned())).await?;
    let host = listener.local_addr()?;
    let options = refs_server::Options { observers: vec![Arc::new(log)], ..refs_server::Options::default() };
    let server = Server::writable(Arc::new(Memories::default()), &options);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stop = async move { drop(stopped.await) };
        refs_server::serve(listener, server, &ServeOptions::default(), stop).await;
    });
    let at: Location = format!("{host}/demo/handbook:v1").parse()?;
    // What each step costs is shown as if it was the first.
    let client = session.uncached();
    let mut tour = Tour { client: &client, answered, output: session.output(), at };
    let toured = tour.all(&tree, &scratch.path().join("pulled")).await;
    drop(stop);
    drop(serving.await);
    toured
}

/// The steps, one after the other.
struct Tour<'a> {
    client: &'a Client,
    answered: mpsc::UnboundedReceiver<Answered>,
    output: Output,
    at: Location,
}

impl Tour<'_> {
    async fn all(&mut self, tree: &Path, destination: &Path) -> Result<(), Failure> {
        let at = self.at.clone();
        self.say(format_args!(
            "An OCI registry is listening, for as long as this runs. {CHAPTERS} chapters to share.\n"
        ))?;

        self.say(format_args!("$ refs push handbook {at}"))?;
        let pushed = self.client.push(tree, &at, &PushOptions::default()).await?;
        let (files, layer) = (Bytes(pushed.file_bytes), Bytes(pushed.layer.size));
        self.say(format_args!("{at}@{}\n{files} of files in a layer of {layer}", pushed.descriptor.digest))?;
        self.costs()?;

        self.say(format_args!("$ refs ls {at}"))?;
        let listing = self.client.list_files(&at, &ReadOptions::default()).await?;
        self.list(&listing)?;
        self.costs()?;

        self.say(format_args!("$ refs cat {at} .sow-ref.yaml"))?;
        let manifest = self.client.get_manifest(&at, &ReadOptions::default()).await?;
        self.say(format_args!("{}", String::from_utf8_lossy(&manifest).trim_end()))?;
        self.costs()?;

        self.say(format_args!("$ refs pull {at} pulled --path 'part-1/**'"))?;
        let read = ReadOptions { patterns: vec!["part-1/**".to_owned()], ..ReadOptions::default() };
        let pulled = self.client.pull(&at, destination, &PullOptions { read, ..PullOptions::default() }).await?;
        let (fetched, written) = (Bytes(pulled.fetched_bytes), Bytes(pulled.written_bytes));
        self.say(format_args!("{} files, {fetched} fetched, {written} written", pulled.files))?;
        self.costs()?;
        Ok(self.output.flush()?)
    }

    fn say(&mut self, words: impl std::fmt::Display) -> io::Result<()> {
        self.output.line(&words)?;
        self.output.flush()
    }

    fn list(&mut self, listing: &Listing) -> io::Result<()> {
        const SHOWN: usize = 4;
        for entry in listing.entries().take(SHOWN) {
            let slash = if entry.is_directory() { "/" } else { "" };
            self.say(format_args!("{}{slash}", escape(&entry.path)))?;
        }
        self.say(format_args!("… {} more", listing.len().saturating_sub(SHOWN)))
    }

    /// Shows the requests since the last step and what they carried.
    fn costs(&mut self) -> io::Result<()> {
        let mut answers = Vec::new();
        while let Ok(answer) = self.answered.try_recv() {
            answers.push(answer);
        }
        let bytes = answers.iter().map(|answer| answer.bytes).sum();
        let s = if answers.len() == 1 { "" } else { "s" };
        self.say(format_args!("  cost: {} request{s}, {} of answers", answers.len(), Bytes(bytes)))?;
        for answer in &answers {
            self.say(format_args!("    {}", shortened(&answer.to_string())))?;
        }
        self.say("")
    }
}

/// `line` with its digests cut to their first twelve digits.
fn shortened(line: &str) -> String {
    const KEPT: usize = 12;
    let mut parts = line.split("sha256:").flat_map(|part| part.split("sha256%3A"));
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(part.len());
        short.push_str(&format!("sha256:{}…{}", &part[..KEPT.min(digits)], &part[digits..]));
    }
    short
}

/// A handbook with a manifest file, a read-me and chapters in two parts.
fn write_sample(tree: &Path) -> io::Result<()> {
    for part in 1..=2 {
        let folder = tree.join(format!("part-{part}"));
        fs::create_dir_all(&folder)?;
        for chapter in 1..=CHAPTERS / 2 {
            fs::write(folder.join(format!("chapter-{chapter:03}.md")), chapter_text(part, chapter))?;
        }
    }
    fs::write(tree.join("README.md"), "# The handbook\n\nTwo parts, a chapter a file.\n")?;
    fs::write(tree.join(".sow-ref.yaml"), MANIFEST)
}

const MANIFEST: &str = "\
schema_version: 1.0.0
ref:
  title: The handbook
  link: handbook
content:
  description: A made-up handbook in two parts, to show what can be read of an artifact without pulling it.
  classifications:
    - type: guidelines
  tags: [demo]
";

fn chapter_text(part: u32, chapter: u32) -> String {
    let mut text = format!("# Part {part}, chapter {chapter}\n\n");
    let mut number = part * 1000 + chapter;
    for _ in 0..400 {
        // A linear congruential generator: words that do not repeat, so that the layer is not unfairly small.
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(&format!("{number:08x} "));
    }
    text.push('\n');
    text
}
