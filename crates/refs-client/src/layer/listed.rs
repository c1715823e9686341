//! Entries that were found, made one by one as someone asks for them.

use std::sync::Arc;

use refs_estargz::Entry;
use refs_url::Digest;

use super::{form::Purpose, merge::Shown, ranges::Indexed, survey::Survey};
use crate::select::Selection;

/// Entries in the order of a walk through the sorted tree.
#[derive(Debug, Clone)]
pub(crate) enum Listed {
    /// All that a table of contents has.
    All(Arc<Indexed>),
    /// Some of them, by index.
    Some(Arc<Indexed>, Vec<u32>),
    /// Some of what a survey found, by index, of layers that have no table or lie on each other.
    Found(Arc<Survey>, Vec<u32>),
}

impl Listed {
    /// What `selection` means of the only layer of an artifact.
    pub(crate) fn of_layer(layer: Arc<Indexed>, selection: &Selection) -> Self {
        if matches!(selection, Selection::All) {
            return Self::All(layer);
        }
        let entries = (0..).zip(layer.toc().entries());
        let chosen = entries.filter(|(_, entry)| selection.contains(entry)).map(|(index, _)| index).collect();
        Self::Some(layer, chosen)
    }

    /// What `selection` means of what was found. A directory that no entry names is there in an image, as a runtime makes it;
    /// for an artifact none is made up.
    pub(crate) fn of_survey(survey: Arc<Survey>, selection: &Selection, purpose: Purpose) -> Self {
        let is_there = |shown: &Shown| purpose == Purpose::Image || shown.origin.is_some();
        let is_meant = |shown: &Shown| is_there(shown) && selection.contains(&shown.entry);
        let chosen = (0..).zip(&survey.found).filter(|(_, shown)| is_meant(shown)).map(|(index, _)| index).collect();
        Self::Found(survey, chosen)
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::All(layer) => layer.toc().len(),
            Self::Some(_, chosen) | Self::Found(_, chosen) => chosen.len(),
        }
    }

    pub(crate) fn entry_at(&self, index: usize) -> Entry {
        match self {
            Self::All(layer) => layer.toc().entry_at(index),
            Self::Some(layer, chosen) => layer.toc().entry_at(chosen[index] as usize),
            Self::Found(survey, chosen) => survey.found[chosen[index] as usize].entry.clone(),
        }
    }

    pub(crate) fn path_at(&self, index: usize) -> &str {
        match self {
            Self::All(layer) => layer.toc().path_at(index),
            Self::Some(layer, chosen) => layer.toc().path_at(chosen[index] as usize),
            Self::Found(survey, chosen) => &survey.found[chosen[index] as usize].entry.path,
        }
    }

    /// Whether a table of contents tells of the files at these indexes here and in `other` in the same chunks. Of what is one
    /// chunk in both, or in none, the digests of the files say as much.
    pub(crate) fn has_chunks_of(&self, index: usize, other: &Self, at: usize) -> bool {
        self.chunks_at(index) == other.chunks_at(at)
    }

    /// Where the chunks of a file begin and what their digests are, if it has several.
    fn chunks_at(&self, index: usize) -> Vec<(u64, Digest)> {
        let (table, at) = match self {
            Self::All(layer) => (Some(layer), index),
            Self::Some(layer, chosen) => (Some(layer), chosen[index] as usize),
            Self::Found(survey, chosen) => {
                let origin = survey.found[chosen[index] as usize].origin;
                let table = origin.and_then(|origin| survey.tables.get(origin.layer)?.as_ref());
                (table, origin.map_or(0, |origin| origin.index))
            }
        };
        let chunks = table.into_iter().flat_map(|table| table.toc().chunks_of(at));
        let chunks: Vec<_> = chunks.map(|chunk| (chunk.offset, chunk.digest)).collect();
        if chunks.len() > 1 { chunks } else { Vec::new() }
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = Entry> + DoubleEndedIterator + '_ {
        (0..self.len()).map(|index| self.entry_at(index))
    }
}
