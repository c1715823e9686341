//! Lists: tags, repositories, referrers.

use refs_testkit::{FakeRegistry, Image};

use crate::client::{Peer, digest, header, refusal};

async fn with_tags(peer: &Peer) {
    Image::new().push(&*peer.registry.repository("o/r"), &["a", "b", "c"]).await.unwrap();
}

#[tokio::test]
async fn tags_are_listed_page_by_page() {
    let peer = Peer::start().await;
    with_tags(&peer).await;
    let rows = [
        ("", r#"["a","b","c"]"#, ""),
        ("?n=1000", r#"["a","b","c"]"#, ""),
        ("?n=3", r#"["a","b","c"]"#, ""),
        ("?n=2", r#"["a","b"]"#, "</v2/o/r/tags/list?n=2&last=b>; rel=\"next\""),
        ("?n=1&last=a", r#"["b"]"#, "</v2/o/r/tags/list?n=1&last=b>; rel=\"next\""),
        ("?last=a", r#"["b","c"]"#, ""),
        ("?last=aa", r#"["b","c"]"#, ""),
        ("?last=c", "[]", ""),
        ("?n=0", "[]", ""),
    ];
    for (query, tags, link) in rows {
        let response = peer.send("GET", &format!("/v2/o/r/tags/list{query}")).await;
        assert_eq!(
            (header(&response, "link"), header(&response, "content-type")),
            (link, "application/json"),
            "{query}"
        );
        assert_eq!(response.text().await.unwrap(), format!(r#"{{"name":"o/r","tags":{tags}}}"#), "{query}");
    }
    assert_eq!(refusal(peer.send("GET", "/v2/o/r/tags/list?n=x").await).await, "400 PAGINATION_NUMBER_INVALID");
    assert_eq!(refusal(peer.send("GET", "/v2/o/r/tags/list?last=%20").await).await, "400 TAG_INVALID");
}

#[tokio::test]
async fn a_page_has_an_upper_bound() {
    let peer = Peer::of(FakeRegistry::builder().page(2).start().await);
    with_tags(&peer).await;
    for query in ["", "?n=1000", "?n=18446744073709551615"] {
        let response = peer.send("GET", &format!("/v2/o/r/tags/list{query}")).await;
        assert_eq!(header(&response, "link"), "</v2/o/r/tags/list?n=2&last=b>; rel=\"next\"", "{query}");
    }
}

#[tokio::test]
async fn repositories_are_listed_page_by_page() {
    let peer = Peer::start().await;
    for name in ["b/two", "a", "b/one"] {
        Image::new().push(&*peer.registry.repository(name), &["v1"]).await.unwrap();
    }
    let rows = [
        ("", r#"["a","b/one","b/two"]"#, ""),
        ("?n=2", r#"["a","b/one"]"#, "</v2/_catalog?n=2&last=b/one>; rel=\"next\""),
        ("?n=2&last=b%2Fone", r#"["b/two"]"#, ""),
        ("?last=b", r#"["b/one","b/two"]"#, ""),
    ];
    for (query, names, link) in rows {
        let response = peer.send("GET", &format!("/v2/_catalog{query}")).await;
        assert_eq!(header(&response, "link"), link, "{query}");
        assert_eq!(response.text().await.unwrap(), format!(r#"{{"repositories":{names}}}"#), "{query}");
    }
}

#[tokio::test]
async fn referrers_are_listed_and_filtered() {
    let peer = Peer::start().await;
    let repository = peer.registry.repository("o/r");
    let subject = Image::new().push(&*repository, &["v1"]).await.unwrap().descriptor;
    let artifact = Image::new().artifact_type("application/x+json").subject(&subject);
    let artifact = artifact.annotate("key", "value").manifest().unwrap();
    let put = peer.put(
        ("PUT", "/v2/o/r/manifests/signature"),
        &[("content-type", "application/vnd.oci.image.manifest.v1+json")],
        artifact.raw.clone(),
    );
    assert_eq!(header(&put.await, "oci-subject"), subject.digest.as_str());
    let path = format!("/v2/o/r/referrers/{}", subject.digest);
    for (query, count, filters) in [
        ("", 1, ""),
        ("?artifactType=application/x%2Bjson", 1, "artifactType"),
        ("?artifactType=application/absent", 0, "artifactType"),
    ] {
        let response = peer.send("GET", &format!("{path}{query}")).await;
        assert_eq!(header(&response, "oci-filters-applied"), filters);
        assert_eq!(header(&response, "content-type"), "application/vnd.oci.image.index.v1+json");
        let index: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let manifests = index["manifests"].as_array().unwrap();
        assert_eq!(manifests.len(), count, "{query}");
        for manifest in manifests {
            assert_eq!(manifest["digest"], artifact.descriptor.digest.as_str());
            assert_eq!(manifest["artifactType"], "application/x+json");
            assert_eq!(manifest["annotations"]["key"], "value");
        }
    }
    for repository in ["o/r", "o/absent"] {
        let none = peer.send("GET", &format!("/v2/{repository}/referrers/{}", digest("absent"))).await;
        assert_eq!(none.status(), 200, "{repository}");
        assert!(none.text().await.unwrap().contains(r#""manifests":[]"#));
    }
    assert_eq!(refusal(peer.send("GET", "/v2/o/r/referrers/v1").await).await, "400 DIGEST_INVALID");
}
