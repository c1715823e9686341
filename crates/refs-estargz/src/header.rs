//! Tar headers: ustar, and PAX records for what ustar can't say. The same entry always gives the same bytes.

use std::borrow::Cow;

use crate::{Kind, NewEntry};

const BLOCK: usize = 512;
/// The largest number in eleven octal digits.
const OCTAL_MAX: i64 = 0o77_777_777_777;
/// The largest device number in seven octal digits.
pub(crate) const DEVICE_MAX: u32 = 0o7_777_777;

const NAME_BYTES: usize = 100;
const PREFIX_BYTES: usize = 155;
const PAX_HEADER: u8 = b'x';

/// Appends the header of `entry`, and before it a PAX header where it needs one.
pub(crate) fn append(tar: &mut Vec<u8>, entry: &NewEntry) {
    let fields = Fields::of(entry);
    let records = fields.pax_records();
    if !records.is_empty() {
        let pax = Fields {
            name: "PaxHeaders.0/entry".into(),
            kind: PAX_HEADER,
            mode: 0o644,
            size: records.len() as u64,
            ..Fields::default()
        };
        tar.extend_from_slice(&pax.block());
        tar.extend_from_slice(records.as_bytes());
        pad(tar, records.len() as u64);
    }
    tar.extend_from_slice(&fields.block());
}

/// Appends the zeros that fill up the last block of `content_bytes`.
pub(crate) fn pad(tar: &mut Vec<u8>, content_bytes: u64) {
    let over = (content_bytes % BLOCK as u64) as usize;
    if over > 0 {
        tar.resize(tar.len() + BLOCK - over, 0);
    }
}

/// Appends the two blocks of zeros that end an archive.
pub(crate) fn end(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 2 * BLOCK, 0);
}

/// What a header says.
#[derive(Debug, Default)]
struct Fields<'e> {
    name: Cow<'e, str>,
    kind: u8,
    mode: u32,
    size: u64,
    mtime: i64,
    link: &'e str,
    major: u32,
    minor: u32,
}

impl<'e> Fields<'e> {
    fn of(entry: &'e NewEntry) -> Self {
        let fields = Self {
            name: tar_name(&entry.path, &entry.kind),
            mode: entry.mode & 0o7777,
            mtime: entry.mtime,
            ..Self::default()
        };
        match &entry.kind {
            Kind::File { size } => Self { kind: b'0', size: *size, ..fields },
            Kind::Hardlink { target } => Self { kind: b'1', link: target, ..fields },
            Kind::Symlink { target } => Self { kind: b'2', link: target, ..fields },
            Kind::CharDevice { major, minor } => Self { kind: b'3', major: *major, minor: *minor, ..fields },
            Kind::BlockDevice { major, minor } => Self { kind: b'4', major: *major, minor: *minor, ..fields },
            Kind::Directory => Self { kind: b'5', ..fields },
            Kind::Fifo => Self { kind: b'6', ..fields },
        }
    }

    /// The records for what does not fit in the header.
    fn pax_records(&self) -> String {
        let mut records = String::new();
        if split(&self.name).is_none() {
            push_record(&mut records, "path", &self.name);
        }
        if self.link.len() > NAME_BYTES || !self.link.is_ascii() {
            push_record(&mut records, "linkpath", self.link);
        }
        if self.size > OCTAL_MAX as u64 {
            push_record(&mut records, "size", &self.size.to_string());
        }
        if !(0..=OCTAL_MAX).contains(&self.mtime) {
            push_record(&mut records, "mtime", &self.mtime.to_string());
        }
        records
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let (prefix, name) = split(&self.name).unwrap_or(("", &self.name));
        put_text(&mut block[..100], name);
        put_octal(&mut block[100..108], u64::from(self.mode));
        put_octal(&mut block[108..116], 0);
        put_octal(&mut block[116..124], 0);
        put_octal(&mut block[124..136], if self.size > OCTAL_MAX as u64 { 0 } else { self.size });
        put_octal(
            &mut block[136..148],
            u64::try_from(self.mtime).ok().filter(|_| self.mtime <= OCTAL_MAX).unwrap_or(0),
        );
        block[148..156].fill(b' ');
        block[156] = self.kind;
        put_text(&mut block[157..257], self.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        put_octal(&mut block[329..337], u64::from(self.major));
        put_octal(&mut block[337..345], u64::from(self.minor));
        put_text(&mut block[345..500], prefix);
        let sum: u64 = block.iter().copied().map(u64::from).sum();
        put_octal(&mut block[148..155], sum);
        block
    }
}

/// The name of an entry in an archive: directories end in `/`.
pub(crate) fn tar_name<'p>(path: &'p str, kind: &Kind) -> Cow<'p, str> {
    match kind {
        Kind::Directory => format!("{path}/").into(),
        _ => path.into(),
    }
}

/// The prefix and the name under which a name fits in a header; `None` when it does not.
fn split(name: &str) -> Option<(&str, &str)> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= NAME_BYTES {
        return Some(("", name));
    }
    let inner = name.strip_suffix('/').unwrap_or(name);
    inner
        .match_indices('/')
        .map(|(slash, _)| (&name[..slash], &name[slash + 1..]))
        .find(|(prefix, rest)| prefix.len() <= PREFIX_BYTES && rest.len() <= NAME_BYTES)
}

/// A record is `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn push_record(records: &mut String, key: &str, value: &str) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if digits(length) > digits(rest) {
        length = rest + digits(length);
    }
    records.push_str(&format!("{length} {key}={value}\n"));
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// As much of the text as fits; readers that know PAX do not look at it where it does not, or is not ASCII.
fn put_text(field: &mut [u8], text: &str) {
    for (place, byte) in field.iter_mut().zip(text.bytes()) {
        *place = if byte.is_ascii() { byte } else { b'_' };
    }
}

/// Octal digits with leading zeros up to the last byte, which is NUL. The number is known to fit.
fn put_octal(field: &mut [u8], number: u64) {
    let last = field.len() - 1;
    let mut rest = number;
    for place in field[..last].iter_mut().rev() {
        *place = b'0' + (rest & 7) as u8;
        rest >>= 3;
    }
    field[last] = 0;
}
