//! The tables of the file.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use refs_server::{Options, ServeOptions};
use serde::Deserialize;
use toml::Spanned;

use super::{
    Fault, Planned, bucket,
    entry::{self, AuthFiles, TlsFiles},
    fault::Text,
    mirror::{self, Mirror},
    values::{Address, Count, Size, Time},
};
use crate::{access_args::Entry, listen_args::Listen, operation_args::AccessLog};

/// No file of settings is longer.
const MAX_BYTES: u64 = 1 << 20;

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct ServerConfig {
    pub(crate) listen: Option<Listen>,
    pub(crate) root: Option<PathBuf>,
    pub(crate) metrics: Option<Listen>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) access_log_file: Option<PathBuf>,
    /// In bytes.
    pub(crate) store_size: Option<u64>,
    #[cfg(feature = "bucket")]
    pub(crate) bucket: bucket::Shared,
    pub(crate) limits: Limits,
    pub(crate) entry: Entry,
    pub(crate) mirrors: Vec<Planned>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Tables {
    listen: Option<Spanned<Address>>,
    root: Option<PathBuf>,
    metrics: Option<Spanned<Address>>,
    access_log: Option<AccessLog>,
    access_log_file: Option<PathBuf>,
    store_size: Option<Size>,
    bucket: Option<Spanned<bucket::Table>>,
    #[serde(default)]
    limits: Limits,
    tls: Option<TlsFiles>,
    auth: Option<AuthFiles>,
    #[serde(default)]
    mirror: Vec<Spanned<Mirror>>,
}

/// How much is served at once, and how long anything may take. What is not said stays as it is by default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Limits {
    connections: Option<Count>,
    requests: Option<Count>,
    requests_per_client: Option<Count>,
    uploads: Option<Count>,
    header_timeout: Option<Time>,
    body_idle: Option<Time>,
    write_idle: Option<Time>,
    upload_idle: Option<Time>,
    notice: Option<Time>,
    grace: Option<Time>,
}

impl ServerConfig {
    /// The file at `path`. Paths in it that are relative begin in its folder.
    pub(crate) fn read(path: &Path) -> Result<Self, Fault> {
        let mut text = String::new();
        match File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)) {
            Ok(read) if read as u64 > MAX_BYTES => Err(Fault::TooLarge { path: path.to_owned(), limit: MAX_BYTES }),
            Ok(_) => Self::parse(path, &text),
            Err(source) => Err(Fault::Unreadable { path: path.to_owned(), source }),
        }
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Fault> {
        let place = Text { path, text };
        // The message alone: the line itself may hold a password.
        let wrong = |error: toml::de::Error| {
            let message = error.message().replace('\n', " ");
            let is_header = error.span().and_then(|at| text.get(at)).is_some_and(|found| found.starts_with('['));
            let is_alone = is_header && message == "invalid type: map, expected a sequence";
            let hint = if is_alone { ": a table that may come more than once has a name in `[[ ]]`" } else { "" };
            place.wrong(error.span(), message + hint)
        };
        let tables: Tables = toml::from_str(text).map_err(wrong)?;
        #[cfg(not(feature = "bucket"))]
        bucket::refuse(tables.bucket, &place)?;
        let listen = |key, address: Spanned<Address>| {
            let at = place.named(address.span());
            Listen::in_file(key, address.into_inner().0, at)
        };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        Ok(Self {
            listen: tables.listen.map(|address| listen("listen", address)),
            root: tables.root.map(|root| folder.join(root)),
            metrics: tables.metrics.map(|address| listen("metrics", address)),
            access_log: tables.access_log,
            access_log_file: tables.access_log_file.map(|file| folder.join(file)),
            store_size: tables.store_size.map(|Size(bytes)| bytes),
            #[cfg(feature = "bucket")]
            bucket: bucket::shared(tables.bucket, &place)?,
            limits: tables.limits,
            entry: entry::entry(tables.tls, tables.auth, folder, &place)?,
            mirrors: mirror::plan(tables.mirror, folder, &place)?,
        })
    }
}

impl Limits {
    /// `options`, with what is said here.
    pub(crate) fn over(&self, options: Options) -> Options {
        Options {
            requests: count(self.requests, options.requests),
            requests_each: count(self.requests_per_client, options.requests_each),
            uploads: count(self.uploads, options.uploads),
            upload_idle: time(self.upload_idle, options.upload_idle),
            body_idle: time(self.body_idle, options.body_idle),
            ..options
        }
    }

    /// How connections are treated.
    pub(crate) fn serve_options(&self) -> ServeOptions {
        let options = ServeOptions::default();
        ServeOptions {
            connections: count(self.connections, options.connections),
            header_timeout: time(self.header_timeout, options.header_timeout),
            write_idle: time(self.write_idle, options.write_idle),
            notice: time(self.notice, options.notice),
            grace: time(self.grace, options.grace),
            ..options
        }
    }
}

fn count(said: Option<Count>, default: usize) -> usize {
    said.map_or(default, |Count(count)| count.get())
}

fn time(said: Option<Time>, default: Duration) -> Duration {
    said.map_or(default, |Time(time)| time)
}
