//! What to serve, from the flags and the file.

use std::path::PathBuf;

use refs_server::TagOptions;

use crate::{
    access_args::Entry,
    listen_args::Listen,
    mirror_args::believed_for,
    operation_args::{AccessLog, Operation},
    own_args::Serve,
    server_config::{Fault, Limits, Planned, ServerConfig},
};

/// What to serve, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) listen: Listen,
    pub(crate) root: Option<PathBuf>,
    pub(crate) metrics: Option<Listen>,
    pub(crate) access_log: AccessLog,
    /// Where the access log goes; stderr when nothing is named.
    pub(crate) access_log_file: Option<PathBuf>,
    pub(crate) limits: Limits,
    /// Who may come in, and how they are spoken to.
    pub(crate) entry: Entry,
    /// How much a mirror keeps on disk, in bytes.
    pub(crate) store_size: Option<u64>,
    /// What a mirror shares with others by.
    #[cfg(feature = "bucket")]
    pub(crate) bucket: crate::server_config::Shared,
    pub(crate) mirrors: Vec<Planned>,
}

impl Plan {
    /// What the flags say, then the file that they name.
    pub(crate) fn new(args: Serve) -> Result<Self, Fault> {
        const LISTEN: &str = "127.0.0.1:5000";
        let Operation { server_config, metrics, access_log, access_log_file } = args.operation;
        let file = server_config.map_or_else(|| Ok(ServerConfig::default()), |path| ServerConfig::read(&path))?;
        let given =
            args.mirrors.into_iter().map(|mirrored| Planned { mirrored, tags: TagOptions::default(), login: None });
        let mut mirrors: Vec<Planned> = given.collect();
        if mirrors.is_empty() {
            mirrors = file.mirrors;
        }
        if let Some(ttl) = args.tag_ttl {
            mirrors.iter_mut().for_each(|planned| planned.tags.freshness = believed_for(ttl));
        }
        let access_log_file = access_log_file.or(file.access_log_file);
        let listen = args.listen.map(|address| Listen::by_flag("listen", address));
        let usual = if access_log_file.is_some() { AccessLog::Text } else { AccessLog::None };
        Ok(Self {
            listen: listen.or(file.listen).unwrap_or_else(|| Listen::by_flag("listen", LISTEN.to_owned())),
            root: args.root.or(file.root),
            metrics: metrics.map(|address| Listen::by_flag("metrics", address)).or(file.metrics),
            access_log: access_log.or(file.access_log).unwrap_or(usual),
            access_log_file,
            limits: file.limits,
            entry: args.entry.over(file.entry),
            store_size: args.store_size.or(file.store_size),
            #[cfg(feature = "bucket")]
            bucket: crate::server_config::Shared { url: args.bucket.or(file.bucket.url), options: file.bucket.options },
            mirrors,
        })
    }

    /// What is said of mirrors where there is none, or of a registry where there are some.
    pub(crate) fn in_vain(&self) -> Option<String> {
        if !self.mirrors.is_empty() {
            let at = self.entry.writers().next()?;
            return Some(format!("`{at}`: a mirror is only read, and has no use for a grant of `push` or `delete`"));
        }
        #[cfg(feature = "bucket")]
        if self.bucket.url.is_some() {
            let message =
                "a bucket is what mirrors share by, and there is no mirror: all that is pushed stays at the root";
            return Some(message.to_owned());
        }
        self.store_size.map(|_| {
            "`store-size` bounds what a mirror keeps, and there is no mirror: all that is pushed stays".to_owned()
        })
    }
}
