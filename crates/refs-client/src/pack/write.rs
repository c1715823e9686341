//! The bytes of a layer.

use std::{
    fs::File,
    io::{self, Read, Write},
    num::NonZeroUsize,
    thread::available_parallelism,
};

use refs_estargz::{Built, Error as PackError, Kind, NewEntry, PathFault, WriteOptions, Writer};

use super::Plan;
use crate::{Error, Meter, Result, error::SourceFault};

/// One thread reads the files and hashes the layer: it keeps about so many others busy, and each of them costs memory.
const MOST_THREADS: usize = 8;

/// Writes the layer of `plan` to `out`, compressed as hard as `level` says, which is from 0 to 9.
///
/// # Errors
/// `Source` and `Io` for what can't be packed, `Pack` when `out` fails. A part may have been written.
pub(crate) fn write_layer(plan: &Plan, out: impl Write, meter: &Meter, level: u32) -> Result<Built> {
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let threads = threads.min(NonZeroUsize::MIN.saturating_add(MOST_THREADS - 1));
    let options = WriteOptions { level, threads, ..WriteOptions::default() };
    let mut writer = Writer::new(out, &options).map_err(pack_error(plan))?;
    for entry in &plan.cold {
        append(&mut writer, plan, entry, meter)?;
    }
    writer.begin_hot();
    for entry in &plan.hot {
        append(&mut writer, plan, entry, meter)?;
    }
    writer.finish().map_err(pack_error(plan))
}

fn append<W: Write>(writer: &mut Writer<W>, plan: &Plan, entry: &NewEntry, meter: &Meter) -> Result<()> {
    if let Kind::File { size } = entry.kind {
        let mut content = Content { file: plan.open(entry)?, rest: Some(size), meter };
        writer.append(entry, &mut content)
    } else {
        writer.append(entry, &mut io::empty())
    }
    .map_err(pack_error(plan))
}

fn pack_error(plan: &Plan) -> impl FnOnce(PackError) -> Error + use<'_> {
    |source| match source {
        PackError::SizeChanged { path, .. } => plan.fault(&path, SourceFault::Changed),
        PackError::Path { path, fault: PathFault::Reserved } => plan.fault(&path, SourceFault::ReservedName),
        source => Error::Pack { path: plan.root.clone(), source },
    }
}

/// A file that is read, and counted.
struct Content<'a> {
    file: File,
    /// How many bytes are expected; `None` once there are no more.
    rest: Option<u64>,
    meter: &'a Meter,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(rest) = self.rest else { return Ok(0) };
        let read = self.file.read(buffer)?;
        self.meter.add_packed(read as u64);
        let rest = rest.saturating_sub(read as u64);
        // A read that stops short where the file is to end has seen its end; to be told so by another would take as
        // long as reading a small file does.
        self.rest = (rest > 0 || read == buffer.len()).then_some(rest);
        Ok(read)
    }
}
