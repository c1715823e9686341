//! What tags lead to, where many nodes write it down.

use object_store::path::Path;
use refs_registry::{Error, Result, error::Doing};

use super::objects::{Objects, Put};
use crate::record::TagRecord;

/// A longer record is none.
const MAX_BYTES: u64 = 1 << 20;
/// So often the others may be faster.
const ATTEMPTS: usize = 16;

/// Writes `record` in the place of what this node has `known` so far, but not of what another has written down since that was
/// seen later; gives what is written there.
pub(super) async fn record(
    objects: &Objects,
    at: &Path,
    record: &TagRecord,
    known: Option<&TagRecord>,
) -> Result<TagRecord> {
    let json = serde_json::to_vec(record).map_err(|error| Error::io(Doing::Write, at.as_ref(), error.into()))?;
    let mut put = objects.create(at, json.clone().into()).await?;
    for _ in 0..ATTEMPTS {
        if put == Put::Done {
            return Ok(record.clone());
        }
        put = match objects.read(at, MAX_BYTES).await? {
            Some((theirs, version)) => match parse(at, &theirs) {
                Some(theirs) if theirs.asked() > record.asked() && Some(&theirs) != known => return Ok(theirs),
                _ => objects.update(at, json.clone().into(), version).await?,
            },
            None => objects.create(at, json.clone().into()).await?,
        };
    }
    if put == Put::Done { Ok(record.clone()) } else { Err(Error::Busy { path: at.as_ref().into() }) }
}

pub(super) async fn recorded(objects: &Objects, at: &Path) -> Result<Option<TagRecord>> {
    Ok(objects.read(at, MAX_BYTES).await?.and_then(|(json, _)| parse(at, &json)))
}

/// A damaged record counts as none.
fn parse(at: &Path, json: &[u8]) -> Option<TagRecord> {
    let record = serde_json::from_slice(json);
    if let Err(fault) = &record {
        tracing::debug!(%at, %fault, "a damaged record is passed by");
    }
    record.ok()
}
