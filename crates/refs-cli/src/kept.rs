//! What the cache knows of work that ended before its time.

use std::io::{self, Write};

use refs_store::DiskStore;

use crate::{
    args::{Format, Global},
    output::Bytes,
};

/// The cache, where people are to be told of it. JSON on stderr is one object, which tells of errors.
pub(crate) fn notable(cache: Option<&DiskStore>, global: &Global) -> Option<DiskStore> {
    cache.filter(|_| !global.quiet && matches!(global.format, Format::Text)).cloned()
}

/// Tells on stderr what the next run need not fetch or send, if there is anything.
pub(crate) fn tell(cache: Option<&DiskStore>) {
    let left = cache.map(DiskStore::left).unwrap_or_default();
    let (bytes, total) = left.iter().fold((0, 0), |(bytes, total), left| (bytes + left.bytes, total + left.total));
    if bytes > 0 {
        let percent = bytes * 100 / total;
        let (bytes, total) = (Bytes(bytes), Bytes(total));
        say(&format!("{bytes} of {total} ({percent} %) are kept; the same command fetches the rest only"));
    }
    let sent = cache.map(DiskStore::begun).unwrap_or_default();
    if sent > 0 {
        let sent = Bytes(sent);
        say(&format!(
            "the registry has {sent} of what was on its way; the same command sends the rest only, if the registry still has it"
        ));
    }
}

fn say(words: &str) {
    // When stderr is closed, nobody can be told.
    drop(writeln!(io::stderr(), "hint: {words}"));
}
