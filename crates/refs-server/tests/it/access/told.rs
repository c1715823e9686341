//! What observers are told of who asks.

use std::sync::Arc;

use refs_server::{Access, Anonymous, Options, Server};
use refs_store::Memories;
use tokio::sync::mpsc::unbounded_channel;

use super::rig::{ask_with, authorization, basic, bearer};

/// Rows of what is asked, by whom, its status, and who that was for sure.
async fn check(access: Access, rows: &[(&str, &str, u16, Option<&str>)]) {
    let (told, mut answered) = unbounded_channel();
    let options = Options { access: Some(access), observers: vec![Arc::new(told)], ..Options::default() };
    let server = Server::writable(Arc::new(Memories::new()), &options);
    for (line, user, status, expect) in rows {
        assert_eq!(ask_with(&server, line, authorization(user).as_deref()).await.status, *status, "{line} of {user:?}");
        let told = answered.recv().await.unwrap();
        assert_eq!((told.status, told.user.as_deref()), (*status, *expect), "{line} of {user:?}");
    }
    // Health is for everyone, and told to nobody.
    assert_eq!(ask_with(&server, "GET /healthz", None).await.status, 200);
    assert!(answered.try_recv().is_err());
}

#[tokio::test]
async fn who_asks_is_told_when_it_is_certain() {
    let rows = [
        ("GET /v2/", "reader", 200, Some("reader")),
        ("POST /v2/o/r/blobs/uploads/", "reader", 403, Some("reader")),
        ("GET /v2/o/r/manifests/absent", "dev", 404, Some("dev")),
        ("GET /v2/", "reader:wrong", 401, None),
        ("GET /v2/", "", 401, None),
        ("GET /v2/o/r/manifests/absent", "", 404, None),
    ];
    check(basic(Anonymous::Pull), &rows).await;
    let rows = [("GET /token", "dev", 200, Some("dev")), ("GET /token", "dev:wrong", 401, None)];
    check(bearer(Anonymous::Nothing), &rows).await;
}
