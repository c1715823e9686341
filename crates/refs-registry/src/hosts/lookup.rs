//! All that is set for a host, by all who may set it.

use std::{
    collections::HashMap,
    env,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use refs_url::Host;

use super::{
    certs_d, containerd,
    own::Own,
    podman::Registries,
    settings::{HostSettings, Security, Set},
};
use crate::Result;

/// Who may say how hosts are spoken to. By default nobody does.
///
/// What is [`given`](Hosts::given) wins over what our own file says; that over containerd's `hosts.toml`, docker's `certs.d`
/// and podman's `registries.conf`, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    /// What the caller says; what comes first wins.
    pub given: Vec<(Scope, HostSettings)>,
    /// The files to read.
    pub files: Files,
}

/// The hosts that a setting is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Every,
    /// This one.
    One(Host),
}

/// Where the files of settings are. They are read when the first host is spoken to, and never written. Files and folders
/// that are not there say nothing; our own file, where one is named, has to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// Our own: `config.toml`. It may say where the others are instead of here.
    pub config: Option<PathBuf>,
    /// containerd's folders: `HOST/hosts.toml` beneath each. The first that has something for a host counts.
    pub containerd: Vec<PathBuf>,
    /// Folders as docker's `certs.d`: `HOST/ca.crt`, `HOST/client.cert` and `HOST/client.key` beneath each.
    pub docker: Vec<PathBuf>,
    /// podman's `registries.conf`, with `registries.conf.d` beside it. The first of which either is there counts.
    pub podman: Vec<PathBuf>,
}

impl Hosts {
    /// What the files of the user and of the system say: [`Files::from_env`].
    #[must_use]
    pub fn from_env() -> Self {
        Self { given: Vec::new(), files: Files::from_env() }
    }

    /// The same, and `settings` for `scope`, which win over all that was given before.
    #[must_use]
    pub fn with(mut self, scope: Scope, settings: HostSettings) -> Self {
        self.given.insert(0, (scope, settings));
        self
    }
}

impl Files {
    /// The usual places: `$REFS_CONFIG`, or `refs/config.toml` in `$XDG_CONFIG_HOME` or `~/.config` if it is there; and
    /// where containerd, docker and podman have theirs, the user's before the system's.
    #[must_use]
    pub fn from_env() -> Self {
        let named = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let absolute = |name| named(name).filter(|path| path.is_absolute());
        let home = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        let users = |name: &str| home.as_ref().map(|home| home.join(name));
        let both = |users: Option<PathBuf>, systems: &str| users.into_iter().chain([PathBuf::from(systems)]);
        let own = || users("refs/config.toml").filter(|path| path.exists());
        Self {
            config: named("REFS_CONFIG").or_else(own),
            containerd: vec!["/etc/containerd/certs.d".into()],
            docker: both(users("docker/certs.d"), "/etc/docker/certs.d")
                .chain(both(users("containers/certs.d"), "/etc/containers/certs.d"))
                .collect(),
            podman: match named("CONTAINERS_REGISTRIES_CONF") {
                Some(path) => vec![path],
                None => both(users("containers/registries.conf"), "/etc/containers/registries.conf").collect(),
            },
        }
    }
}

/// [`Hosts`], read once and looked up by host.
#[derive(Debug)]
pub(crate) struct Lookup {
    hosts: Hosts,
    read: OnceLock<Result<Read>>,
    known: Mutex<HashMap<Host, Arc<HostSettings>>>,
}

#[derive(Debug, Default)]
struct Read {
    own: Own,
    containerd: Vec<PathBuf>,
    docker: Vec<PathBuf>,
    podman: Registries,
}

/// More hosts than a program speaks to; what sends it on to more may cost time, and no memory.
const MAX_KNOWN: usize = 1_000;

impl Lookup {
    pub(crate) fn new(hosts: Hosts) -> Self {
        Self { hosts, read: OnceLock::new(), known: Mutex::default() }
    }

    /// What is set for `host`.
    ///
    /// # Errors
    /// `Settings` when a file can't be read or understood.
    pub(crate) fn of(&self, host: &Host) -> Result<Arc<HostSettings>> {
        let host = &usual(host);
        if let Some(known) = self.known().get(host) {
            return Ok(known.clone());
        }
        let settings = Arc::new(self.settings(host)?);
        self.keep(host, settings.clone());
        Ok(settings)
    }

    /// Takes in what is set for a mirror beside it. What is set for its host wins.
    pub(crate) fn adopt(&self, mirror: &Host, settings: &HostSettings) -> Result<()> {
        let known = (*self.of(mirror)?).clone();
        self.keep(&usual(mirror), Arc::new(known.over(settings.clone())));
        Ok(())
    }

    /// The hosts that are named as ones without TLS.
    pub(crate) fn plain(&self) -> Result<Vec<String>> {
        let is_plain =
            |settings: &HostSettings| settings.security.as_ref().map(|set| set.value) == Some(Security::Plain);
        let given = self.hosts.given.iter().filter_map(|(scope, settings)| match scope {
            Scope::One(host) if is_plain(settings) => Some(host.as_str()),
            _ => None,
        });
        let own = self.read()?.own.names().filter(|(_, settings)| is_plain(settings)).map(|(name, _)| name);
        Ok(given.chain(own).map(str::to_owned).collect())
    }

    fn settings(&self, host: &Host) -> Result<HostSettings> {
        let (mut one, mut every) = (HostSettings::default(), HostSettings::default());
        for (scope, settings) in &self.hosts.given {
            match scope {
                Scope::One(named) if is_same(named, host) => one = one.over(settings.clone()),
                Scope::One(_) => {}
                Scope::Every => every = every.over(settings.clone()),
            }
        }
        let read = self.read()?;
        let settings = one.with_tls_for_certificates().over(every).over(read.own.of(host));
        let mut containerd = HostSettings::default();
        for root in &read.containerd {
            if containerd == HostSettings::default() {
                containerd = containerd::read(root, host)?;
            }
        }
        let mut docker = HostSettings::default();
        for root in &read.docker {
            docker = docker.over(certs_d::read(&root.join(host.as_str()))?);
        }
        let others = containerd.with_tls_for_certificates().over(docker.with_tls_for_certificates());
        Ok(settings.over(others).over(read.podman.of(host)))
    }

    fn read(&self) -> Result<&Read> {
        let read = self.read.get_or_init(|| {
            let files = &self.hosts.files;
            let mut own = files.config.as_deref().map(Own::read).transpose()?.unwrap_or_default();
            let podman = own.podman.take().unwrap_or_else(|| files.podman.clone());
            let podman = podman.iter().find(|path| path.exists() || path.with_extension("conf.d").exists());
            Ok(Read {
                containerd: own.containerd.take().unwrap_or_else(|| files.containerd.clone()),
                docker: own.docker.take().unwrap_or_else(|| files.docker.clone()),
                podman: podman.map(|path| Registries::read(path)).transpose()?.unwrap_or_default(),
                own,
            })
        });
        read.as_ref().map_err(Clone::clone)
    }

    fn keep(&self, host: &Host, settings: Arc<HostSettings>) {
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(host.clone(), settings);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Host, Arc<HostSettings>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostSettings {
    /// Whether `host` is spoken to with TLS or without.
    #[must_use]
    pub fn security_of(&self, host: &Host) -> Security {
        match &self.security {
            Some(set) => set.value,
            None if host.is_loopback() => Security::Plain,
            None => Security::Tls,
        }
    }

    /// Certificates for a host are a wish for TLS, with loopback, too.
    pub(super) fn with_tls_for_certificates(mut self) -> Self {
        let of_client = || self.client.as_ref().map(|set| &set.from);
        let from = self.ca.first().map(|set| &set.from).or_else(of_client);
        if let (None, Some(from)) = (&self.security, from) {
            self.security = Some(Set { value: Security::Tls, from: from.clone() });
        }
        self
    }
}

/// Docker Hub by the name that it is set by, whichever of its names is spoken to; all others by their own.
pub(super) fn usual(host: &Host) -> Host {
    let hub = if host.is_docker_hub() { Host::parse("docker.io").ok() } else { None };
    hub.unwrap_or_else(|| host.clone())
}

fn is_same(a: &Host, b: &Host) -> bool {
    a.as_str().eq_ignore_ascii_case(b.as_str()) || a.is_docker_hub() && b.is_docker_hub()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::hosts::Origin;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }

    /// A machine of its own, with these files.
    fn machine(root: &Path, files: &[(&str, &str)]) -> Hosts {
        write(root, files);
        let files = Files {
            config: Some(root.join("config.toml")).filter(|path| path.exists()),
            containerd: vec![root.join("containerd")],
            docker: vec![root.join("docker")],
            podman: vec![root.join("registries.conf")],
        };
        Hosts { given: Vec::new(), files }
    }

    /// For which host, and from where, `security` was set.
    #[track_caller]
    fn check_security(hosts: &Hosts, host: &str, expect: Option<(Security, &str)>) {
        let settings = Lookup::new(hosts.clone()).of(&Host::parse(host).unwrap()).unwrap();
        let set = settings.security.as_ref().map(|set| (set.value, set.from.to_string()));
        let set = set.as_ref().map(|(value, from)| (*value, from.rsplit('/').next().unwrap()));
        assert_eq!(set, expect, "{host}");
    }

    #[test]
    fn each_layer_wins_over_those_below() {
        let root = tempfile::tempdir().unwrap();
        let podman =
            "[[registry]]\nlocation = 'r.test'\ninsecure = true\n[[registry]]\nlocation = 'p.test'\ninsecure = true\n";
        let hosts = machine(root.path(), &[("registries.conf", podman)]);
        check_security(&hosts, "r.test", Some((Security::Plain, "registries.conf:3")));
        write(root.path(), &[("docker/r.test/ca.crt", "")]);
        check_security(&hosts, "r.test", Some((Security::Tls, "ca.crt")));
        write(root.path(), &[("containerd/r.test/hosts.toml", "server = 'http://r.test'\n")]);
        check_security(&hosts, "r.test", Some((Security::Plain, "hosts.toml:1")));
        let hosts = machine(root.path(), &[("config.toml", "[hosts.'r.test']\nplain-http = false\n")]);
        check_security(&hosts, "r.test", Some((Security::Tls, "config.toml:2")));
        let flag = HostSettings::plain(Origin::Given("--plain-http"));
        let hosts = hosts.with(Scope::One(Host::parse("R.test").unwrap()), flag);
        check_security(&hosts, "r.test", Some((Security::Plain, "--plain-http")));
        check_security(&hosts, "p.test", Some((Security::Plain, "registries.conf:6")));
        check_security(&hosts, "s.test", None);
    }

    #[test]
    fn docker_hub_is_one_host_by_all_of_its_names() {
        let root = tempfile::tempdir().unwrap();
        for written in ["docker.io", "registry-1.docker.io"] {
            let config = format!("[hosts.'{written}']\nplain-http = true\n");
            let hosts = machine(root.path(), &[("config.toml", &config)]);
            for asked in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
                check_security(&hosts, asked, Some((Security::Plain, "config.toml:2")));
            }
        }
    }

    #[test]
    fn certificates_for_a_loopback_host_mean_tls_and_those_for_all_hosts_do_not() {
        let root = tempfile::tempdir().unwrap();
        let config = "[hosts.'*']\nca = 'all.pem'\n[hosts.'localhost:2']\nca = 'one.pem'\n";
        let hosts = machine(root.path(), &[("config.toml", config), ("docker/localhost:3/ca.crt", "")]);
        check_security(&hosts, "localhost:1", None);
        check_security(&hosts, "localhost:2", Some((Security::Tls, "config.toml:4")));
        check_security(&hosts, "localhost:3", Some((Security::Tls, "ca.crt")));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_file_is_settings_or_a_fault(
            lines in proptest::collection::vec(
                "(\\[\\[?(hosts?|registry|read)(\\.('[*a-z.:/]{0,9}'|mirrors?|'http://[a-z/]{0,5}'))?\\]\\]?|[a-z-]{1,9} ?= ?.{0,9}\
                 |(location|prefix|server|url|ca|client|pieces|proxy|insecure|capabilities) = (['\"\\[]{1,3}[a-z/:.]{0,9}['\"\\]]{1,3}|true|-?[0-9]{1,21}))",
                0..6,
            ),
        ) {
            let (root, text) = (tempfile::tempdir().unwrap(), lines.join("\n"));
            let names = ["config.toml", "containerd/x/hosts.toml", "registries.conf"];
            for name in names {
                let root = root.path().join(name.replace('/', "-"));
                let hosts = machine(&root, &[(name, &text)]);
                if let Err(error) = Lookup::new(hosts).of(&Host::parse("x").unwrap()) {
                    assert!(error.to_string().starts_with("cannot use `"), "{error}");
                }
            }
        }
    }

    #[test]
    fn our_own_file_says_where_the_others_are() {
        let root = tempfile::tempdir().unwrap();
        let files =
            [("config.toml", "[read]\ndocker = ['other']\n"), ("docker/r.test/a.crt", ""), ("other/r.test/b.crt", "")];
        let hosts = machine(root.path(), &files);
        check_security(&hosts, "r.test", Some((Security::Tls, "b.crt")));
    }

    #[test]
    fn a_broken_file_is_told_of_and_a_missing_one_only_if_it_was_named() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::parse("r.test").unwrap();
        let hosts = machine(root.path(), &[("docker/r.test/client.cert", "")]);
        let error = Lookup::new(hosts).of(&host).unwrap_err();
        assert!(error.to_string().ends_with("client.cert`"), "{error}");
        let files = Files { config: Some(root.path().join("none.toml")), ..Files::default() };
        let error = Lookup::new(Hosts { given: Vec::new(), files }).of(&host).unwrap_err();
        assert!(error.to_string().ends_with("none.toml`"), "{error}");
        Lookup::new(Hosts::default()).of(&host).unwrap();
    }
}
