//! What a tar header and its extensions say, checked.

use refs_estargz::{Entry, Kind, seek::Names};
use tar::Header;

use super::{
    path::{self, shown},
    pax::{Mtime, Pax},
};
use crate::{ArchiveFault, Error};

const MAX_LINK_BYTES: usize = 4096;

/// The fields of a header.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) kind: u8,
    pub(crate) size: u64,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    mtime: i64,
    uid: u32,
    gid: u32,
    device: (u32, u32),
}

/// The headers before an entry's own that say more about it.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    pub(crate) pax: Option<Pax>,
    pub(crate) long_name: Option<Vec<u8>>,
    pub(crate) long_link: Option<Vec<u8>>,
}

/// Why a header gives no entry.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It can't be read.
    Fault(ArchiveFault),
    /// It can, and what it says can't be used.
    Entry(Box<Error>),
}

impl From<ArchiveFault> for Refusal {
    fn from(fault: ArchiveFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Entry(Box::new(error))
    }
}

impl Fields {
    /// Reads a header that is not all zeros.
    pub(crate) fn parse(header: &Header) -> Result<Self, ArchiveFault> {
        let old = header.as_old();
        let field = |bytes: &[u8], name| number(bytes).ok_or(ArchiveFault::Field(name));
        if !sums(header.as_bytes()).contains(&field(&old.cksum, "checksum")?) {
            return Err(ArchiveFault::Checksum);
        }
        let size = field(&old.size, "size")?;
        let kind = old.linkflag[0];
        Ok(Self {
            kind,
            size: u64::try_from(size).ok().ok_or(ArchiveFault::Field("size"))?,
            name: name(header),
            link: until_nul(&old.linkname).to_vec(),
            mode: (field(&old.mode, "mode")? & 0o7777) as u32,
            mtime: field(&old.mtime, "mtime")?,
            uid: owner(field(&old.uid, "uid")?),
            gid: owner(field(&old.gid, "gid")?),
            device: if matches!(kind, b'3' | b'4') { device(header)? } else { (0, 0) },
        })
    }
}

impl Extensions {
    pub(crate) fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

/// Takes the slashes from the start of names that begin at the root of an image: of the entry's own, and of the file's that
/// a hard link names. Says whether there were any, but of the root's own name, which is the same everywhere.
pub(crate) fn strip_root(fields: &mut Fields, extensions: &mut Extensions) -> Names {
    let Extensions { pax, long_name, long_link } = extensions;
    let (pax_path, pax_link) = pax.as_mut().map_or((None, None), |pax| (pax.path.as_mut(), pax.link.as_mut()));
    let names = [Some(&mut fields.name), pax_path, long_name.as_mut()];
    let links = [Some(&mut fields.link), pax_link, long_link.as_mut()];
    let is_hardlink = fields.kind == b'1';
    let mut written = Names::Relative;
    for name in names.into_iter().chain(links.into_iter().filter(|_| is_hardlink)).flatten() {
        let slashes = name.iter().take_while(|byte| **byte == b'/').count();
        name.drain(..slashes);
        if slashes > 0 && !name.is_empty() {
            written = Names::FromRoot;
        }
    }
    written
}

/// The entry that a header, the extensions before it and the global ones describe.
pub(crate) fn entry(fields: &Fields, extensions: &Extensions, global: &Pax) -> Result<Entry, Refusal> {
    let none = Pax::default();
    let pax = extensions.pax.as_ref().unwrap_or(&none);
    let name = one_of(pax.path.as_ref(), extensions.long_name.as_ref(), &fields.name, "path")?;
    let link = one_of(pax.link.as_ref(), extensions.long_link.as_ref(), &fields.link, "linkpath")?;
    let path = path::entry_path(name)?;
    // The extended size is the one that counts: a reader that takes the other one sees content as headers.
    let size = pax.size.unwrap_or(fields.size);
    let is_sparse = pax.is_sparse || fields.kind == b'S';
    let kind = if is_sparse { Err(special(&path, "sparse file")) } else { kind(fields, &path, name, link, size) }?;
    if path.is_empty() && kind != Kind::Directory {
        return Err(Error::UnsafePath { path: shown(name), reason: "it is the root and no directory" }.into());
    }
    if size > 0 && !matches!(kind, Kind::File { .. }) {
        return Err(ArchiveFault::UnexpectedData(path).into());
    }
    Ok(Entry {
        kind,
        mode: fields.mode,
        mtime: mtime(extensions, global).map_or(fields.mtime, |mtime| mtime.seconds),
        uid: pax.uid.or(global.uid).map_or(fields.uid, owner),
        gid: pax.gid.or(global.gid).map_or(fields.gid, owner),
        xattrs: pax.xattrs.clone(),
        digest: None,
        path,
    })
}

fn kind(fields: &Fields, path: &str, name: &[u8], link: &[u8], size: u64) -> Result<Kind, Refusal> {
    let (major, minor) = fields.device;
    Ok(match fields.kind {
        // Before there was a type for directories, they were files with a slash behind the name.
        b'\0' if name.ends_with(b"/") => Kind::Directory,
        b'0' | b'\0' | b'7' => Kind::File { size },
        b'1' => Kind::Hardlink { target: hardlink_target(path, link)? },
        b'2' => Kind::Symlink { target: symlink_target(path, link)? },
        b'3' => Kind::CharDevice { major, minor },
        b'4' => Kind::BlockDevice { major, minor },
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        _ => return Err(special(path, "thing of an unknown type")),
    })
}

/// The modification time that extended headers give, which may be finer than the header's own.
pub(crate) fn mtime(extensions: &Extensions, global: &Pax) -> Option<Mtime> {
    extensions.pax.as_ref().and_then(|pax| pax.mtime).or(global.mtime)
}

/// A name that two extensions give must be the same in both, as readers differ in which one they believe.
fn one_of<'a>(
    pax: Option<&'a Vec<u8>>,
    long: Option<&'a Vec<u8>>,
    own: &'a [u8],
    field: &'static str,
) -> Result<&'a [u8], Refusal> {
    match (pax, long) {
        (Some(pax), Some(long)) if pax != long => Err(ArchiveFault::Field(field).into()),
        (Some(text), _) | (None, Some(text)) => Ok(text),
        (None, None) => Ok(own),
    }
}

fn hardlink_target(path: &str, link: &[u8]) -> Result<String, Refusal> {
    let refuse = |reason| unsafe_link(path, link, reason);
    match path::entry_path(link) {
        Ok(target) if target.is_empty() => Err(refuse("it names no file")),
        Ok(target) => Ok(target),
        Err(Error::UnsafePath { reason, .. }) => Err(refuse(reason)),
        Err(error) => Err(error.into()),
    }
}

fn symlink_target(path: &str, link: &[u8]) -> Result<String, Refusal> {
    let refuse = |reason| unsafe_link(path, link, reason);
    match std::str::from_utf8(link) {
        Err(_) => Err(refuse("it is not valid UTF-8")),
        Ok("") => Err(refuse("it points nowhere")),
        Ok(_) if link.len() > MAX_LINK_BYTES => Err(refuse("it is longer than 4096 bytes")),
        Ok(target) if target.contains('\0') => Err(refuse("it holds a NUL")),
        Ok(target) => Ok(target.to_owned()),
    }
}

fn unsafe_link(path: &str, target: &[u8], reason: &'static str) -> Refusal {
    Error::UnsafeLink { path: path.to_owned(), target: shown(target), reason }.into()
}

fn special(path: &str, kind: &'static str) -> Refusal {
    Error::SpecialFile { path: path.to_owned(), kind }.into()
}

/// The name, behind its prefix where the format has one. GNU tar keeps other things in that place, star keeps times in
/// the end of it.
fn name(header: &Header) -> Vec<u8> {
    let name = until_nul(&header.as_old().name);
    let Some(ustar) = header.as_ustar() else { return name.to_vec() };
    let is_star = header.as_bytes().ends_with(b"tar\0");
    let prefix = until_nul(if is_star { &ustar.prefix[..131] } else { &ustar.prefix });
    if prefix.is_empty() { name.to_vec() } else { [prefix, name].join(&b'/') }
}

fn device(header: &Header) -> Result<(u32, u32), ArchiveFault> {
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (&ustar.dev_major, &ustar.dev_minor),
        (None, Some(gnu)) => (&gnu.dev_major, &gnu.dev_minor),
        (None, None) => return Ok((0, 0)),
    };
    let number =
        |bytes| number(bytes).and_then(|number| u32::try_from(number).ok()).ok_or(ArchiveFault::Field("device"));
    Ok((number(major)?, number(minor)?))
}

/// Owners beyond 32 bits become the largest number: no file is given to them, and none is refused for them.
fn owner(id: impl TryInto<u32>) -> u32 {
    id.try_into().unwrap_or(u32::MAX)
}

fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The sum of the bytes with the checksum's own taken as spaces, and the one that old writers made of signed bytes.
fn sums(block: &[u8]) -> [i64; 2] {
    let with_spaces = |at: usize| if (148..156).contains(&at) { b' ' } else { block[at] };
    let unsigned = (0..block.len()).map(|at| i64::from(with_spaces(at))).sum();
    let signed = (0..block.len()).map(|at| i64::from(with_spaces(at).cast_signed())).sum();
    [unsigned, signed]
}

/// A number in octal digits with spaces or NULs around, or in base 256 where the highest bit is set. Nothing is zero.
fn number(field: &[u8]) -> Option<i64> {
    if field.first().is_some_and(|&byte| byte & 0x80 != 0) {
        return base_256(field);
    }
    let is_filler = |&byte: &u8| byte == b' ' || byte == 0;
    let start = field.iter().position(|byte| !is_filler(byte)).unwrap_or(field.len());
    let end = field.iter().rposition(|byte| !is_filler(byte)).map_or(start, |last| last + 1);
    field[start..end].iter().try_fold(0_i64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// At most twelve bytes, big-endian: a bit that marks the base, then a number in two's complement.
fn base_256(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    let start = i128::from(first & 0x3f) - i128::from(first & 0x40);
    i64::try_from(rest.iter().fold(start, |value, &byte| value * 256 + i128::from(byte))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &[u8], expected: Option<i64>) {
        assert_eq!(number(field), expected, "{}", field.escape_ascii());
    }

    #[test]
    fn numbers_are_octal_or_base_256() {
        check(b"0000644\0", Some(0o644));
        check(b"   644 \0", Some(0o644));
        check(b"777777777777", Some(0o777_777_777_777));
        check(b"\0\0\0\0\0\0\0\0", Some(0));
        check(b"0000648\0", None);
        check(b"-1\0", None);
        check(b"12 34\0", None);
        check(b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(1 << 33));
        check(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2));
        check(b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None);
        check(b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None);
    }

    #[test]
    fn owners_beyond_32_bits_are_cut() {
        assert_eq!(owner(1_i64 << 40), u32::MAX);
        assert_eq!(owner(-1_i64), u32::MAX);
        assert_eq!(owner(1000_u64), 1000);
    }
}
