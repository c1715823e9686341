//! `refs serve`

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use refs_registry::Resolver;
use refs_server::{Metrics, Mirror, MirrorOptions, Observer, Options, Probe, ServeOptions, Server, Upstream};
use refs_store::{DiskOptions, DiskStore, Layouts, Store};
use refs_url::{Digest, Host};
use serde::Serialize;
use tokio::net::TcpListener;

use super::{
    Failure,
    shared::{Shared, shared},
};
use crate::{
    args::Serve,
    hint,
    listen_args::Listen,
    server_config::Planned,
    serving::{Lines, Plan, Root, measure},
    signals::{self, Stopped},
    wiring::Session,
};

/// Repositories to look through for a blob; each costs a look at one file.
const MOUNT_SEARCH: usize = 1000;

#[derive(Serialize)]
struct Listening {
    url: String,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mirrors: Vec<String>,
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        self.metrics.iter().try_for_each(|metrics| write!(f, "\n{metrics}"))
    }
}

/// Serves until SIGINT or SIGTERM, which is how a server is meant to end: requests under way are finished first.
pub(super) async fn run(session: &Session, args: Serve) -> Result<Stopped, Failure> {
    let stop = signals::stop();
    let plan = Plan::new(args)?;
    if let Some(message) = plan.in_vain() {
        return Err(Failure::Usage(message));
    }
    let (listener, address) = listen(&plan.listen).await?;
    let mirrors = || plan.mirrors.iter().map(|planned| &planned.mirrored);
    if let Some(own) = mirrors().find(|mirror| is_at(&mirror.route.host, address)) {
        return Err(Failure::Usage(format!("`{own}` is this server, which would ask itself without end")));
    }
    let options = ServeOptions { tls: plan.entry.tls()?, ..plan.limits.serve_options() };
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    if let Some(exposed) = plan.entry.exposed().filter(|_| !address.ip().is_loopback()) {
        tracing::warn!("{address} can be reached from elsewhere, and {exposed}");
    }
    let figures = match &plan.metrics {
        Some(metrics) => Some((listen(metrics).await?, Metrics::new())),
        None => None,
    };
    let log = Lines::start(plan.access_log, plan.access_log_file.as_deref())?;
    let (lines, writer) = log.unzip();
    let metrics = figures.as_ref().map(|(_, metrics)| metrics.clone());
    let observers = [lines.map(observer), metrics.clone().map(observer)].into_iter().flatten().collect();
    let (server, root, shared) = server(session, &plan, observers).await?;
    let mirrors = mirrors().map(ToString::to_string).collect();
    let metrics = figures.as_ref().map(|((_, address), _)| format!("http://{address}/metrics"));
    let mut output = session.output();
    let url = format!("{scheme}://{address}");
    output.result(&Listening { url, root: root.display().to_string(), metrics, mirrors })?;
    output.flush()?;
    drop(output);
    let looked_after =
        figures.map(|((listener, _), metrics)| tokio::spawn(look_after(listener, metrics, server.clone(), root)));
    let (mut stopped, mut since) = (Stopped::Terminate, Instant::now());
    let asked_to_stop = async {
        stopped = stop.await;
        since = Instant::now();
    };
    refs_server::serve(listener, server, &options, asked_to_stop).await;
    if let Some(task) = looked_after {
        task.abort();
        // It has the server, and by that the access log.
        drop(task.await);
    }
    // All of the end takes no longer than requests may.
    shared.settled((options.notice + options.grace).saturating_sub(since.elapsed())).await;
    finish(writer).await;
    Ok(stopped)
}

/// Lets the access log be written to its end, if that comes soon: a terminal that is stopped reads nothing more.
async fn finish(writer: Option<JoinHandle<()>>) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let Some(writer) = writer else { return };
    let ended = tokio::task::spawn_blocking(move || drop(writer.join()));
    drop(tokio::time::timeout(PATIENCE, ended).await);
}

fn observer(observer: impl Observer + 'static) -> Arc<dyn Observer> {
    Arc::new(observer)
}

/// Gives figures of `server`, those of its root among them.
async fn look_after(listener: TcpListener, metrics: Metrics, server: Server, root: PathBuf) {
    tokio::join!(measure(root, metrics.clone()), refs_server::serve_metrics(listener, metrics, server));
}

async fn listen(at: &Listen) -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = bind(at).await?;
    let bound = listener.local_addr().map_err(|source| Failure::Serve { at: at.clone(), source })?;
    Ok((listener, bound))
}

/// Whether `host` is on this machine, and what listens at `address`.
fn is_at(host: &Host, address: SocketAddr) -> bool {
    let is_reached_by_loopback = address.ip().is_loopback() || address.ip().is_unspecified();
    is_reached_by_loopback && host.is_loopback() && host.port() == Some(address.port())
}

/// What the plan asks for, and the folder that it keeps things in.
async fn server(
    session: &Session,
    plan: &Plan,
    observers: Vec<Arc<dyn Observer>>,
) -> Result<(Server, PathBuf, Shared), Failure> {
    let is_mirror = !plan.mirrors.is_empty();
    let root = chosen(plan.root.clone(), if is_mirror { "refs/mirror" } else { "refs/registry" })?;
    let probe: Option<Arc<dyn Probe>> = Some(Arc::new(Root(root.clone())));
    let access = plan.entry.access()?;
    let options = plan.limits.over(Options { probe, observers, access, ..Options::default() });
    let (server, shared) = if is_mirror {
        mirror(session, plan, &root, &options).await?
    } else {
        (repositories(&root, options)?, Shared::Nothing)
    };
    Ok((server, root, shared))
}

/// A server of the repositories in `root`.
fn repositories(root: &Path, options: Options) -> Result<Server, Failure> {
    usable(root).map_err(|source| Failure::Root { root: root.to_owned(), source })?;
    // Who comes here is shown what they may read, so looking through the repositories gives nothing away.
    let options = Options { mount_search: MOUNT_SEARCH, ..options };
    Ok(Server::writable(Arc::new(Layouts::new(root)), &options))
}

/// A server of what the mirrored registries have, which keeps it in the root.
async fn mirror(session: &Session, plan: &Plan, root: &Path, options: &Options) -> Result<(Server, Shared), Failure> {
    let planned = &plan.mirrors;
    hint::cache::serve_from(root);
    let defaults = DiskOptions::default();
    let disk = DiskOptions { max_bytes: plan.store_size.unwrap_or(defaults.max_bytes), ..defaults };
    let disk = DiskStore::new(root, &disk);
    // Better to fail now than to keep nothing: whatever is asked of a store opens it.
    disk.stat(&Digest::sha256(b"")).await.map_err(|error| Failure::Hinted {
        hint: hint::cache::beside_warning(&error),
        failure: Box::new(Failure::Registry(error)),
    })?;
    let (store, shared) = shared(plan, disk)?;
    let registries = |credentials| {
        let mirrors = planned.iter().map(|planned| &planned.mirrored);
        Arc::new(session.mirrored(mirrors, credentials))
    };
    let usual = registries(session.credentials());
    for Planned { mirrored, .. } in planned {
        // What is set for it, and can't be understood, would fail each request.
        let set = usual.registry(&mirrored.route.host).and_then(|registry| registry.check_settings());
        set.map_err(Failure::Registry)?;
    }
    let upstream = |Planned { mirrored, tags, login }: &Planned| {
        let registry = login.as_ref().map(|login| registries(Arc::new(login.only(&mirrored.route.host))));
        Upstream {
            route: mirrored.route.clone(),
            registry: registry.unwrap_or_else(|| Arc::clone(&usual)) as Arc<dyn Resolver>,
            tags: *tags,
        }
    };
    let mirror = Mirror::new(planned.iter().map(upstream).collect(), store, &MirrorOptions::default());
    let mirror = mirror.map_err(Failure::Routes)?;
    Ok((Server::mirror(mirror, options), shared))
}

pub(super) async fn bind(at: &Listen) -> Result<TcpListener, Failure> {
    TcpListener::bind(&*at.address).await.map_err(|source| Failure::Serve { at: at.clone(), source })
}

/// Makes `root` and tries it out: better to fail now than at the first push.
fn usable(root: &Path) -> io::Result<()> {
    if is_in_cache(root) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a cache is there, which removes things at any time"));
    }
    std::fs::create_dir_all(root)?;
    tempfile::tempfile_in(root).map(drop)
}

/// Whether `root`, which need not be there yet, is a cache or lies in one, whatever links lead there.
fn is_in_cache(root: &Path) -> bool {
    refs_client::resolved(root).ancestors().any(DiskStore::is_at)
}

/// The root, or where it is when nobody says so.
fn chosen(root: Option<PathBuf>, name: &str) -> Result<PathBuf, Failure> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = || absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    let root = root.or_else(|| data().map(|data| data.join(name)));
    root.ok_or_else(|| Failure::Usage("name a directory with `--root DIR`".to_owned()))
}
