//! `refs serve --mirror` beside other read-through caches of the same registry.

mod content;
mod load;
mod memory;
mod peers;
mod table;

use serde::Serialize;

use super::options::Options;
use super::statistics::Spread;
use crate::error::{Error, Result};
use crate::interop::trees::noise;
use crate::workspace::Workspace;
use content::Content;
use load::{Cold, Load};
use peers::{Cache, Setting};

/// What was measured of caches.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    tables: Vec<Table>,
    memory: Vec<memory::Peak>,
}

/// The figures of one kind of load, a column for each cache.
#[derive(Debug, Serialize)]
struct Table {
    name: &'static str,
    unit: Unit,
    columns: Vec<Column>,
}

/// One cache; the first is ours.
#[derive(Debug, Serialize)]
struct Column {
    name: String,
    /// One a round.
    figures: Vec<Option<f64>>,
    spread: Option<Spread>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Unit {
    /// More is better.
    MegabytesPerSecond,
    RequestsPerSecond,
    /// Less is better.
    Milliseconds,
}

/// How many bytes a blob has that is read as a whole.
const BLOB_BYTES: usize = 100_000_000;
/// How many bytes small ones have.
const SMALL_BYTES: usize = 16 << 10;
/// How many small ones there are.
const SMALL: usize = 64;
const REPOSITORY: &str = "bench/mirrored";

/// What is asked for when the cache has it.
const HOT: [(&str, Load, Unit); 4] = [
    ("mirror hot: a blob of 100 MB, 1 connection", Load { connections: 1, requests: 8 }, Unit::MegabytesPerSecond),
    ("mirror hot: a blob of 100 MB, 8 connections", Load { connections: 8, requests: 2 }, Unit::MegabytesPerSecond),
    ("mirror hot: blobs of 16 KiB, 8 connections", Load { connections: 8, requests: 400 }, Unit::RequestsPerSecond),
    ("mirror hot: manifests, 8 connections", Load { connections: 8, requests: 400 }, Unit::RequestsPerSecond),
];
const COLD: [(&str, Unit); 2] = [
    ("mirror cold: the first byte of a blob of 100 MB", Unit::Milliseconds),
    ("mirror cold: all of a blob of 100 MB", Unit::Milliseconds),
];

/// Whether a figure of these is asked for.
pub(crate) fn is_wanted(options: &Options) -> bool {
    names().any(|name| options.wants(name))
}

/// The caches take turns, a round at a time, after one round to warm up.
///
/// # Errors
/// Those of our own server and of the registry; a peer that fails has no figures.
pub(crate) fn measure(workspace: &Workspace, options: &Options) -> Result<Figures> {
    let setting = Setting::start(workspace)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(Error::file("start", "a runtime"))?;
    runtime.block_on(run(&setting, options))
}

fn names() -> impl Iterator<Item = &'static str> {
    HOT.iter().map(|(name, ..)| *name).chain(COLD.iter().map(|(name, _)| *name)).chain([memory::NAME])
}

async fn run(setting: &Setting, options: &Options) -> Result<Figures> {
    let rounds = if options.is_quick() { 3 } else { 7 };
    let mut tables = hot(setting, options, rounds).await?;
    if COLD.iter().any(|(name, _)| options.wants(name)) {
        tables.extend(cold(setting, rounds).await?);
    }
    let memory = if options.wants(memory::NAME) { memory::measure(setting).await? } else { Vec::new() };
    Ok(Figures { tables, memory })
}

async fn hot(setting: &Setting, options: &Options, rounds: usize) -> Result<Vec<Table>> {
    let large = setting.pushed(&noise(BLOB_BYTES)).await?;
    let bytes = noise(SMALL * SMALL_BYTES);
    let mut small = Vec::new();
    for bytes in bytes.chunks(SMALL_BYTES) {
        small.push(setting.pushed(bytes).await?);
    }
    setting.prepare(small.iter().chain([&large])).await;
    let (blobs, manifests) = small.into_iter().map(|Content { blob, manifest }| (blob, manifest)).unzip();
    let large = vec![large.blob];
    let mut tables = Vec::new();
    for ((name, load, unit), paths) in HOT.into_iter().zip([&large, &large, &blobs, &manifests]) {
        if options.wants(name) {
            let mut table = Table::new(name, unit, &setting.caches);
            for round in 0..=rounds {
                for (cache, column) in setting.caches.iter().zip(&mut table.columns) {
                    let done = load.run(&cache.host, paths).await;
                    let figure =
                        done.map(|done| if unit == Unit::RequestsPerSecond { done.requests } else { done.megabytes });
                    column.note(cache, figure, round)?;
                }
            }
            tables.push(table.closed());
        }
    }
    Ok(tables)
}

async fn cold(setting: &Setting, rounds: usize) -> Result<[Table; 2]> {
    let [mut first, mut all] = COLD.map(|(name, unit)| Table::new(name, unit, &setting.caches));
    let mut bytes = noise(BLOB_BYTES);
    for round in 0..=rounds {
        // Another blob: none of the caches has it.
        bytes[..8].copy_from_slice(&round.to_le_bytes());
        let content = setting.pushed(&bytes).await?;
        for (number, cache) in setting.caches.iter().enumerate() {
            let (came, ended) = match load::cold(cache, &content).await {
                Ok(Cold { first_ms, all_ms }) => (Ok(first_ms), Ok(all_ms)),
                Err(error) => (Err(error), Err(std::io::ErrorKind::Other.into())),
            };
            first.columns[number].note(cache, came, round)?;
            all.columns[number].note(cache, ended, round)?;
        }
    }
    Ok([first.closed(), all.closed()])
}

impl Figures {
    pub(crate) fn markdown(&self) -> String {
        let memory = if self.memory.is_empty() { String::new() } else { memory::markdown(&self.memory) };
        self.tables.iter().map(Table::markdown).chain([memory]).collect()
    }
}

impl Setting {
    /// Pushes a blob and its manifest to the registry.
    async fn pushed(&self, bytes: &[u8]) -> Result<Content> {
        Content::push(self.upstream.host(), bytes).await
    }

    /// Has the caches fetch what they give nobody before. One that can't shows that when it is asked.
    async fn prepare<'a>(&self, contents: impl Iterator<Item = &'a Content> + Clone) {
        for cache in &self.caches {
            for content in contents.clone() {
                drop(load::ask_first(cache, content).await);
            }
        }
    }
}

impl Column {
    /// Notes the figure of a round, the first of which does not count.
    fn note(&mut self, cache: &Cache, figure: std::io::Result<f64>, round: usize) -> Result<()> {
        match figure {
            Ok(figure) if round > 0 => self.figures.push(Some(figure)),
            Ok(_) => {}
            Err(error) if cache.is_ours => return Err(Error::file("read from", &cache.host)(error)),
            Err(error) => {
                println!("bench: {} failed: {error}", cache.name);
                self.figures.push(None);
            }
        }
        Ok(())
    }
}
