use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use refs_registry::hosts::Security;
use refs_server::{Actions, Grant, Options};
use refs_url::ParseErrorKind;

use super::{Fault, ServerConfig};
use crate::{
    access_args::{Auth, Entry},
    operation_args::AccessLog,
};

fn parse(text: &str) -> Result<ServerConfig, Fault> {
    ServerConfig::parse(Path::new("/etc/refs/server.toml"), text)
}

#[track_caller]
fn check_fault(text: &str, at: &str, expect: &str) {
    let fault = parse(text).unwrap_err().to_string();
    let (place, message) = fault.split_once("`: ").unwrap();
    assert_eq!((place, message), (&*format!("`/etc/refs/server.toml{at}"), expect), "{text}");
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_column() {
    check_fault("\n  listne = 'x'\n", ":2:3", &unknown("listne", TABLES));
    let alone = "invalid type: map, expected a sequence: a table that may come more than once has a name in `[[ ]]`";
    check_fault("\n[mirror]\nprefix = 'a'\n", ":2:1", alone);
    let inline = "[[auth.grant]]\nuser = 'a'\nactions = { pull = true }\n";
    check_fault(inline, ":3:11", "invalid type: map, expected a sequence");
    check_fault("[limits]\nconnection = 1\n", ":2:1", &unknown("connection", LIMITS));
    check_fault("[limits]\nconnections = 0\n", ":2:15", "invalid value: integer `0`, expected a number of 1 or more");
    check_fault("[limits]\nuploads = -1\n", ":2:11", "invalid value: integer `-1`, expected a number of 1 or more");
    check_fault("[limits]\nuploads = '9'\n", ":2:11", "invalid type: string \"9\", expected a number of 1 or more");
    check_fault(
        "[limits]\ngrace = '5'\n",
        ":2:9",
        "a unit is missing: expected a time, such as 90s, 5m or 1h30m; the units are w, d, h, m, s and ms, the largest first",
    );
    check_fault("access-log = 'loud'\n", ":1:14", "unknown variant `loud`, expected one of `text`, `json`, `none`");
    check_fault("[[mirror]]\nprefix = 'hub'\n", ":1:1", "missing field `url`");
    check_fault("[[mirror]]\nurl = 'docker.io'\n", ":1:1", "a mirror needs a `prefix`, or `default = true`");
    let url = "expected a URL, such as \"https://docker.io\" or \"https://ghcr.io/org\"";
    check_fault("[[mirror]]\ndefault = true\nurl = 'ftp://docker.io'\n", ":3:7", url);
    check_fault("[[mirror]]\ndefault = true\nurl = 'https://u:hunter2@docker.io'\n", ":3:7", url);
    let default = "[[mirror]]\nurl = 'docker.io'\ndefault = true\n";
    let already =
        "`default = true` is at `/etc/refs/server.toml:3:11` already: one mirror alone has the names without a prefix";
    check_fault(&format!("{default}{default}"), ":6:11", already);
    check_fault(&format!("{default}prefix = 'a'\n{default}prefix = 'b'\n"), ":7:11", already);
    let login = "[[mirror]]\ndefault = true\nurl = 'docker.io'\n";
    check_fault(
        &format!("{login}username = 'u'\n"),
        ":4:12",
        "a `username` goes with a `password` or a `password-file`",
    );
    check_fault(&format!("{login}password = 'hunter2'\n"), ":4:12", "a password goes with a `username`");
    check_fault(&format!("{login}username = 'u'\npassword = 12345\n"), ":5:12", "expected a text in quotes");
    check_fault(
        &format!("{login}username = 'u'\npassword = '${{env:REFS_NO_SUCH}}'\n"),
        ":5:12",
        "the variable `REFS_NO_SUCH` is not set",
    );
    check_fault(
        &format!("{login}username = 'u'\npassword = 'file:none'\n"),
        ":5:12",
        "cannot read the secret in `/etc/refs/none`",
    );
    check_fault(
        &format!("{login}username = 'u'\npassword = 'p'\npassword-file = 'f'\n"),
        ":6:17",
        "there is a `password` and a `password-file`",
    );
}

const TABLES: &[&str] = &[
    "listen",
    "root",
    "metrics",
    "access-log",
    "access-log-file",
    "store-size",
    "bucket",
    "limits",
    "tls",
    "auth",
    "mirror",
];
const LIMITS: &[&str] = &[
    "connections",
    "requests",
    "requests-per-client",
    "uploads",
    "header-timeout",
    "body-idle",
    "write-idle",
    "upload-idle",
    "notice",
    "grace",
];

#[cfg(not(feature = "bucket"))]
#[test]
fn a_bucket_is_refused_by_a_build_that_has_none() {
    let refused = "this build of refs can't share by buckets: one with the feature `bucket` can";
    check_fault("[bucket]\nurl = 's3://mirror/cache'\n", ":1:1", refused);
    check_fault("\nbucket = 's3://mirror/cache'\n", ":2:10", refused);
}

#[cfg(feature = "bucket")]
#[test]
fn a_bucket_is_read_with_how_it_is_waited_for() {
    let bucket = parse("").unwrap().bucket;
    assert_eq!((bucket.url, bucket.options.patience), (None, Duration::from_secs(5)));
    let text = "[bucket]\nurl = 's3://mirror/cache'\npatience = '2s'\nidle = '3m'\npause = '1h'\n";
    let bucket = parse(text).unwrap().bucket;
    let times = [bucket.options.patience, bucket.options.idle, bucket.options.pause].map(|time| time.as_secs());
    assert_eq!((bucket.url.as_deref(), times), (Some("s3://mirror/cache"), [2, 180, 3600]));
    check_fault("[bucket]\nidle = '3m'\n", ":1:1", "missing field `url`");
}

fn unknown(key: &str, known: &[&str]) -> String {
    let known: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
    format!("unknown field `{key}`, expected one of {}", known.join(", "))
}

#[test]
fn what_is_no_toml_is_told_without_the_line_itself() {
    let fault = parse("[[mirror]]\npassword = \"hunter2\n").unwrap_err().to_string();
    assert!(fault.starts_with("`/etc/refs/server.toml:2:") && !fault.contains("hunter2"), "{fault}");
}

#[test]
fn where_to_listen_is_an_address_and_a_port() {
    let expected = "expected an address and a port, such as 127.0.0.1:5000 or [::1]:5000";
    for text in [
        "5000",
        ":5000",
        "localhost",
        "127.0.0.1:99999",
        "127.0.0.1:+5000",
        "[::1]",
        "::1:5000",
        "http://127.0.0.1:5000",
        " 127.0.0.1:5000",
    ] {
        check_fault(&format!("listen = '{text}'\n"), ":1:10", expected);
        check_fault(&format!("\nmetrics = '{text}'\n"), ":2:11", expected);
    }
    for text in ["localhost:5000", "127.0.0.1:0", "[::1]:5000"] {
        assert_eq!(parse(&format!("listen = '{text}'\n")).unwrap().listen.unwrap().address, text);
    }
}

#[test]
fn what_is_wrong_with_who_may_come_in_is_told() {
    check_fault("[tls]\ncert = 'c'\n", ":1:1", "missing field `key`");
    check_fault("[auth]\nmode = 'bearer'\n", ":1:1", "missing field `htpasswd`");
    let auth = "[auth]\nhtpasswd = 'h'\n";
    check_fault(&format!("{auth}mode = 'digest'\n"), ":3:8", "unknown variant `digest`, expected `basic` or `bearer`");
    check_fault(&format!("{auth}token-key = 'k'\n"), ":3:13", "it goes with `mode = \"bearer\"`");
    let url = "expected the URL of /token, such as https://registry.example/token";
    check_fault(&format!("{auth}mode = 'bearer'\ntoken-url = '/token'\n"), ":4:13", url);
    let action = "unknown variant `own`, expected one of `pull`, `push`, `delete`";
    check_fault(&format!("{auth}[[auth.grant]]\nuser = 'u'\nactions = ['own']\n"), ":5:12", action);
    let grant = format!("{auth}[[auth.grant]]\nuser = 'u'\nactions = []\nprefix = 'A'\n");
    assert!(parse(&grant).unwrap_err().to_string().contains("server.toml:6:10`: "), "{grant}");
}

#[test]
fn a_name_that_no_repository_has_is_told_with_its_cause() {
    let auth = "[auth]\nhtpasswd = 'h'\n[[auth.grant]]\nuser = 'u'\nactions = []\nprefix = 'A'\n";
    for text in [
        auth,
        "[[mirror]]\nurl = 'docker.io'\nprefix = 'A'\n",
        "[[mirror]]\nurl = 'docker.io'\nofficial-namespace = 'A'\n",
    ] {
        let Fault::Name { source, .. } = parse(text).unwrap_err() else { panic!("{text}") };
        assert_eq!(source.kind(), ParseErrorKind::UppercaseRepository);
    }
}

#[test]
fn who_may_come_in_is_read_and_flags_beat_it() {
    let text = "[tls]\ncert = 'c'\nkey = '/k'\n[auth]\nhtpasswd = 'h'\nmode = 'bearer'\nanonymous-pull = true\n\
                token-key = 't'\ntoken-url = 'https://x.test/token'\n\
                [[auth.grant]]\nuser = 'u'\nprefix = 'a'\nactions = ['pull', 'push']\n\
                [[auth.grant]]\nuser = 'v'\nactions = ['delete']\n";
    let path = |path: &str| Some(PathBuf::from(path));
    let read = parse(text).unwrap().entry;
    assert_eq!((&read.tls_cert, &read.tls_key), (&path("/etc/refs/c"), &path("/k")));
    assert_eq!((&read.htpasswd, &read.token_key), (&path("/etc/refs/h"), &path("/etc/refs/t")));
    assert_eq!(read.token_url.as_ref().map(url::Url::as_str), Some("https://x.test/token"));
    let grants = vec![
        Grant { user: "u".to_owned(), prefix: Some("a".parse().unwrap()), actions: Actions::PULL | Actions::PUSH },
        Grant { user: "v".to_owned(), prefix: None, actions: Actions::DELETE },
    ];
    assert_eq!((read.auth, read.anonymous_pull, &read.grants), (Some(Auth::Bearer), true, &grants));
    let flags = Entry {
        htpasswd: path("users"),
        auth: Some(Auth::Basic),
        tls_cert: path("own.pem"),
        tls_key: path("own.key"),
        ..Entry::default()
    };
    let both = flags.over(read);
    assert_eq!((both.htpasswd, both.auth), (path("users"), Some(Auth::Basic)));
    assert_eq!((both.tls_cert, both.tls_key), (path("own.pem"), path("own.key")));
    assert_eq!((both.token_key, both.grants), (path("/etc/refs/t"), grants));
    // Of a file that a flag names, nobody is sent to the server's.
    let at = both.named_at;
    assert_eq!((at.htpasswd, at.tls_cert, at.tls_key), (None, None, None));
    assert_eq!(at.token_key.as_deref(), Some("/etc/refs/server.toml:8:13"));
}

/// The prefix, the registry, what names begin with there, and the namespace of those without one.
#[track_caller]
fn check_mirror(table: &str, expect: &[(&str, &str, &str, &str)]) {
    let read = parse(&format!("[[mirror]]\n{table}")).unwrap();
    let name = |name: &Option<refs_url::RepoName>| name.as_ref().map_or_else(String::new, ToString::to_string);
    let shown: Vec<_> = read.mirrors.iter().map(|planned| &planned.mirrored.route).collect();
    let shown: Vec<_> = shown
        .into_iter()
        .map(|route| {
            (name(&route.prefix), route.host.to_string(), name(&route.beneath), name(&route.official_namespace))
        })
        .collect();
    let expect: Vec<_> =
        expect.iter().map(|(a, b, c, d)| (a.to_string(), b.to_string(), c.to_string(), d.to_string())).collect();
    assert_eq!(shown, expect, "{table}");
}

#[test]
fn a_mirror_is_reached_as_its_table_says() {
    check_mirror("prefix = 'hub'\nurl = 'https://docker.io'", &[("hub", "docker.io", "", "library")]);
    let both = "prefix = 'hub'\nurl = 'docker.io'\ndefault = true";
    check_mirror(both, &[("hub", "docker.io", "", "library"), ("", "docker.io", "", "library")]);
    check_mirror("default = true\nurl = 'http://x.test:5000/a/b'", &[("", "x.test:5000", "a/b", "")]);
    let official = "prefix = 'p'\nurl = 'x.test'\nofficial-namespace = 'base'";
    check_mirror(official, &[("p", "x.test", "", "base")]);
    check_mirror("prefix = 'p'\nurl = 'docker.io'\nofficial-namespace = ''", &[("p", "docker.io", "", "")]);
}

#[test]
fn all_that_is_said_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "hunter2\n").unwrap();
    let path = folder.path().join("server.toml");
    std::fs::write(
        &path,
        "listen = '0.0.0.0:5000'\nroot = 'data'\nmetrics = '127.0.0.1:9'\naccess-log = 'json'\n\
         store-size = '40GiB'\n[limits]\nconnections = 7\nrequests = 6\nrequests-per-client = 5\nuploads = 4\nheader-timeout = '3s'\n\
         body-idle = '2s'\nwrite-idle = '1s'\nupload-idle = '9s'\nnotice = '8s'\ngrace = '7s'\n\
         [[mirror]]\nprefix = 'p'\nurl = 'http://x.test'\ntag-ttl = '1m'\nstale-for = '2m'\npatience = '3s'\nusername = 'u'\n\
         password-file = 'secret'\n",
    )
    .unwrap();
    let read = ServerConfig::read(&path).unwrap();
    let [listen, metrics] = [&read.listen, &read.metrics].map(|at| at.as_ref().unwrap().address.as_str());
    assert_eq!((listen, metrics), ("0.0.0.0:5000", "127.0.0.1:9"));
    assert_eq!((read.root, read.access_log), (Some(folder.path().join("data")), Some(AccessLog::Json)));
    assert_eq!(read.store_size, Some(40 << 30));
    let seconds = Duration::from_secs;
    let serve = read.limits.serve_options();
    assert_eq!((serve.connections, serve.header_timeout, serve.write_idle), (7, seconds(3), seconds(1)));
    assert_eq!((serve.notice, serve.grace), (seconds(8), seconds(7)));
    let options = read.limits.over(Options::default());
    assert_eq!((options.requests, options.requests_each, options.uploads), (6, 5, 4));
    assert_eq!((options.body_idle, options.upload_idle), (seconds(2), seconds(9)));
    let planned = &read.mirrors[0];
    assert_eq!(planned.tags.freshness, refs_store::Freshness::Within(seconds(60)));
    assert_eq!(planned.tags.patience, seconds(3));
    assert_eq!((planned.tags.stale, planned.mirrored.security), (seconds(120), Some(Security::Plain)));
    let login = planned.login.as_ref().unwrap();
    assert_eq!((login.username.as_str(), login.password.reveal()), ("u", "hunter2"));
    assert!(!format!("{:?}", read.mirrors).contains("hunter2"));
}

#[test]
fn times_of_tags_may_be_none_at_all() {
    let none = "tag-ttl = '0s'\nstale-for = '0s'\npatience = '0s'\n";
    let read = parse(&format!("[[mirror]]\nprefix = 'p'\nurl = 'x.test'\n{none}")).unwrap();
    let tags = read.mirrors[0].tags;
    assert_eq!((tags.stale, tags.patience), (Duration::ZERO, Duration::ZERO));
    assert_eq!(tags.freshness, refs_store::Freshness::Revalidate);
    assert!(parse("[limits]\ngrace = '0s'\n").is_err());
}

#[test]
fn the_files_that_are_given_to_copy_are_read() {
    for (text, mirrors) in
        [(include_str!("../../../../deploy/registry.toml"), 0), (include_str!("../../../../deploy/mirror.toml"), 4)]
    {
        assert_eq!(parse(text).unwrap().mirrors.len(), mirrors);
        // What is commented out, too, but for the secret that is elsewhere.
        let all: Vec<_> = text.lines().filter(|line| !line.contains("password-file")).collect();
        let all = all.join("\n").replace("#username = \"robot\"", "username = \"robot\"\npassword = \"x\"");
        parse(&all).unwrap();
    }
}

#[test]
fn two_logins_for_the_same_repositories_are_refused() {
    let table = |prefix: &str, url: &str, user: &str| {
        format!("[[mirror]]\nprefix = '{prefix}'\nurl = '{url}'\nusername = '{user}'\npassword = 'p'\n")
    };
    let both = |one: &str, other: &str| parse(&format!("{}{}", table("a", one, "u"), table("b", other, "v")));
    for (one, other) in [("x.test", "x.test"), ("x.test/a", "x.test"), ("x.test/a", "x.test/a/b")] {
        let fault = both(one, other).unwrap_err().to_string();
        assert!(fault.contains(":6:1`: two logins for the same repositories"), "{one} {other}: {fault}");
    }
    for (one, other) in [("x.test", "y.test"), ("x.test/a", "x.test/b"), ("x.test/a", "x.test/ab")] {
        assert_eq!(both(one, other).unwrap().mirrors.len(), 2, "{one} {other}");
    }
}
