//! The layers as data: who may use what. `ARCHITECTURE.md` draws the same picture.

/// A crate of the workspace and the crates of the workspace that it may use.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) may_use: &'static [&'static str],
}

/// Tests may also use refs-testkit.
pub(crate) const ROOMS: &[Room] = &[
    Room { name: "refs-url", may_use: &[] },
    Room { name: "refs-estargz", may_use: &["refs-url"] },
    Room { name: "refs-registry", may_use: &["refs-url"] },
    Room { name: "refs-store", may_use: &["refs-url", "refs-registry"] },
    Room { name: "refs-client", may_use: &["refs-url", "refs-estargz", "refs-registry", "refs-store"] },
    Room { name: "refs-server", may_use: &["refs-url", "refs-registry", "refs-store"] },
    Room {
        name: "refs-cli",
        may_use: &["refs-url", "refs-estargz", "refs-registry", "refs-store", "refs-client", "refs-server"],
    },
    Room { name: "refs-testkit", may_use: &["refs-url", "refs-estargz", "refs-registry", "refs-store", "refs-server"] },
    // What it writes is shown to the reference implementation, and its client to real registries.
    Room { name: "xtask", may_use: &["refs-estargz", "refs-registry", "refs-testkit", "refs-url"] },
];

/// What only tests may add.
pub(crate) const FOR_TESTS: &str = "refs-testkit";

/// A crate from outside, and the only rooms that may name it among their normal dependencies.
pub(crate) struct Reserved {
    pub(crate) krate: &'static str,
    pub(crate) users: &'static [&'static str],
}

pub(crate) const RESERVED: &[Reserved] = &[
    Reserved { krate: "reqwest", users: &["refs-registry"] },
    Reserved { krate: "h2", users: &["refs-registry", "refs-testkit"] },
    Reserved { krate: "hyper", users: &["refs-server", "refs-testkit"] },
    Reserved { krate: "hyper-util", users: &["refs-registry", "refs-server", "refs-testkit"] },
    Reserved { krate: "prometheus-client", users: &["refs-server"] },
    Reserved { krate: "tokio-io-timeout", users: &["refs-server"] },
    Reserved { krate: "wiremock", users: &["refs-testkit"] },
    Reserved { krate: "rcgen", users: &["refs-testkit", "xtask"] },
    // Whatever else knows versions knows them as tags and constraints.
    Reserved { krate: "semver", users: &["refs-url"] },
    Reserved { krate: "object_store", users: &["refs-store"] },
    Reserved { krate: "clap", users: &["refs-cli"] },
    Reserved { krate: "indicatif", users: &["refs-cli"] },
    Reserved { krate: "tracing-subscriber", users: &["refs-cli"] },
];

/// A room and the crates that may be nowhere in what it pulls in.
pub(crate) struct Barred {
    pub(crate) room: &'static str,
    pub(crate) krates: &'static [&'static str],
}

const ASYNC_AND_SOCKETS: &[&str] = &["tokio", "mio", "reqwest", "hyper", "async-std", "smol", "socket2"];
/// A second HTTP client, and TLS or compression in C.
const NOWHERE: &[&str] = &["ureq", "curl", "isahc", "openssl-sys", "native-tls", "libz-sys", "libz-ng-sys"];

pub(crate) const BARRED: &[Barred] = &[
    Barred { room: "refs-url", krates: ASYNC_AND_SOCKETS },
    Barred { room: "refs-estargz", krates: ASYNC_AND_SOCKETS },
    Barred { room: "refs-cli", krates: NOWHERE },
    Barred { room: "refs-testkit", krates: NOWHERE },
];

/// A room whose normal dependencies, features off, are exactly these.
pub(crate) struct Exactly {
    pub(crate) room: &'static str,
    pub(crate) dependencies: &'static [&'static str],
}

pub(crate) const EXACTLY: &[Exactly] = &[Exactly { room: "refs-url", dependencies: &["thiserror"] }];

/// Features of crates from outside that nothing in the build may enable.
pub(crate) struct Disabled {
    pub(crate) krate: &'static str,
    pub(crate) features: &'static [&'static str],
}

pub(crate) const DISABLED: &[Disabled] = &[
    // Another backend compresses to other bytes: the same tree would get another digest.
    Disabled {
        krate: "flate2",
        features: &[
            "default",
            "rust_backend",
            "miniz_oxide",
            "miniz-sys",
            "any_c_zlib",
            "zlib",
            "zlib-default",
            "zlib-ng",
            "zlib-ng-compat",
            "cloudflare_zlib",
        ],
    },
    // Decoding on the way breaks digests and ranges; redirects and proxies from cookies are not ours.
    Disabled { krate: "reqwest", features: &["default", "gzip", "brotli", "zstd", "deflate", "native-tls", "cookies"] },
];

/// Where `print!` and its like may stand.
pub(crate) const PRINTERS: &[&str] = &["refs-cli", "xtask"];

/// Rooms without I/O, clock, socket or environment; the modules of std, and the names, that would bring them.
pub(crate) const PURE: &[&str] = &["refs-url", "refs-estargz"];
pub(crate) const IMPURE_MODULES: &[&str] = &["env", "fs", "process"];
pub(crate) const IMPURE_NAMES: &[&str] =
    &["SystemTime", "Instant", "TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs"];

/// The most lines of code, without comments and blank lines, that a source file may have outside its test module.
pub(crate) const MAX_LINES: usize = 400;
