//! Which parts of a blob can be read.

use std::ops::Range;

use refs_registry::{Error, Result, error::Wanted};
use refs_url::Digest;

/// `range`, when a blob of `total` bytes has all of it. A range that ends before it starts is empty.
pub(crate) fn within(digest: &Digest, range: Range<u64>, total: u64) -> Result<Range<u64>> {
    let end = range.end.max(range.start);
    if end > total {
        return Err(Error::Size { wanted: Wanted::BlobPart(digest.clone()), expected: end, actual: total });
    }
    Ok(range.start..end)
}
