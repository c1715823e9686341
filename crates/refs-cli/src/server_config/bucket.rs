//! `[bucket]`

use toml::Spanned;

use super::{Fault, fault::Text};

#[cfg(feature = "bucket")]
mod known {
    use std::time::Duration;

    use refs_store::BucketOptions;
    use serde::Deserialize;

    use crate::server_config::values::Time;

    /// The table.
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    pub(in crate::server_config) struct Table {
        url: String,
        patience: Option<Time>,
        idle: Option<Time>,
        pause: Option<Time>,
    }

    /// What a mirror shares with others by.
    #[derive(Debug, Default)]
    pub(crate) struct Shared {
        pub(crate) url: Option<String>,
        pub(crate) options: BucketOptions,
    }

    impl From<Table> for Shared {
        fn from(Table { url, patience, idle, pause }: Table) -> Self {
            let options = BucketOptions::default();
            let time = |said: Option<Time>, default: Duration| said.map_or(default, |Time(time)| time);
            let options = BucketOptions {
                patience: time(patience, options.patience),
                idle: time(idle, options.idle),
                pause: time(pause, options.pause),
                ..options
            };
            Self { url: Some(url), options }
        }
    }
}

#[cfg(feature = "bucket")]
pub(crate) use known::Shared;
#[cfg(feature = "bucket")]
pub(super) use known::Table;

/// Whatever there is.
#[cfg(not(feature = "bucket"))]
pub(super) type Table = serde::de::IgnoredAny;

/// What the table asks for.
#[cfg(feature = "bucket")]
pub(super) fn shared(table: Option<Spanned<Table>>, _place: &Text<'_>) -> Result<Shared, Fault> {
    Ok(table.map_or_else(Shared::default, |table| table.into_inner().into()))
}

/// Refuses a table, as this program can't do what it asks for.
#[cfg(not(feature = "bucket"))]
pub(super) fn refuse(table: Option<Spanned<Table>>, place: &Text<'_>) -> Result<(), Fault> {
    let message = "this build of refs can't share by buckets: one with the feature `bucket` can";
    table.map_or(Ok(()), |table| Err(place.wrong(Some(table.span()), message)))
}
