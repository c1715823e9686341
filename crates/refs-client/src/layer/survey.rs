//! What there is in an artifact.

use std::sync::Arc;

use refs_estargz::path_order;
use refs_registry::Descriptor;

use super::{
    contents::Contents,
    form::{Form, Layer, Purpose},
    merge::{Met, Origin, Shown},
    passes::Tally,
    path::is_format_file,
    spool::{Capture, Spool},
};
use crate::Result;

/// All that there is.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Ordered by path.
    pub(crate) found: Vec<Shown>,
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

    async fn survey_lone(&self, layer: &Layer, capture: Option<Capture>) -> Result<(Survey, Option<Spool>)> {
        let tally = Arc::<Tally>::default();
        let (found, captured) = match (&layer.form, self.index(layer).await?) {
            (_, Some(index)) => {
                let entries = index.toc().entries().enumerate();
                let mets = entries.map(|(index, entry)| Met { entry, nanos: 0, index });
                (lone(mets, &layer.descriptor, Some(&tally))?, None)
            }
            (Form::File(entry), None) => {
                let met = Met { entry: entry.clone(), nanos: 0, index: 0 };
                (lone([met], &layer.descriptor, Some(&tally))?, None)
            }
            (_, None) => {
                let (mets, captured) = self.streamed(0, layer, tally, capture.map(Arc::new)).await?;
                (lone(mets, &layer.descriptor, None)?, captured)
            }
        };
        Ok((Survey { found }, captured))
    }
}

/// What a layer shows on which no other lies: all of it, of each path the last. What was not counted before is counted now.
fn lone(mets: impl IntoIterator<Item = Met>, layer: &Descriptor, tally: Option<&Tally>) -> Result<Vec<Shown>> {
    let mut found = Vec::new();
    for Met { entry, nanos, index } in mets {
        if let Some(tally) = tally {
            tally.count(layer, &entry)?;
        }
        if !entry.path.is_empty() && !is_format_file(&entry.path) {
            found.push(Shown { entry, nanos, origin: Some(Origin { layer: 0, index }) });
        }
    }
    found.reverse();
    found.sort_by(|left, right| path_order(&left.entry.path, &right.entry.path));
    found.dedup_by(|later, kept| later.entry.path == kept.entry.path);
    Ok(found)
}
