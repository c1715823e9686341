//! Hands the entries of layers to whoever receives them: those that are meant, each once, links after their files.

use std::{collections::BTreeMap, mem};

use refs_estargz::{Entry, Kind};
use refs_registry::Descriptor;

use super::{
    agreement::Agreement,
    archive::Archive,
    blocks::{Blocks, written},
    merge::Merge,
    passes::Tally,
    path::{self, Whiteout},
    pipe::PipeReader,
};
use crate::{Error, Result, receive::Receive, select::Selection};

/// What is handed over, to whom, and what is still to come.
#[derive(Debug)]
pub(crate) struct Delivery<R> {
    pub(crate) selection: Selection,
    pub(crate) receiver: R,
    pub(crate) tally: Tally,
    /// Hard links, which come last: the file that one names may come later.
    links: Vec<Entry>,
    /// Hard links whose files are not handed over.
    missing: Names,
    /// What an image's layer shows, where that is not what was handed over.
    bent: Option<Merge>,
}

/// Names of files that were not handed over themselves, by the path of the file.
pub(crate) type Names = BTreeMap<String, Vec<Entry>>;

impl<R: Receive> Delivery<R> {
    pub(crate) fn new(selection: Selection, receiver: R) -> Self {
        Self { selection, receiver, tally: Tally::default(), links: Vec::new(), missing: Names::new(), bent: None }
    }

    /// Whether `entry` is to be handed over.
    pub(crate) fn means(&self, entry: &Entry) -> bool {
        !path::is_format_file(&entry.path) && self.selection.contains(entry)
    }

    /// Hands over what `archive` holds. Its table of contents must tell the same if there is an `agreement`, which is given
    /// back undecided where the archive shows no table.
    pub(crate) fn archive(
        &mut self,
        layer: &Descriptor,
        mut archive: Archive,
        root: &str,
        mut agreement: Option<Agreement>,
    ) -> Result<Option<Agreement>> {
        self.writing(|delivery, blocks| {
            while let Some(entry) = archive.next_entry()? {
                check_below(&entry.path, root)?;
                if let Some(agreement) = &mut agreement {
                    agreement.see(&entry, layer, &mut archive)?;
                }
                delivery.tally.count(layer, &entry)?;
                if delivery.means(&entry) {
                    delivery.take(entry, &mut archive, blocks, agreement.as_mut())?;
                }
            }
            finished(archive, layer, agreement)
        })
    }

    /// As [`archive`](Delivery::archive), for the only layer of an image: names that delete have nothing to delete. When
    /// something is not where its name says, or not for long, nothing more is handed over, and [`bent`](Delivery::bent) has
    /// what the layer shows.
    pub(crate) fn image(
        &mut self,
        layer: &Descriptor,
        mut archive: Archive,
        mut agreement: Option<Agreement>,
    ) -> Result<Option<Agreement>> {
        self.writing(|delivery, blocks| {
            let mut merge = Merge::default();
            while let Some(met) = archive.next_met()? {
                let entry = met.entry.clone();
                merge.add(layer, met)?;
                if let Some(agreement) = agreement.as_mut().filter(|_| !entry.path.is_empty()) {
                    agreement.see(&entry, layer, &mut archive)?;
                }
                let is_shown = !entry.path.is_empty() && path::whiteout(&entry.path)? == Whiteout::None;
                if is_shown && merge.is_straight() && delivery.means(&entry) {
                    delivery.take(entry, &mut archive, blocks, agreement.as_mut())?;
                }
            }
            merge.next_layer()?;
            if merge.is_straight() {
                delivery.unnamed(merge)?
            } else {
                delivery.bent = Some(merge)
            }
            finished(archive, layer, agreement)
        })
    }

    /// What an image's layer shows, if what was handed over is something else.
    pub(crate) fn bent(&mut self) -> Option<Merge> {
        self.bent.take()
    }

    /// Hands over directories of an image that no entry names and a pattern does. Where all is meant, they come with what is
    /// in them.
    fn unnamed(&mut self, merge: Merge) -> Result<()> {
        if matches!(self.selection, Selection::All) {
            return Ok(());
        }
        let unnamed = merge.into_shown().into_iter().filter(|shown| shown.origin.is_none());
        unnamed
            .filter(|shown| self.selection.contains(&shown.entry))
            .try_for_each(|shown| self.receiver.entry(&shown.entry))
    }

    /// Hands over a blob that is one file.
    pub(crate) fn file(&mut self, entry: &Entry, mut bytes: PipeReader) -> Result<()> {
        self.writing(|delivery, blocks| {
            delivery.receiver.entry(entry)?;
            blocks.file(entry, |take| {
                while let Some(chunk) = bytes.next_chunk()? {
                    take(&chunk)?;
                }
                Ok(())
            })
        })
    }

    /// Keeps a hard link, whose file is handed over, for the end.
    pub(crate) fn link(&mut self, entry: Entry) {
        self.links.push(entry);
    }

    /// The hard links whose files were not asked for. They are to be handed over by [`renamed`](Delivery::renamed).
    pub(crate) fn missing(&mut self) -> Names {
        mem::take(&mut self.missing)
    }

    /// Hands over the hard links that were kept for the end.
    pub(crate) fn links(&mut self) -> Result<()> {
        mem::take(&mut self.links).iter().try_for_each(|link| self.receiver.entry(link))
    }

    /// Hands over files of `archive` under other names than their own.
    pub(crate) fn renamed(&mut self, mut archive: Archive, mut names: Names) -> Result<()> {
        self.writing(|delivery, blocks| {
            while let Some(entry) = archive.next_entry()? {
                if !entry.is_file() {
                    continue;
                }
                let mut links = names.remove(&entry.path).unwrap_or_default().into_iter();
                let Some(first) = links.next() else { continue };
                delivery.content(&Entry { path: first.path.clone(), ..entry }, &mut archive, blocks)?;
                for link in links {
                    let kind = Kind::Hardlink { target: first.path.clone() };
                    delivery.receiver.entry(&Entry { kind, ..link })?;
                }
            }
            if let Some((target, links)) = names.into_iter().next() {
                let path = links.into_iter().next().map(|link| link.path).unwrap_or_default();
                return Err(Error::UnsafeLink { path, target, reason: "it names no file of its layer" });
            }
            archive.finish()
        })
    }

    /// Runs `work`, which may put content into blocks.
    fn writing<T>(&mut self, work: impl FnOnce(&mut Self, &mut Blocks<'_>) -> Result<T>) -> Result<T> {
        let hands = std::array::from_fn(|_| self.receiver.hand());
        written(hands, |blocks| work(self, blocks))
    }

    fn take(
        &mut self,
        entry: Entry,
        archive: &mut Archive,
        blocks: &mut Blocks<'_>,
        agreement: Option<&mut Agreement>,
    ) -> Result<()> {
        match &entry.kind {
            Kind::Hardlink { target } => {
                let file = Entry { path: target.clone(), ..entry.clone() };
                if self.means(&file) {
                    self.link(entry);
                } else {
                    self.missing.entry(file.path).or_default().push(entry);
                }
                Ok(())
            }
            Kind::File { .. } => match agreement {
                Some(agreement) => {
                    self.receiver.entry(&entry)?;
                    blocks.file(&entry, |take| agreement.content(archive, take))
                }
                None => self.content(&entry, archive, blocks),
            },
            _ => self.receiver.entry(&entry),
        }
    }

    fn content(&mut self, file: &Entry, archive: &mut Archive, blocks: &mut Blocks<'_>) -> Result<()> {
        self.receiver.entry(file)?;
        blocks.file(file, |take| archive.content(take))
    }
}

/// Reads what follows the entries of `archive`, and compares it with its table of contents.
fn finished(mut archive: Archive, layer: &Descriptor, agreement: Option<Agreement>) -> Result<Option<Agreement>> {
    let undecided = agreement.map(|agreement| agreement.check(layer, &mut archive)).transpose()?;
    archive.finish().map(|()| undecided.flatten())
}

/// Checks that `path` is in the directory that its layer is for; an empty `root` is the artifact's.
pub(crate) fn check_below(path: &str, root: &str) -> Result<()> {
    if root.is_empty() || path == root || path::parents(path).any(|parent| parent == root) {
        return Ok(());
    }
    Err(Error::UnsafePath { path: path.to_owned(), reason: "it is outside of the directory that its layer is for" })
}
