//! A server with users, and credentials to show it.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use refs_server::{Access, Actions, Anonymous, Grant, Htpasswd, Key, Options, Rights, Scheme, Server, TokenOptions};
use refs_store::Memories;
use refs_url::RepoName;

use crate::{
    client::digest,
    direct::{Answer, ask},
};

/// The password of everyone.
pub(crate) const PASSWORD: &str = "correct horse";

/// Some users, whose password is the same.
pub(crate) fn users() -> Htpasswd {
    let line = |user| format!("{user}:{}\n", bcrypt::hash(PASSWORD, 4).unwrap());
    Htpasswd::parse(&["admin", "dev", "reader"].map(line).concat()).unwrap()
}

/// `admin` may do everything; `dev` push in `team`, and pull in `shared`; `reader` pull everywhere.
pub(crate) fn rights(anonymous: Anonymous) -> Rights {
    let grant = |user: &str, prefix: Option<&str>, actions: &str| Grant {
        user: user.to_owned(),
        prefix: prefix.map(|prefix| RepoName::parse(prefix).unwrap()),
        actions: actions.parse().unwrap(),
    };
    let grants = vec![
        grant("dev", Some("team"), "pull,push"),
        grant("dev", Some("shared"), "pull"),
        grant("reader", None, "pull"),
    ];
    Rights { anonymous, users: Actions::ALL, grants }
}

pub(crate) fn tokens() -> TokenOptions {
    TokenOptions::new(Key::new(&[7; 32]).unwrap())
}

pub(crate) fn basic(anonymous: Anonymous) -> Access {
    Access { rights: rights(anonymous), ..Access::new(users(), Scheme::Basic) }
}

pub(crate) fn bearer(anonymous: Anonymous) -> Access {
    Access { rights: rights(anonymous), ..Access::new(users(), Scheme::Bearer(tokens())) }
}

/// A server where `team/app`, `shared/base` and `private` have a blob each, which is the repository's name, and the tag `v1`.
pub(crate) async fn server(access: Access) -> Server {
    let store = Arc::new(Memories::new());
    let open = Server::writable(Arc::clone(&store) as _, &Options::default());
    for name in ["team/app", "shared/base", "private"] {
        let put = format!("POST /v2/{name}/blobs/uploads/?digest={}", digest(name));
        assert_eq!(ask(&open, &put, &[], name).await.status, 201);
        let media_type = ("content-type", "application/vnd.oci.image.index.v1+json");
        let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        assert_eq!(ask(&open, &format!("PUT /v2/{name}/manifests/v1"), &[media_type], index).await.status, 201);
    }
    let options = Options { access: Some(access), mount_search: 10, ..Options::default() };
    Server::writable(store, &options)
}

/// The header of `user`, with a password: `reader`, `reader:wrong`; nothing for nobody.
pub(crate) fn authorization(user: &str) -> Option<String> {
    let (user, password) = user.split_once(':').unwrap_or((user, PASSWORD));
    let encoded = || BASE64_STANDARD.encode(format!("{user}:{password}"));
    (!user.is_empty()).then(|| format!("Basic {}", encoded()))
}

/// Asks with an `Authorization` header, perhaps.
pub(crate) async fn ask_with(server: &Server, line: &str, authorization: Option<&str>) -> Answer {
    let host = ("host", "r.test:5000");
    match authorization {
        Some(value) => ask(server, line, &[host, ("authorization", value)], "").await,
        None => ask(server, line, &[host], "").await,
    }
}
