//! Names in layouts, each of which is a repository.

use std::sync::Arc;

use refs_registry::{ErrorKind, Result, Sink, Source};
use refs_store::Layout;
use refs_url::Target;
use tempfile::TempDir;

use crate::content::{fails, push, tag, tagged, tags};

mod by_a_name {
    use super::{Arc, Layout, Sink, TempDir};

    async fn store() -> (Arc<dyn Sink>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(Layout::create(folder.path()).await.unwrap().repository("ghcr.io/o/r")), folder)
    }

    crate::suite::facts!(store);
}

#[tokio::test]
async fn a_name_in_a_layout_is_a_repository_of_its_own() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).await?;
    let [one, other] = ["ghcr.io/o/r", "localhost:5000/r"].map(|name| layout.repository(name));
    let (first, second) = (push(&one, "one", &["v1", "v2"]).await?, push(&other, "two", &["v1"]).await?);
    let plain = push(&layout, "plain", &["v1"]).await?;
    let names = ["ghcr.io/o/r:v1", "ghcr.io/o/r:v2", "localhost:5000/r:v1", "v1"];
    assert_eq!(layout.names().await?, names);
    for repository in [&one, &layout] {
        assert_eq!(tags(repository, None).await?, ["v1", "v2"]);
    }
    assert_eq!(one.names().await?, ["v1", "v2"]);
    for (place, manifest) in [(&one, &first), (&other, &second), (&layout, &plain)] {
        assert_eq!(place.resolve(&tagged("v1")).await?.digest, manifest.descriptor.digest);
    }
    let unknown = layout.repository("ghcr.io/o");
    fails(unknown.resolve(&tagged("v1")).await, ErrorKind::NotFound);
    fails(unknown.names().await, ErrorKind::NotFound);
    let error = fails(other.resolve(&tagged("v2")).await, ErrorKind::NotFound).to_string();
    assert!(
        error.ends_with(&format!(" not found in ocidir://{}:localhost:5000/r", layout.path().display())),
        "{error}"
    );

    other.put_manifest(&first, &[tag("v2")]).await?;
    one.delete_manifest(&tagged("v2")).await?;
    assert_eq!(layout.names().await?, ["ghcr.io/o/r:v1", "localhost:5000/r:v1", "localhost:5000/r:v2", "v1"]);
    let digest = Target::Digest(first.descriptor.digest.clone());
    one.delete_manifest(&digest).await?;
    assert_eq!(layout.names().await?, ["localhost:5000/r:v1", "localhost:5000/r:v2", "v1"]);
    fails(one.delete_manifest(&digest).await, ErrorKind::NotFound);
    assert_eq!(other.manifest(&tagged("v2")).await?.raw, first.raw);
    other.delete_manifest(&digest).await?;
    fails(layout.manifest(&digest).await, ErrorKind::NotFound);
    assert_eq!(layout.names().await?, ["localhost:5000/r:v1", "v1"]);
    Ok(())
}
