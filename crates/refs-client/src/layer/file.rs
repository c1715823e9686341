//! Reads one file of an artifact, or a part of it.

use std::{io::Write, ops::Range, sync::Arc};

use super::{
    contents::Contents,
    find,
    form::{Form, Layer},
    merge::{Origin, Shown},
    one::One,
    path,
    pipe::PipeReader,
    ranges::Ranges,
    sought::Sought,
    spool::{Capture, Spool},
    stream::read_blob,
};
use crate::{ByteRange, Error, Result, thread};

impl Contents {
    /// Writes the bytes `range` of one file, which has at most `max_bytes`, to `output`. It gets verified bytes only. Links
    /// are followed inside the artifact.
    ///
    /// # Errors
    /// `FileNotFound`, `NotFile`, `FileTooLarge`, `RangeOutside`; `UnsafeLink` for links that lead out of the artifact or in
    /// circles; `Io` when `output` fails. A part of the file may have been written.
    pub(crate) async fn read_file<W: Write + Send + 'static>(
        &self,
        path: &str,
        range: ByteRange,
        max_bytes: u64,
        output: W,
    ) -> Result<W> {
        let Ok(wanted) = path::entry_path(path.trim_start_matches('/').as_bytes()) else {
            return Err(Error::FileNotFound {
                at: self.at.clone(),
                path: path.to_owned(),
                behind: None,
                nearest: None,
            });
        };
        let (survey, captured) = self.survey(Some(Capture { path: wanted.clone(), max_bytes })).await?;
        let Shown { entry, origin, .. } = find::file(&survey.found, &wanted, &self.at, self.purpose)?;
        // Only directories come from nowhere.
        let origin = origin.ok_or(Error::Worker)?;
        if entry.size() > max_bytes {
            return Err(Error::FileTooLarge { path: entry.path.clone(), size: entry.size(), limit: max_bytes });
        }
        let part = range.within(&entry.path, entry.size())?;
        if let Some(spool) = captured.filter(|spool| spool.is_of(origin, &entry.path)) {
            return thread::run(move || spool.copy_to(part, output)).await;
        }
        self.read_entry(origin, &entry.path, part, output).await
    }

    async fn read_entry<W: Write + Send + 'static>(
        &self,
        origin: Origin,
        path: &str,
        part: Range<u64>,
        output: W,
    ) -> Result<W> {
        let layer = &self.layers[origin.layer];
        if let Some(archive) = self.index(layer).await? {
            let one = One { archive, layer: Arc::clone(&layer.descriptor), index: origin.index, part };
            return one.write(self.ranges(layer), output).await;
        }
        if let Some(known) = self.known(layer).await
            && let Some(sought) = Sought::new(known, &layer.descriptor, origin.index, path, &part)
            && let Some(stream) = sought.open(&Ranges::new(Arc::clone(&self.streams), &layer.descriptor)).await?
        {
            return sought.write(stream, output).await;
        }
        let spool = match &layer.form {
            Form::File(_) => self.spool(origin, path, layer).await?,
            Form::Indexed { .. } | Form::Archive { .. } => self.spooled(origin, path, layer).await?,
        };
        thread::run(move || spool.copy_to(part, output)).await
    }

    /// The content of a blob that is one file.
    async fn spool(&self, origin: Origin, path: &str, layer: &Layer) -> Result<Spool> {
        let mut spool = Spool::new(origin, path);
        let work = move |mut bytes: PipeReader| {
            while let Some(chunk) = bytes.next_chunk()? {
                spool.take(&chunk)?;
            }
            Ok(spool)
        };
        read_blob(self.source.as_ref(), &layer.descriptor, work).await
    }
}
