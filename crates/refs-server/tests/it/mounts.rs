//! Blobs mounted without a word about where they are.

use std::{fs, sync::Arc};

use refs_server::{Options, Server};
use refs_store::{Layouts, Memories};

use crate::{client::digest, direct::ask};

async fn with_blobs(server: &Server) {
    for (repository, content) in [("a", "one"), ("b", "two"), ("c/d", "three")] {
        let line = format!("POST /v2/{repository}/blobs/uploads/?digest={}", digest(content));
        assert_eq!(ask(server, &line, &[], content).await.status, 201);
    }
}

#[track_caller]
fn check(answer: &crate::direct::Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
}

#[tokio::test]
async fn a_blob_is_found_in_as_many_repositories_as_are_looked_through() {
    let folder = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn refs_registry::Writable>; 2] =
        [Arc::new(Memories::new()), Arc::new(Layouts::new(folder.path()))];
    for store in stores {
        let server =
            |mount_search| Server::writable(Arc::clone(&store), &Options { mount_search, ..Options::default() });
        with_blobs(&server(0)).await;
        let rows =
            [(0, "one", 202), (1, "one", 201), (1, "two", 202), (9, "two", 201), (9, "three", 201), (9, "none", 202)];
        for (nth, (mount_search, content, status)) in rows.into_iter().enumerate() {
            // Sorts behind the others, and is another one each time.
            let repository = format!("new{nth}");
            let line = format!("POST /v2/{repository}/blobs/uploads/?mount={}", digest(content));
            check(&ask(&server(mount_search), &line, &[], "").await, status);
            let head = format!("HEAD /v2/{repository}/blobs/{}", digest(content));
            check(&ask(&server(0), &head, &[], "").await, if status == 201 { 200 } else { 404 });
        }
    }
}

#[tokio::test]
async fn a_blob_that_a_power_cut_has_emptied_is_mounted_neither_from_another_repository_nor_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::writable(Arc::new(Layouts::new(folder.path())), &Options::default());
    with_blobs(&server).await;
    let one = digest("one");
    let file = folder.path().join("a/_layout/blobs/sha256").join(one.encoded());
    fs::remove_file(&file).unwrap();
    fs::write(&file, "").unwrap();
    for repository in ["a", "b"] {
        let mount = format!("POST /v2/{repository}/blobs/uploads/?mount={one}");
        for line in [format!("{mount}&from=a"), format!("{mount}&from=b"), mount] {
            check(&ask(&server, &line, &[], "").await, 202);
        }
    }
    let whole = format!("POST /v2/a/blobs/uploads/?digest={one}");
    check(&ask(&server, &whole, &[], "one").await, 201);
    check(&ask(&server, &format!("POST /v2/b/blobs/uploads/?mount={one}&from=a"), &[], "").await, 201);
    // There is nothing to lack in nothing.
    let none = digest("");
    check(&ask(&server, &format!("POST /v2/a/blobs/uploads/?digest={none}"), &[], "").await, 201);
    check(&ask(&server, &format!("POST /v2/b/blobs/uploads/?mount={none}&from=a"), &[], "").await, 201);
}
