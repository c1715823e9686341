//! Passwords with each request, and what they open.

use refs_server::{Anonymous, Server};

use super::rig::{ask_with, authorization, basic, server};
use crate::{client::digest, direct::Answer};

async fn ask(server: &Server, line: &str, user: &str) -> Answer {
    ask_with(server, line, authorization(user).as_deref()).await
}

/// Rows of what is asked, by whom, and what comes of it. `{}` is the digest of a blob that is there.
async fn check(anonymous: Anonymous, rows: &[(&str, &str, &str)]) {
    for (line, user, expect) in rows {
        let server = server(basic(anonymous)).await;
        let line = line.replace("{}", digest("team/app").as_str());
        let answer = ask(&server, &line, user).await;
        assert_eq!(answer.summary(), *expect, "{line} of {user:?}");
        let challenge = if answer.status == 401 { "Basic realm=\"refs\"" } else { "" };
        assert_eq!(answer.header("www-authenticate"), challenge, "{line} of {user:?}");
    }
}

const UNAUTHORIZED: &str = "401 UNAUTHORIZED";
const DENIED: &str = "403 DENIED";

#[tokio::test]
async fn without_credentials_nothing_opens() {
    let rows = [
        ("GET /v2/", "", UNAUTHORIZED),
        ("GET /v2/_catalog", "", UNAUTHORIZED),
        ("GET /v2/team/app/manifests/v1", "", UNAUTHORIZED),
        ("GET /v2/team/app/tags/list", "", UNAUTHORIZED),
        ("GET /v2/team/app/referrers/{}", "", UNAUTHORIZED),
        ("GET /v2/team/app/blobs/{}", "", UNAUTHORIZED),
        ("GET /v2/absent/blobs/{}", "", UNAUTHORIZED),
        ("POST /v2/team/app/blobs/uploads/", "", UNAUTHORIZED),
        ("PATCH /v2/team/app/blobs/uploads/00000000000000000000000000000000", "", UNAUTHORIZED),
        ("DELETE /v2/team/app/manifests/v1", "", UNAUTHORIZED),
        ("GET /v2/", "admin:wrong", UNAUTHORIZED),
        ("GET /v2/", "admin:", UNAUTHORIZED),
        ("GET /v2/", "nobody", UNAUTHORIZED),
        ("GET /v2/team/app/manifests/v1", "dev:wrong", UNAUTHORIZED),
        // What no request can be is told to everyone.
        ("GET /v2/nothing", "", "404 UNKNOWN"),
        ("GET /token", "admin", "404 UNKNOWN"),
    ];
    check(Anonymous::Nothing, &rows).await;
}

#[tokio::test]
async fn a_user_does_what_the_rights_say() {
    let rows = [
        ("GET /v2/", "reader", "200"),
        ("GET /v2", "dev", "200"),
        ("GET /v2/team/app/manifests/v1", "reader", "200"),
        ("GET /v2/private/manifests/v1", "reader", "200"),
        ("GET /v2/team/app/manifests/v1", "dev", "200"),
        ("GET /v2/shared/base/manifests/v1", "dev", "200"),
        ("GET /v2/team/app/manifests/v2", "dev", "404 MANIFEST_UNKNOWN"),
        ("POST /v2/team/app/blobs/uploads/", "dev", "202"),
        ("POST /v2/team/new/blobs/uploads/", "dev", "202"),
        ("POST /v2/shared/base/blobs/uploads/", "dev", DENIED),
        ("POST /v2/team/app/blobs/uploads/", "reader", DENIED),
        ("PUT /v2/team/app/manifests/v1", "reader", DENIED),
        ("DELETE /v2/team/app/manifests/v1", "dev", DENIED),
        ("DELETE /v2/team/app/blobs/{}", "reader", DENIED),
        ("DELETE /v2/team/app/manifests/v1", "admin", "202"),
        ("POST /v2/anywhere/blobs/uploads/", "admin", "202"),
    ];
    check(Anonymous::Nothing, &rows).await;
}

#[tokio::test]
async fn what_may_not_be_read_looks_the_same_whether_it_is_there_or_not() {
    let server = server(basic(Anonymous::Nothing)).await;
    for user in ["", "dev:wrong", "dev"] {
        for what in ["manifests/v1", "manifests/v2", "tags/list", &format!("blobs/{}", digest("private"))] {
            for method in ["GET", "HEAD"] {
                let there = ask(&server, &format!("{method} /v2/private/{what}"), user).await;
                let absent = ask(&server, &format!("{method} /v2/absent/{what}"), user).await;
                assert_eq!((there.status, &there.headers, &there.body), (absent.status, &absent.headers, &absent.body));
                assert_eq!(there.status, if user == "dev" { 403 } else { 401 }, "{method} {what} of {user:?}");
            }
        }
    }
}

#[tokio::test]
async fn anybody_pulls_where_that_is_allowed() {
    let rows = [
        // Clients that are let in here without a word never say one: a login, or a push, would be impossible.
        ("GET /v2/", "", UNAUTHORIZED),
        ("GET /v2/private/manifests/v1", "", "200"),
        ("GET /v2/private/manifests/v2", "", "404 MANIFEST_UNKNOWN"),
        ("GET /v2/private/manifests/v1", "dev", "200"),
        ("GET /v2/private/manifests/v1", "dev:wrong", UNAUTHORIZED),
        ("POST /v2/private/blobs/uploads/", "", UNAUTHORIZED),
        ("POST /v2/private/blobs/uploads/", "dev", DENIED),
        ("DELETE /v2/private/manifests/v1", "", UNAUTHORIZED),
    ];
    check(Anonymous::Pull, &rows).await;
    let server = server(basic(Anonymous::Pull)).await;
    // Skopeo and Podman send an empty name with an empty password when they have none.
    assert_eq!(ask_with(&server, "GET /v2/private/manifests/v1", Some("Basic Og==")).await.status, 200);
    assert_eq!(ask_with(&server, "GET /v2/private/manifests/v1", Some("Basic !")).await.status, 401);
}

#[tokio::test]
async fn repositories_are_listed_to_those_who_may_read_them() {
    for (anonymous, user, expect) in [
        (Anonymous::Nothing, "admin", r#"["private","shared/base","team/app"]"#),
        (Anonymous::Nothing, "reader", r#"["private","shared/base","team/app"]"#),
        (Anonymous::Nothing, "dev", r#"["shared/base","team/app"]"#),
        (Anonymous::Pull, "", r#"["private","shared/base","team/app"]"#),
    ] {
        let server = server(basic(anonymous)).await;
        let answer = ask(&server, "GET /v2/_catalog", user).await;
        assert_eq!(answer.body, format!(r#"{{"repositories":{expect}}}"#), "{user}");
    }
    let server = server(basic(Anonymous::Nothing)).await;
    let page = ask(&server, "GET /v2/_catalog?n=1", "dev").await;
    assert_eq!(page.header("link"), "</v2/_catalog?n=1&last=shared/base>; rel=\"next\"");
    assert_eq!(ask(&server, "GET /v2/_catalog?n=1&last=shared/base", "dev").await.header("link"), "");
}

#[tokio::test]
async fn a_blob_is_mounted_from_where_it_may_be_read() {
    let server = server(basic(Anonymous::Nothing)).await;
    for (content, from, user, status) in [
        ("shared/base", "&from=shared/base", "dev", 201),
        ("private", "&from=private", "dev", 202),
        ("private", "&from=absent", "dev", 202),
        ("absent", "&from=private", "dev", 202),
        ("private", "", "dev", 202),
        ("shared/base", "", "dev", 201),
        ("private", "&from=private", "admin", 201),
        ("private", "&from=private", "reader", 403),
    ] {
        let line = format!("POST /v2/team/new/blobs/uploads/?mount={}{from}", digest(content));
        let answer = ask(&server, &line, user).await;
        assert_eq!(answer.status, status, "{content} {from} of {user}");
    }
}

#[tokio::test]
async fn an_upload_is_known_in_its_repository_alone() {
    let server = server(basic(Anonymous::Nothing)).await;
    let begun = ask(&server, "POST /v2/private/blobs/uploads/", "admin").await;
    let id = begun.header("docker-upload-uuid");
    for (method, repository, user, expect) in [
        ("GET", "team/app", "dev", "404 BLOB_UPLOAD_UNKNOWN"),
        ("PATCH", "team/app", "dev", "404 BLOB_UPLOAD_UNKNOWN"),
        ("DELETE", "team/app", "dev", "404 BLOB_UPLOAD_UNKNOWN"),
        ("GET", "private", "dev", DENIED),
        ("GET", "private", "", UNAUTHORIZED),
        ("GET", "private", "admin", "204"),
    ] {
        let line = format!("{method} /v2/{repository}/blobs/uploads/{id}");
        assert_eq!(ask(&server, &line, user).await.summary(), expect, "{method} {repository} of {user}");
    }
}
