//! `refs serve`

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_registry::Resolver;
use refs_server::{Mirror, MirrorOptions, ServeOptions, Server, TagOptions, Upstream};
use refs_store::{DiskOptions, DiskStore, Freshness, Layouts, Store};
use refs_url::{Digest, Host};
use serde::Serialize;
use tokio::net::TcpListener;

use super::Failure;
use crate::{
    args::Serve,
    mirror_args::Mirrored,
    signals::{self, Stopped},
    wiring::Session,
};

/// Repositories to look through for a blob; each costs a look at one file.
const MOUNT_SEARCH: usize = 1000;

#[derive(Serialize)]
struct Listening {
    url: String,
    root: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mirrors: Vec<String>,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Serves until SIGINT or SIGTERM, which is how a server is meant to end: requests under way are finished first.
pub(super) async fn run(session: &Session, args: Serve) -> Result<Stopped, Failure> {
    let stop = signals::stop();
    let listener = bind(&args.listen).await?;
    let address = listener.local_addr();
    let address = address.map_err(|source| Failure::Serve { address: args.listen.clone(), source })?;
    if let Some(own) = args.mirrors.iter().find(|mirror| is_at(&mirror.route.host, address)) {
        return Err(Failure::Usage(format!("`{own}` is this server, which would ask itself without end")));
    }
    let (server, root) =
        if args.mirrors.is_empty() { repositories(args.root)? } else { mirror(session, &args).await? };
    let mirrors = args.mirrors.iter().map(ToString::to_string).collect();
    let mut output = session.output();
    output.result(&Listening { url: format!("http://{address}"), root: root.display().to_string(), mirrors })?;
    output.flush()?;
    drop(output);
    let mut stopped = Stopped::Terminate;
    refs_server::serve(listener, server, &ServeOptions::default(), async { stopped = stop.await }).await;
    Ok(stopped)
}

/// Whether `host` is on this machine, and what listens at `address`.
fn is_at(host: &Host, address: SocketAddr) -> bool {
    let is_reached_by_loopback = address.ip().is_loopback() || address.ip().is_unspecified();
    is_reached_by_loopback && host.is_loopback() && host.port() == Some(address.port())
}

/// A server of the repositories in `root`.
fn repositories(root: Option<PathBuf>) -> Result<(Server, PathBuf), Failure> {
    let root = chosen(root, "refs/registry")?;
    usable(&root).map_err(|source| Failure::Root { root: root.clone(), source })?;
    // All repositories are for everyone who comes here, so looking through them gives nothing away.
    let options = refs_server::Options { mount_search: MOUNT_SEARCH, ..Default::default() };
    let server = Server::writable(Arc::new(Layouts::new(&root)), &options);
    Ok((server, root))
}

/// A server of what the mirrored registries have, which keeps it in the root.
async fn mirror(session: &Session, args: &Serve) -> Result<(Server, PathBuf), Failure> {
    let root = chosen(args.root.clone(), "refs/mirror")?;
    let store = DiskStore::new(&root, &DiskOptions::default());
    let registry: Arc<dyn Resolver> = Arc::new(session.mirrored(&args.mirrors));
    let defaults = TagOptions::default();
    let tags = TagOptions { freshness: args.tag_ttl.map_or(defaults.freshness, Freshness::Within), ..defaults };
    let upstream =
        |mirrored: &Mirrored| Upstream { route: mirrored.route.clone(), registry: Arc::clone(&registry), tags };
    let upstreams = args.mirrors.iter().map(upstream).collect();
    let mirror = Mirror::new(upstreams, Arc::new(store.clone()), &MirrorOptions::default());
    let mirror = mirror.map_err(|error| Failure::Usage(error.to_string()))?;
    // Better to fail now than to keep nothing: whatever is asked of a store opens it.
    store.stat(&Digest::sha256(b"")).await.map_err(Failure::Registry)?;
    Ok((Server::mirror(mirror, &refs_server::Options::default()), root))
}

pub(super) async fn bind(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|source| Failure::Serve { address: address.to_owned(), source })
}

/// Makes `root` and tries it out: better to fail now than at the first push.
fn usable(root: &Path) -> io::Result<()> {
    std::fs::create_dir_all(root)?;
    tempfile::tempfile_in(root).map(drop)
}

/// The root, or where it is when nobody says so.
fn chosen(root: Option<PathBuf>, name: &str) -> Result<PathBuf, Failure> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = || absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    let root = root.or_else(|| data().map(|data| data.join(name)));
    root.ok_or_else(|| Failure::Usage("name a directory with `--root DIR`".to_owned()))
}
