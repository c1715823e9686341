//! What was read of layers, and what they show together.

use std::sync::Arc;

use futures_util::{StreamExt, future::BoxFuture, stream};
use refs_estargz::{Kind, Toc};
use refs_registry::Descriptor;
use tokio::sync::mpsc;

use super::{
    merge::{Merge, Met},
    ranges::Indexed,
    spool::Spool,
};
use crate::{Error, Result};

/// So many layers are read at once: each that is a stream is inflated by a thread of its own.
pub(super) const LAYERS_AT_ONCE: usize = 4;

/// What was read of a layer.
pub(super) struct Read {
    pub(super) layer: Arc<Descriptor>,
    pub(super) held: Held,
    /// The content of the file that was to be captured, if it came by.
    pub(super) captured: Option<Spool>,
}

/// What a layer holds.
pub(super) enum Held {
    /// What a table of contents tells, deletions included.
    Table(Arc<Indexed>),
    /// What an archive has, deletions included.
    Changes(Vec<Met>),
    /// Files, whatever they are called.
    Files(Vec<Met>),
}

/// What the layers show together that `reads` read, the lowest first, a few at once; and what was captured last.
///
/// # Errors
/// Those of `reads`; `UnsafePath` and `UnsafeLink` for what layers can't make of each other.
pub(super) async fn merged(reads: Vec<BoxFuture<'_, Result<Read>>>) -> Result<(Merge, Option<Spool>)> {
    let mut reads = stream::iter(reads).buffered(LAYERS_AT_ONCE);
    let (sender, receiver) = mpsc::channel(1);
    let worker = tokio::task::spawn_blocking(move || merge(receiver));
    while let Some(read) = reads.next().await {
        // A worker that has gone has an error to tell.
        if sender.send(read?).await.is_err() {
            break;
        }
    }
    drop(sender);
    worker.await.unwrap_or(Err(Error::Worker))
}

/// Puts layers on each other, which come from the lowest up.
fn merge(mut layers: mpsc::Receiver<Read>) -> Result<(Merge, Option<Spool>)> {
    let (mut merge, mut captured) = (Merge::default(), None);
    while let Some(read) = layers.blocking_recv() {
        captured = read.captured.or(captured);
        match read.held {
            Held::Table(index) => add_table(&mut merge, &read.layer, index.toc())?,
            Held::Changes(mets) => mets.into_iter().try_for_each(|met| merge.add(&read.layer, met))?,
            Held::Files(mets) => mets.into_iter().try_for_each(|met| merge.add_file(&read.layer, met))?,
        }
        merge.next_layer()?;
    }
    Ok((merge, captured))
}

/// A table is sorted by path: the file that a hard link of it names is in it, and may come later.
fn add_table(merge: &mut Merge, layer: &Descriptor, toc: &Toc) -> Result<()> {
    let mut links = Vec::new();
    for met in mets(toc) {
        let is_link = matches!(met.entry.kind, Kind::Hardlink { .. });
        if is_link { links.push(met) } else { merge.add(layer, met)? }
    }
    links.into_iter().try_for_each(|met| merge.add(layer, met))
}

/// The entries of a table, in its order.
pub(super) fn mets(toc: &Toc) -> impl Iterator<Item = Met> {
    toc.entries().enumerate().map(|(index, entry)| Met { entry, nanos: 0, index })
}
