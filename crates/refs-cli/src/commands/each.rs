//! Lists, printed while they come.

use std::fmt;

use futures_util::{TryStreamExt, stream::BoxStream};
use serde::Serialize;

use super::Failure;
use crate::wiring::Session;

/// Prints what `shown` makes of each of `entries`, up to `limit`. No page is asked for that is not needed.
pub(super) async fn print<T, S: Serialize + fmt::Display>(
    session: &Session,
    mut entries: BoxStream<'_, refs_registry::Result<T>>,
    limit: Option<usize>,
    shown: impl Fn(T) -> S,
) -> Result<(), Failure> {
    let mut left = limit.unwrap_or(usize::MAX);
    while left > 0
        && let Some(entry) = entries.try_next().await?
    {
        // Stdout is not held across the wait for the next page: each entry is out as soon as it is known.
        let mut output = session.output();
        output.result(&shown(entry))?;
        output.flush()?;
        left -= 1;
    }
    Ok(())
}
