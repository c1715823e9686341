//! Walks a tar archive: headers to entries, and the content between them.
//!
//! Where two readers of an archive could disagree about what is in it, it is refused: a header hidden in what another
//! reader takes for content is how files are smuggled past a check.

use std::io::{self, BufRead};

use refs_estargz::{Entry, seek::Names};
use refs_url::Digest;
use tar::Header;

use super::{
    header::{self, Extensions, Fields},
    merge::Met,
    pax::{BadField, Pax},
    pipe::Abandoned,
};
use crate::{ArchiveFault, Error, Result};

pub(crate) const BLOCK_BYTES: usize = 512;
/// What follows the end of an archive has at most so many bytes.
const MAX_PADDING: u64 = 64 << 20;
/// An extended header or a long name has at most so many bytes.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// What an archive says of its entries beside their own headers has at most so many bytes, and for each entry so many more:
/// nothing else counts them, and they may be inflated from nothing.
const MAX_SAID_BYTES: u64 = 64 << 20;
const MAX_SAID_BYTES_EACH: u64 = 4096;

/// An archive as it is read, one entry after the other.
#[derive(Debug)]
pub(crate) struct Walk<R> {
    reader: R,
    layer: Digest,
    /// Where the reader is, and where the header of the current entry is: bytes of the archive.
    offset: u64,
    header_offset: u64,
    /// Bytes of the current entry that were not read yet, and those behind them that fill its last block.
    content: u64,
    padding: u64,
    /// How many entries were given.
    entries: usize,
    global: Pax,
    /// Bytes of extended headers, of long names and of what was said of the root, so far.
    said: u64,
    slash: Slash,
    /// Of the entries that were given.
    names: Names,
}

/// What a slash at the start of a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slash {
    /// A path out of the artifact, which is refused.
    LeadsOut,
    /// The root of the image: some builders write names so.
    IsRoot,
}

impl<R: BufRead> Walk<R> {
    /// Reads the archive of `layer` from its first byte on.
    pub(crate) fn new(reader: R, layer: Digest) -> Self {
        let (global, slash, names) = (Pax::default(), Slash::LeadsOut, Names::Relative);
        let (offset, header_offset, content, padding) = (0, 0, 0, 0);
        Self { reader, layer, offset, header_offset, content, padding, entries: 0, global, said: 0, slash, names }
    }

    /// The same, for which a slash at the start of a name means `slash`.
    pub(crate) fn with(self, slash: Slash) -> Self {
        Self { slash, ..self }
    }

    /// The next entry, whatever was left of the one before. `None` at the end of the archive. The root directory is
    /// passed over.
    ///
    /// # Errors
    /// `Corrupt`, `UnsafePath`, `UnsafeLink`, `SpecialFile`. Nothing can be read after an error.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        loop {
            match self.next_met()? {
                Some(met) if met.entry.path.is_empty() => self.say(MAX_SAID_BYTES_EACH)?,
                met => return Ok(met.map(|met| met.entry)),
            }
        }
    }

    /// As [`next_entry`](Self::next_entry), the root directory included, and with all that an image keeps of an entry.
    ///
    /// # Errors
    /// As [`next_entry`](Self::next_entry).
    pub(crate) fn next_met(&mut self) -> Result<Option<Met>> {
        let Some((mut fields, mut extensions)) = self.next_header()? else { return Ok(None) };
        if self.slash == Slash::IsRoot && header::strip_root(&mut fields, &mut extensions) == Names::FromRoot {
            self.names = Names::FromRoot;
        }
        let entry = header::entry(&fields, &extensions, &self.global).map_err(|fault| self.refuse(fault))?;
        let nanos = header::mtime(&extensions, &self.global).map_or(0, |mtime| mtime.nanos);
        self.content = entry.size();
        self.padding = padding(self.content);
        let index = self.entries;
        self.entries += 1;
        Ok(Some(Met { entry, nanos, index }))
    }

    /// How the names of the entries so far were written.
    pub(crate) fn names(&self) -> Names {
        self.names
    }

    /// Gives the content of the current entry to `take`, in portions.
    ///
    /// # Errors
    /// `Corrupt`, and whatever `take` returns.
    pub(crate) fn content(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while self.content > 0 {
            let available = match self.reader.fill_buf() {
                Ok([]) => return Err(self.fault(ArchiveFault::Truncated)),
                Ok(available) => available,
                Err(error) => return Err(self.io(&error)),
            };
            let taken = available.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
            take(&available[..taken])?;
            self.reader.consume(taken);
            self.content -= taken as u64;
            self.offset += taken as u64;
        }
        Ok(())
    }

    /// Where the content of the current entry is, or what of it was not read yet, in bytes of the archive.
    pub(crate) fn content_offset(&self) -> u64 {
        self.offset
    }

    /// The entry that stands behind the end of the archive, where nobody who unpacks it looks: eStargz keeps its table of
    /// contents there when the archive must stay as it was.
    ///
    /// # Errors
    /// As [`next_entry`](Self::next_entry).
    pub(crate) fn entry_behind_end(&mut self) -> Result<Option<Entry>> {
        self.header_offset = self.offset;
        let mut zeros = 0;
        let block = loop {
            match self.block()? {
                Some(block) if block == [0; BLOCK_BYTES] && zeros < MAX_PADDING => zeros += BLOCK_BYTES as u64,
                block => break block,
            }
        };
        let Some(Ok(fields)) = block.map(|block| Fields::parse(Header::from_byte_slice(&block))) else {
            return Ok(None);
        };
        let Ok(entry) = header::entry(&fields, &Extensions::default(), &Pax::default()) else { return Ok(None) };
        (self.content, self.padding) = (entry.size(), padding(entry.size()));
        Ok(Some(entry))
    }

    /// The error for an archive that is not the one that was read before.
    pub(crate) fn changed(&self) -> Error {
        self.fault(ArchiveFault::Changed)
    }

    /// Where the header of the current entry is, in bytes of the archive.
    pub(crate) fn header_offset(&self) -> u64 {
        self.header_offset
    }

    /// Reads whatever follows the end of the archive, so that a compressed stream has shown all its checksums.
    ///
    /// # Errors
    /// `Corrupt`, and so it is when more follows than any writer pads an archive with: it may be inflated from nothing.
    pub(crate) fn finish(self) -> Result<()> {
        self.into_reader().map(drop)
    }

    /// As [`finish`](Self::finish), and gives the reader, of which nothing is left, back.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub(crate) fn into_reader(mut self) -> Result<R> {
        let mut padding = 0;
        loop {
            match self.reader.fill_buf() {
                Ok([]) => return Ok(self.reader),
                Ok(rest) => {
                    let rest = rest.len();
                    self.reader.consume(rest);
                    padding += rest as u64;
                    if padding > MAX_PADDING {
                        return Err(self.fault(ArchiveFault::TooMuchPadding { limit: MAX_PADDING }));
                    }
                }
                Err(error) => return Err(self.io(&error)),
            }
        }
    }

    /// The next header that is of an entry, and the extensions before it.
    fn next_header(&mut self) -> Result<Option<(Fields, Extensions)>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_to_header()?;
            let Some(header) = self.header()? else {
                return if extensions.is_empty() { Ok(None) } else { Err(self.fault(ArchiveFault::Truncated)) };
            };
            let fields = Fields::parse(&header).map_err(|fault| self.fault(fault))?;
            match fields.kind {
                b'x' => {
                    let pax = self.pax(fields.size)?;
                    self.set(&mut extensions.pax, pax, "extended header")?;
                }
                b'g' => self.global = self.global_pax(fields.size)?,
                b'L' => {
                    let name = self.long_text(fields.size)?;
                    self.set(&mut extensions.long_name, name, "long name")?;
                }
                b'K' => {
                    let link = self.long_text(fields.size)?;
                    self.set(&mut extensions.long_link, link, "long link")?;
                }
                _ => return Ok(Some((fields, extensions))),
            }
        }
    }

    /// Two extensions of a kind before one entry: some readers take the first, some the last.
    fn set<T>(&self, extension: &mut Option<T>, value: T, name: &'static str) -> Result<()> {
        match extension.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.fault(ArchiveFault::Field(name))),
        }
    }

    fn skip_to_header(&mut self) -> Result<()> {
        self.content(|_| Ok(()))?;
        self.content = std::mem::take(&mut self.padding);
        self.content(|_| Ok(()))?;
        self.header_offset = self.offset;
        Ok(())
    }

    /// The next block, `None` when it and the one after are zeros, or when there is none.
    fn header(&mut self) -> Result<Option<Header>> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block != [0; BLOCK_BYTES] {
            return Ok(Some(Header::from_byte_slice(&block).clone()));
        }
        match self.block()? {
            Some(second) if second != [0; BLOCK_BYTES] => Err(self.fault(ArchiveFault::Checksum)),
            _ => Ok(None),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>> {
        let mut block = [0; BLOCK_BYTES];
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(self.fault(ArchiveFault::Truncated)),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.io(&error)),
            }
        }
        self.offset += BLOCK_BYTES as u64;
        Ok(Some(block))
    }

    fn pax(&mut self, size: u64) -> Result<Pax> {
        let records = self.extension(size)?;
        Pax::parse(&records).map_err(|BadField(field)| self.fault(ArchiveFault::Field(field)))
    }

    /// What one header may say of all entries. Readers disagree on whether a name or size for all counts, so none may.
    fn global_pax(&mut self, size: u64) -> Result<Pax> {
        let pax = self.pax(size)?;
        if pax.path.is_some() || pax.link.is_some() || pax.size.is_some() || pax.is_sparse {
            return Err(self.fault(ArchiveFault::Field("global header")));
        }
        Ok(Pax { xattrs: std::collections::BTreeMap::new(), ..pax })
    }

    /// A name that ends at its first NUL.
    fn long_text(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut text = self.extension(size)?;
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        text.truncate(end);
        Ok(text)
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MAX_EXTENSION_BYTES {
            return Err(self.fault(ArchiveFault::ExtensionTooLarge { size, limit: MAX_EXTENSION_BYTES }));
        }
        self.say(size)?;
        (self.content, self.padding) = (size, padding(size));
        let mut bytes = Vec::new();
        self.content(|portion| {
            bytes.extend_from_slice(portion);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Counts a header that is of no entry, and the `size` bytes behind it.
    fn say(&mut self, size: u64) -> Result<()> {
        self.said += size + BLOCK_BYTES as u64;
        let limit = MAX_SAID_BYTES + MAX_SAID_BYTES_EACH * self.entries as u64;
        if self.said > limit {
            return Err(self.fault(ArchiveFault::ExtensionTooLarge { size: self.said, limit }));
        }
        Ok(())
    }

    fn refuse(&self, fault: header::Refusal) -> Error {
        match fault {
            header::Refusal::Fault(fault) => self.fault(fault),
            header::Refusal::Entry(error) => *error,
        }
    }

    fn fault(&self, fault: ArchiveFault) -> Error {
        Error::Corrupt { layer: self.layer.clone(), offset: self.header_offset, fault }
    }

    fn io(&self, error: &io::Error) -> Error {
        if error.get_ref().is_some_and(|inner| inner.is::<Abandoned>()) {
            // Whoever fed the reader knows why it stopped, and tells.
            return Error::Worker;
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.fault(ArchiveFault::Truncated),
            _ => self.fault(ArchiveFault::Compression(error.to_string())),
        }
    }
}

/// Whether an archive may start with `block`.
pub(crate) fn is_header(block: &[u8]) -> bool {
    let whole = <[u8; BLOCK_BYTES]>::try_from(block);
    whole.is_ok_and(|block| block == [0; BLOCK_BYTES] || Fields::parse(Header::from_byte_slice(&block)).is_ok())
}

/// How many bytes fill the last block of `size` bytes.
fn padding(size: u64) -> u64 {
    const BLOCK: u64 = BLOCK_BYTES as u64;
    (BLOCK - size % BLOCK) % BLOCK
}
