//! How the index of a layout is changed.

use refs_registry::{
    Error, Result,
    error::{Doing, Wanted},
};

use super::{folder::Folder, index::LayoutIndex};
use crate::{ingest::replace, lock::Lock};

/// The JSON of an index that was changed, if it was.
#[must_use]
pub(super) struct Changed(Option<Vec<u8>>);

impl Folder {
    /// Lets `change` change the index, and writes it back when it did. The layout must be locked.
    pub(super) fn change_index<T>(&self, held: &Lock, change: impl FnOnce(&mut LayoutIndex) -> T) -> Result<T> {
        let (result, changed) = self.changed_index(held, change)?;
        self.write_changed(changed).map(|()| result)
    }

    /// The same, to be written when all is there that it lists. What can't be written fails now.
    pub(super) fn changed_index<T>(
        &self,
        _held: &Lock,
        change: impl FnOnce(&mut LayoutIndex) -> T,
    ) -> Result<(T, Changed)> {
        let before = self.index()?;
        let mut index = before.clone();
        let result = change(&mut index);
        let json = if index == before { None } else { Some(self.json_of(&index)?) };
        Ok((result, Changed(json)))
    }

    pub(super) fn write_changed(&self, changed: Changed) -> Result<()> {
        changed.0.map_or(Ok(()), |json| replace(&self.ingest(), &self.index_path(), &json))
    }

    pub(super) fn write_index(&self, index: &LayoutIndex) -> Result<()> {
        self.write_changed(Changed(Some(self.json_of(index)?)))
    }

    /// One that is longer than what is read would be the last that anybody wrote.
    fn json_of(&self, index: &LayoutIndex) -> Result<Vec<u8>> {
        let json = index.to_json().map_err(|error| Error::io(Doing::Write, self.index_path(), error.into()))?;
        let limit = self.indexes.longest_bytes();
        if json.len() as u64 > limit {
            return Err(Error::TooLarge { wanted: Wanted::Tags, limit });
        }
        Ok(json)
    }
}
