//! `refs serve`

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use refs_server::{ServeOptions, Server};
use refs_store::Layouts;
use serde::Serialize;
use tokio::net::TcpListener;

use super::Failure;
use crate::{
    args::Serve,
    signals::{self, Stopped},
    wiring::Session,
};

/// Repositories to look through for a blob; each costs a look at one file.
const MOUNT_SEARCH: usize = 1000;

#[derive(Serialize)]
struct Listening {
    url: String,
    root: String,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

/// Serves until SIGINT or SIGTERM, which is how a server is meant to end: requests under way are finished first.
pub(super) async fn run(session: &Session, args: Serve) -> Result<Stopped, Failure> {
    let stop = signals::stop();
    let root = match args.root {
        Some(root) => root,
        None => default_root().ok_or_else(|| Failure::Usage("name a directory with `--root DIR`".to_owned()))?,
    };
    let listener = bind(&args.listen).await?;
    usable(&root).map_err(|source| Failure::Root { root: root.clone(), source })?;
    let layouts = Layouts::new(&root);
    let address = listener.local_addr().map_err(|source| Failure::Serve { address: args.listen, source })?;
    let mut output = session.output();
    output.result(&Listening { url: format!("http://{address}"), root: root.display().to_string() })?;
    output.flush()?;
    drop(output);
    // All repositories are for everyone who comes here, so looking through them gives nothing away.
    let options = refs_server::Options { mount_search: MOUNT_SEARCH, ..Default::default() };
    let server = Server::writable(Arc::new(layouts), &options);
    let mut stopped = Stopped::Terminate;
    refs_server::serve(listener, server, &ServeOptions::default(), async { stopped = stop.await }).await;
    Ok(stopped)
}

pub(super) async fn bind(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|source| Failure::Serve { address: address.to_owned(), source })
}

/// Makes `root` and tries it out: better to fail now than at the first push.
fn usable(root: &Path) -> io::Result<()> {
    std::fs::create_dir_all(root)?;
    tempfile::tempfile_in(root).map(drop)
}

fn default_root() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("refs/registry"))
}
