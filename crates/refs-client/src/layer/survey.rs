//! What there is in an artifact.

use std::sync::Arc;

use refs_estargz::path_order;

use super::{
    contents::Contents,
    form::{Form, Layer, Purpose},
    merge::{Met, Origin, Shown},
    passes::Tally,
    path::is_format_file,
    ranges::Indexed,
    read::{self, Held, Read},
    spool::{Capture, Spool},
};
use crate::Result;

/// All that there is.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Ordered by path.
    pub(crate) found: Vec<Shown>,
    /// The tables of contents that it was found in, by layer.
    pub(crate) tables: Vec<Option<Arc<Indexed>>>,
}

impl Contents {
    /// What there is, and the content of the file that was to be captured, if it came by. What was found before is not read
    /// again.
    ///
    /// # Errors
    /// Those of the source and of the layers' formats.
    pub(super) async fn survey(&self, capture: Option<Capture>) -> Result<(Arc<Survey>, Option<Spool>)> {
        if let Some(survey) = self.surveyed.get() {
            return Ok((Arc::clone(survey), None));
        }
        let (survey, captured) = match self.layers.as_slice() {
            [layer] if self.purpose == Purpose::Artifact => self.survey_lone(layer, capture).await?,
            _ => self.merged(capture).await?,
        };
        // Whoever asked at the same time has found the same.
        Ok((Arc::clone(self.surveyed.get_or_init(|| Arc::new(survey))), captured))
    }

    /// The tables of contents that were read, by layer.
    pub(super) fn tables(&self) -> Vec<Option<Arc<Indexed>>> {
        let table = |layer: &Layer| match &layer.form {
            Form::Indexed { index, .. } => index.get().cloned().flatten(),
            Form::Archive { .. } | Form::File(_) => None,
        };
        self.layers.iter().map(table).collect()
    }

    async fn survey_lone(&self, layer: &Layer, capture: Option<Capture>) -> Result<(Survey, Option<Spool>)> {
        let tally = Arc::<Tally>::default();
        let Read { layer, held, captured } = self.read(0, layer, Arc::clone(&tally), capture.map(Arc::new)).await?;
        let found = match held {
            Held::Table(index) => {
                let counted = |met: Met| tally.count(&layer, &met.entry).map(|()| met);
                lone(read::mets(index.toc()).map(counted).collect::<Result<_>>()?)
            }
            Held::Changes(mets) | Held::Files(mets) => lone(mets),
        };
        Ok((Survey { found, tables: self.tables() }, captured))
    }
}

/// What the layer of an artifact shows on which no other lies: all of it, of each path the last.
fn lone(mets: Vec<Met>) -> Vec<Shown> {
    let mets = mets.into_iter().filter(|met| !met.entry.path.is_empty() && !is_format_file(&met.entry.path));
    let shown = |Met { entry, nanos, index }| Shown { entry, nanos, origin: Some(Origin { layer: 0, index }) };
    let mut found: Vec<Shown> = mets.map(shown).collect();
    found.reverse();
    found.sort_by(|left, right| path_order(&left.entry.path, &right.entry.path));
    found.dedup_by(|later, kept| later.entry.path == kept.entry.path);
    found
}
