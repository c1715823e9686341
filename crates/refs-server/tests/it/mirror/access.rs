//! A mirror that asks who comes.

use std::sync::Arc;

use refs_server::{Access, Anonymous, Grant, Mirror, MirrorOptions, Options, Rights, Server};
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{FakeRegistry, RawPeer, raw::Speech};
use refs_url::RepoName;

use super::rig::{tagged, upstream};
use crate::access::rig::{ask_with, authorization, basic};

/// A mirror with upstreams `own` and `other`, where `dev` may pull what is in the former.
fn mirror(folder: &tempfile::TempDir, own: refs_url::Host, other: refs_url::Host) -> Server {
    let upstreams = vec![upstream("own", own), upstream("other", other), upstream("", "unused.test".parse().unwrap())];
    let store = Arc::new(DiskStore::new(folder.path().join("store"), &DiskOptions::default()));
    let grant = Grant {
        user: "dev".to_owned(),
        prefix: Some(RepoName::parse("own").unwrap()),
        actions: "pull".parse().unwrap(),
    };
    let access = basic(Anonymous::Nothing);
    let access = Access { rights: Rights { grants: vec![grant], ..access.rights }, ..access };
    let mirror = Mirror::new(upstreams, store, &MirrorOptions::default()).unwrap();
    Server::mirror(mirror, &Options { access: Some(access), ..Options::default() })
}

#[tokio::test]
async fn rights_are_of_the_name_here_however_a_repository_is_named() {
    let (own, other, folder) = (FakeRegistry::start().await, FakeRegistry::start().await, tempfile::tempdir().unwrap());
    for registry in [&own, &other] {
        tagged(registry, "o/r", "v1", "content").await;
        tagged(registry, "own/r", "v1", "content").await;
    }
    let server = mirror(&folder, own.host(), other.host());
    let (own, other) = (own.host(), other.host());
    for (path, user, expect) in [
        ("own/o/r/manifests/v1".to_owned(), "dev", "200"),
        ("other/o/r/manifests/v1".to_owned(), "dev", "403 DENIED"),
        (format!("o/r/manifests/v1?ns={own}"), "dev", "200"),
        (format!("o/r/manifests/v1?ns={other}"), "dev", "403 DENIED"),
        (format!("own/r/manifests/v1?ns={other}"), "dev", "403 DENIED"),
        ("own/r/manifests/v1?ns=unused.test".to_owned(), "dev", "404 NAME_UNKNOWN"),
        ("r/manifests/v1?ns=unused.test".to_owned(), "dev", "403 DENIED"),
        (format!("o/r/manifests/v1?ns={own}"), "", "401 UNAUTHORIZED"),
        (format!("o/r/manifests/v1?ns={other}"), "admin", "200"),
        ("own/o/r/manifests/v1".to_owned(), "", "401 UNAUTHORIZED"),
    ] {
        let answer = ask_with(&server, &format!("GET /v2/{path}"), authorization(user).as_deref()).await;
        assert_eq!(answer.summary(), expect, "{path} of {user:?}");
    }
}

#[tokio::test]
async fn m157_a_password_for_the_mirror_stays_there() {
    let peer =
        RawPeer::start(|_| Speech::of(["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"]));
    let folder = tempfile::tempdir().unwrap();
    let server = mirror(&folder, peer.host(), "unused.test:1".parse().unwrap());
    let answer = ask_with(&server, "GET /v2/own/o/r/manifests/v1", authorization("dev").as_deref()).await;
    assert_eq!(answer.summary(), "404 UNKNOWN");
    let heads = peer.heads().join("\n").to_lowercase();
    assert!(heads.contains("get /v2/o/r/manifests/v1") && !heads.contains("authorization"), "{heads}");
}
