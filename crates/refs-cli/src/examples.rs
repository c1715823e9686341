//! What the help of a command shows at its end.

pub(crate) const PUSH: &str = "Examples:
  refs push docs ghcr.io/org/handbook:v1
  refs push docs ghcr.io/org/handbook:v1 --tag latest --exclude '*.tmp' --reproducible";
pub(crate) const PACK: &str = "Examples:
  refs pack docs docs.tgz
  refs pack docs docs.tgz && refs ls file://docs.tgz";
pub(crate) const LS: &str = "Examples:
  refs ls ghcr.io/org/handbook:v1 --tree
  refs ls docker://alpine --path 'etc/**' -l --platform arm64";
pub(crate) const DIFF: &str = "Examples:
  refs diff ghcr.io/org/handbook:v1 ghcr.io/org/handbook:v2
  refs diff docker://alpine:3.20 docker://alpine:3.21 --path 'etc/**' --format json";
pub(crate) const INSPECT: &str = "Examples:
  refs inspect ghcr.io/org/handbook:v1
  refs inspect docker://alpine --format json | jq .image.layers[].size";
pub(crate) const CAT: &str = "Examples:
  refs cat ghcr.io/org/handbook:v1 guide/one.md
  refs cat ghcr.io/org/handbook:v1 data.bin --range 0-99 | xxd";
pub(crate) const PULL: &str = "Examples:
  refs pull ghcr.io/org/handbook:v1 --offline
  refs pull ghcr.io/org/handbook:v1 here --path 'guide/**' --path '*.md' --force";
pub(crate) const UNPACK: &str = "Examples:
  refs unpack docker://alpine rootfs
  refs unpack docker://alpine rootfs --platform linux/arm/v7 --max-total-size 2G --force";
pub(crate) const RESOLVE: &str = "Examples:
  refs resolve ghcr.io/org/handbook:v1
  refs resolve ghcr.io/org/handbook --constraint '^1.2'";
pub(crate) const TAGS: &str = "Examples:
  refs tags ghcr.io/org/handbook
  refs tags ghcr.io/org/handbook --constraint '>=1.1, <2' --limit 5";
pub(crate) const BLOB: &str = "Examples:
  refs blob get ghcr.io/org/handbook@sha256:… -o layer.tgz
  refs blob put ghcr.io/org/handbook layer.tgz";
pub(crate) const STAT_BLOB: &str = "Examples:
  refs blob stat ghcr.io/org/handbook@sha256:…";
pub(crate) const LOGIN: &str = "Examples:
  refs login ghcr.io -u me
  echo \"$TOKEN\" | refs login ghcr.io -u me --password-stdin";
pub(crate) const LOGOUT: &str = "Examples:
  refs logout ghcr.io";
pub(crate) const DOCTOR: &str = "Examples:
  refs doctor ghcr.io
  refs doctor localhost:5000/o/r:v1 --uploads";
pub(crate) const SERVE: &str = "Examples:
  refs serve
  refs serve --listen 127.0.0.1:0 --root registry
  refs serve --listen 0.0.0.0:443 --htpasswd users --auth bearer --tls-cert server.pem --tls-key server.key
  refs serve --root cache --mirror hub=https://docker.io --mirror ghcr=https://ghcr.io --tag-ttl 1m
  refs serve --root cache --mirror hub=https://docker.io --store-size 40GiB
  refs serve --server-config server.toml --metrics 127.0.0.1:9100 --access-log json";
pub(crate) const CACHE: &str = "Examples:
  refs cache info
  refs cache prune --max-size 500M --older-than 30d";
pub(crate) const DEMO: &str = "Examples:
  refs demo";
pub(crate) const COMPLETIONS: &str = "Examples:
  refs completions bash > ~/.local/share/bash-completion/completions/refs
  echo 'source <(refs completions zsh)' >> ~/.zshrc
  refs completions fish > ~/.config/fish/completions/refs.fish

The script asks `refs` at each key press, which answers from the cache: make it anew with each new version.";
pub(crate) const MAN: &str = "Examples:
  refs man | man -l -
  refs man ~/.local/share/man/man1";
