//! Extended headers of tar archives
//! ([pax](https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_02)).

use std::collections::BTreeMap;

/// What the records of an extended header say about an entry, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) mtime: Option<Mtime>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// The content is a map of holes and what lies between them.
    pub(crate) is_sparse: bool,
}

/// A modification time, and what it has beyond whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mtime {
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

/// The field that can't be read, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadField(pub(crate) &'static str);

impl Pax {
    /// Reads all records. Where a key comes twice, the last one counts; an empty value takes the earlier ones back.
    pub(crate) fn parse(mut records: &[u8]) -> Result<Self, BadField> {
        let mut pax = Self::default();
        // Some writers fill the block with zeros inside the declared size.
        while records.first().is_some_and(|&byte| byte != 0) {
            let (key, value, rest) = split_record(records).ok_or(BadField("extended header"))?;
            pax.set(key, value)?;
            records = rest;
        }
        Ok(pax)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), BadField> {
        match key {
            b"path" => self.path = some(value),
            b"linkpath" => self.link = some(value),
            b"size" => self.size = number(value, "size")?,
            b"uid" => self.uid = number(value, "uid")?,
            b"gid" => self.gid = number(value, "gid")?,
            b"mtime" => self.mtime = time(value)?,
            _ if key.starts_with(b"GNU.sparse.") => self.is_sparse = true,
            _ => self.set_xattr(key, value)?,
        }
        Ok(())
    }

    fn set_xattr(&mut self, key: &[u8], value: &[u8]) -> Result<(), BadField> {
        let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else { return Ok(()) };
        let name = std::str::from_utf8(name).ok().ok_or(BadField("xattr"))?;
        match value {
            [] => self.xattrs.remove(name),
            _ => self.xattrs.insert(name.to_owned(), value.to_vec()),
        };
        Ok(())
    }
}

/// The first of `records`, each of which is `LENGTH KEY=VALUE\n`, and those behind it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let digits = records.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&records[..digits])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let body = record.get(digits + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], rest)).filter(|(key, ..)| !key.is_empty())
}

fn some(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

fn number(value: &[u8], field: &'static str) -> Result<Option<u64>, BadField> {
    if value.is_empty() {
        return Ok(None);
    }
    decimal(value).map(Some).ok_or(BadField(field))
}

/// A time that may have a fraction, of which nine digits count.
fn time(value: &[u8]) -> Result<Option<Mtime>, BadField> {
    const BAD: BadField = BadField("mtime");
    if value.is_empty() {
        return Ok(None);
    }
    let (is_negative, value) = value.strip_prefix(b"-").map_or((false, value), |rest| (true, rest));
    let point = value.iter().position(|&byte| byte == b'.').unwrap_or(value.len());
    let fraction = value.get(point + 1..).unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(BAD);
    }
    let seconds = decimal(&value[..point]).and_then(|whole| i64::try_from(whole).ok()).ok_or(BAD)?;
    let nanos = fraction.iter().chain(&[b'0'; 9]).take(9).fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'));
    Ok(Some(match (is_negative, nanos) {
        (false, nanos) => Mtime { seconds, nanos },
        (true, 0) => Mtime { seconds: -seconds, nanos: 0 },
        // The nanoseconds count on from the second before.
        (true, nanos) => Mtime { seconds: -seconds - 1, nanos: 1_000_000_000 - nanos },
    }))
}

/// Digits and nothing else, so that `+1`, `0x1` and ` 1` mean nothing to one reader and a number to another.
fn decimal(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(records: &[u8], expected: Result<Pax, &'static str>) {
        assert_eq!(Pax::parse(records), expected.map_err(BadField), "{}", records.escape_ascii());
    }

    #[test]
    fn records_are_read() {
        let default = Pax::default;
        check(b"", Ok(default()));
        check(b"12 path=a/b\n", Ok(Pax { path: Some(b"a/b".to_vec()), ..default() }));
        check(b"14 path=a\nb=c\n", Ok(Pax { path: Some(b"a\nb=c".to_vec()), ..default() }));
        check(b"9 path=a\n9 path=b\n", Ok(Pax { path: Some(b"b".to_vec()), ..default() }));
        check(b"9 path=a\n8 path=\n", Ok(default()));
        check(b"9 path=a\n\0\0\0", Ok(Pax { path: Some(b"a".to_vec()), ..default() }));
        check(b"10 size=42\n", Err("extended header"));
        check(b"11 size=42\n", Ok(Pax { size: Some(42), ..default() }));
        let at = |seconds, nanos| Ok(Pax { mtime: Some(Mtime { seconds, nanos }), ..default() });
        check(b"12 mtime=12\n", at(12, 0));
        check(b"15 mtime=12.75\n", at(12, 750_000_000));
        check(b"23 mtime=12.1234567899\n", at(12, 123_456_789));
        check(b"14 mtime=-1.5\n", at(-2, 500_000_000));
        check(b"14 mtime=-1.0\n", at(-1, 0));
        check(b"22 GNU.sparse.major=1\n", Ok(Pax { is_sparse: true, ..default() }));
        let xattrs = BTreeMap::from([("user.a".to_owned(), b"x\0y".to_vec())]);
        check(b"27 SCHILY.xattr.user.a=x\0y\n", Ok(Pax { xattrs, ..default() }));
    }

    #[test]
    fn malformed_records_are_refused() {
        for records in
            [&b"path=a\n"[..], b"99 path=a\n", b"9 path=a ", b"0 \n", b"3 \n", b"6 =ab\n", b"-9 path=a\n", b"5 path\n"]
        {
            check(records, Err("extended header"));
        }
        check(b"11 size=+1\n", Err("size"));
        check(b"29 size=99999999999999999999\n", Err("size"));
        check(b"12 mtime=x1\n", Err("mtime"));
        check(b"15 mtime=1.2.3\n", Err("mtime"));
    }
}
