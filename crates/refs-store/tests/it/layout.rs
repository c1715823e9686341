//! What layouts on disk promise beyond the suite.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use refs_registry::{
    Descriptor, ErrorKind, Manifest, MediaType, Mounted, Resolver, Result, Resume, Sink, Source, Writable,
};
use refs_store::{Layout, Layouts};
use refs_url::{Digest, Host, RepoName, Target};
use tempfile::TempDir;

use crate::content::{blob, digest, drain, fails, image, index, push, put, read, tag, tagged, tags};

mod alone {
    use super::{Arc, Layout, Sink, TempDir};

    async fn store() -> (Arc<dyn Sink>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Arc::new(Layout::create(folder.path()).await.unwrap()), folder)
    }

    crate::suite::facts!(store);
}

mod among_others {
    use super::{Arc, Host, Layouts, Sink, TempDir, Writable, name};

    async fn store() -> (Arc<dyn Sink>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::parse("localhost:5000").unwrap();
        (Layouts::new(folder.path().join("root")).sink(&host, &name("org/repo")).unwrap(), folder)
    }

    crate::suite::facts!(store);
}

fn name(text: &str) -> RepoName {
    RepoName::parse(text).unwrap()
}

pub(crate) async fn layout() -> Result<(Layout, TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    Ok((Layout::create(folder.path()).await?, folder))
}

fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    root.join("blobs").join(digest.algorithm_str()).join(digest.encoded())
}

pub(crate) fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_new_layout_is_one_that_any_tool_reads() -> Result<()> {
    let (layout, folder) = layout().await?;
    assert_eq!(fs::read_to_string(folder.path().join("oci-layout")).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let manifest = push(&layout, "one", &["v1"]).await?;
    let json = fs::read(folder.path().join("index.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let entry = serde_json::json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest.descriptor.digest,
        "size": manifest.descriptor.size,
        "annotations": {"org.opencontainers.image.ref.name": "v1"},
    });
    let index = "application/vnd.oci.image.index.v1+json";
    assert_eq!(json, serde_json::json!({"schemaVersion": 2, "mediaType": index, "manifests": [entry]}));
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(blob_path(folder.path(), &digest("one"))), 0o444);
    assert_eq!(mode(folder.path().join("index.json")), 0o644);
    assert!(files_in(&folder.path().join("ingest")).is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_no_layout_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fails(Layout::open(root.join("absent")).await, ErrorKind::NotFound);
    fails(Layout::open(root).await, ErrorKind::NotFound);
    fs::write(root.join("file"), "").unwrap();
    fails(Layout::open(root.join("file")).await, ErrorKind::NotFound);
    fs::remove_file(root.join("file")).unwrap();
    for version in ["", "{}", r#"{"imageLayoutVersion":"2.0.0"}"#] {
        fs::write(root.join("oci-layout"), version).unwrap();
        fails(Layout::open(root).await, ErrorKind::Corrupt);
    }
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fails(Layout::open(root).await, ErrorKind::Corrupt);
    assert_eq!(files_in(root), ["oci-layout"]);
}

#[tokio::test]
async fn a_layout_is_not_made_among_other_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.txt"), "").unwrap();
    fails(Layout::create(folder.path()).await, ErrorKind::Io);
    assert_eq!(files_in(folder.path()), ["thesis.txt"]);
}

#[tokio::test]
async fn reading_writes_nothing() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::write(root.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).unwrap();
    let layout = Layout::open(root).await?;
    assert!(tags(&layout, None).await?.is_empty());
    fails(layout.resolve(&tagged("v1")).await, ErrorKind::NotFound);
    assert_eq!(layout.stat_blob(&digest("one")).await?, None);
    assert_eq!(files_in(root), ["index.json", "oci-layout"]);

    let layouts = Layouts::new(root.join("shelf"));
    let repository = layouts.repository(&name("org/repo"));
    fails(tags(&repository, None).await, ErrorKind::NotFound);
    fails(read(&repository, &digest("one")).await, ErrorKind::NotFound);
    fails(repository.delete_manifest(&tagged("v1")).await, ErrorKind::NotFound);
    fails(repository.delete_blob(&digest("one")).await, ErrorKind::NotFound);
    assert!(!root.join("shelf").exists());
    Ok(())
}

#[tokio::test]
async fn content_outlives_the_process() -> Result<()> {
    let (layout, folder) = layout().await?;
    let manifest = push(&layout, "one", &["v1"]).await?;
    drop(layout);
    let again = Layout::open(folder.path()).await?;
    assert_eq!(again.manifest(&tagged("v1")).await?, manifest);
    assert_eq!(read(&again, &digest("one")).await?, "one");
    Ok(())
}

/// Puts something else in the place of a stored blob, and reads it.
async fn read_damaged(damage: impl FnOnce(&Path)) -> refs_registry::Error {
    let (layout, folder) = layout().await.unwrap();
    put(&layout, "content").await.unwrap();
    let path = blob_path(folder.path(), &digest("content"));
    fs::remove_file(&path).unwrap();
    damage(&path);
    read(&layout, &digest("content")).await.unwrap_err()
}

#[tokio::test]
async fn a_damaged_blob_is_never_read_as_good() {
    let written = |bytes: &'static str| move |path: &Path| fs::write(path, bytes).unwrap();
    assert_eq!(read_damaged(written("cOntent")).await.kind(), ErrorKind::Digest);
    assert_eq!(read_damaged(written("conten")).await.kind(), ErrorKind::Digest);
    assert_eq!(read_damaged(written("contents")).await.kind(), ErrorKind::Digest);
    assert_eq!(read_damaged(written("")).await.kind(), ErrorKind::Digest);
    assert_eq!(read_damaged(|path| fs::create_dir(path).unwrap()).await.kind(), ErrorKind::Corrupt);
    assert_eq!(read_damaged(|path| symlink("/etc/hostname", path).unwrap()).await.kind(), ErrorKind::Corrupt);
    assert_eq!(read_damaged(|_| ()).await.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_blob_cut_while_it_is_read_is_corrupt() -> Result<()> {
    let (layout, folder) = layout().await?;
    put(&layout, "content").await?;
    let blob = layout.blob(&digest("content"), Resume::START).await?;
    let part = layout.blob_part(&digest("content"), 2..7).await?;
    let path = blob_path(folder.path(), &digest("content"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(3).unwrap();
    fails(drain(blob.stream).await, ErrorKind::Corrupt);
    fails(drain(part.stream).await, ErrorKind::Corrupt);
    Ok(())
}

#[tokio::test]
async fn a_damaged_manifest_is_never_read_as_good() -> Result<()> {
    let (layout, folder) = layout().await?;
    let good = push(&layout, "one", &["v1"]).await?;
    let path = blob_path(folder.path(), &good.descriptor.digest);
    fs::remove_file(&path).unwrap();
    fails(layout.manifest(&tagged("v1")).await, ErrorKind::NotFound);
    fails(layout.resolve(&Target::Digest(good.descriptor.digest.clone())).await, ErrorKind::NotFound);
    let mut bytes = good.raw.to_vec();
    *bytes.last_mut().unwrap() = b' ';
    fs::write(&path, bytes).unwrap();
    fails(layout.manifest(&tagged("v1")).await, ErrorKind::Digest);
    fails(crate::content::referrers(&layout, &digest("one"), None).await, ErrorKind::Digest);
    fs::write(&path, vec![b' '; 5 * 1024 * 1024]).unwrap();
    fails(layout.manifest(&tagged("v1")).await, ErrorKind::Size);
    push(&layout, "one", &["v1"]).await?;
    assert_eq!(layout.manifest(&tagged("v1")).await?, good);
    Ok(())
}

#[tokio::test]
async fn a_half_written_index_is_corrupt_and_left_alone() -> Result<()> {
    let (layout, folder) = layout().await?;
    push(&layout, "one", &["v1"]).await?;
    let path = folder.path().join("index.json");
    let json = fs::read(&path).unwrap();
    for cut in [0, 1, json.len() / 2, json.len() - 1] {
        fs::write(&path, &json[..cut]).unwrap();
        fails(layout.resolve(&tagged("v1")).await, ErrorKind::Corrupt);
        fails(tags(&layout, None).await, ErrorKind::Corrupt);
        fails(push(&layout, "two", &["v2"]).await, ErrorKind::Corrupt);
        fails(Layout::open(folder.path()).await, ErrorKind::Corrupt);
        fails(Layout::create(folder.path()).await, ErrorKind::Corrupt);
        assert_eq!(fs::read(&path).unwrap(), json[..cut]);
    }
    fs::write(&path, &json).unwrap();
    assert_eq!(tags(&layout, None).await?, ["v1"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_through_two_handles_lose_nothing() -> Result<()> {
    let (first, folder) = layout().await?;
    put(&first, "{}").await?;
    let second = Layout::open(folder.path()).await?;
    let writers: Vec<_> = (10..30)
        .map(|number| {
            let layout = if number % 2 == 0 { first.clone() } else { second.clone() };
            tokio::spawn(async move { push(&layout, &number.to_string(), &[&format!("v{number}")]).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap()?;
    }
    assert_eq!(tags(&first, None).await?, (10..30).map(|number| format!("v{number}")).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_makers_of_one_layout_agree() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let makers: Vec<_> = (10..20)
        .map(|number| {
            let path = folder.path().join("layout");
            tokio::spawn(async move { push(&Layout::create(path).await?, "one", &[&format!("v{number}")]).await })
        })
        .collect();
    for maker in makers {
        maker.await.unwrap()?;
    }
    assert_eq!(tags(&Layout::open(folder.path().join("layout")).await?, None).await?.len(), 10);
    Ok(())
}

#[tokio::test]
async fn manifests_of_an_index_that_another_tool_wrote_are_found() -> Result<()> {
    let (layout, folder) = layout().await?;
    let child = Manifest::image(&image("one"))?;
    layout.put_blob(&child.descriptor, child.raw.clone().into()).await?;
    let parent = Manifest::index(&index(vec![child.descriptor.clone()]))?;
    layout.put_manifest(&parent, &[tag("v1")]).await?;
    let by_digest = Target::Digest(child.descriptor.digest.clone());
    assert_eq!(layout.manifest(&by_digest).await?, child);
    layout.delete_manifest(&by_digest).await?;
    fails(layout.manifest(&by_digest).await, ErrorKind::NotFound);

    put(&layout, "no manifest").await?;
    fails(layout.manifest(&Target::Digest(digest("no manifest"))).await, ErrorKind::NotFound);
    fails(layout.delete_manifest(&Target::Digest(digest("no manifest"))).await, ErrorKind::NotFound);
    fails(layout.delete_blob(&parent.descriptor.digest).await, ErrorKind::Conflict);
    assert!(blob_path(folder.path(), &parent.descriptor.digest).exists());
    Ok(())
}

#[tokio::test]
async fn a_digest_that_no_file_can_be_named_by_is_absent() -> Result<()> {
    let (layout, _folder) = layout().await?;
    let digest = Digest::parse(&format!("other:{}", "a".repeat(10_000))).unwrap();
    assert_eq!(layout.stat_blob(&digest).await?, None);
    fails(layout.blob(&digest, Resume::START).await, ErrorKind::NotFound);
    Ok(())
}

#[tokio::test]
async fn a_mounted_blob_shares_its_file_and_outlives_its_source() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layouts = Layouts::new(folder.path());
    let (from, to) = (layouts.repository(&name("from")), layouts.repository(&name("org/to")));
    put(&from, "one").await?;
    for _ in 0..2 {
        assert!(matches!(to.mount(&digest("one"), &name("from")).await?, Mounted::Mounted));
    }
    let inode = |layout: &Layout| fs::metadata(blob_path(layout.path(), &digest("one"))).unwrap().ino();
    assert_eq!(inode(&from), inode(&to));
    from.delete_blob(&digest("one")).await?;
    assert_eq!(read(&to, &digest("one")).await?, "one");

    let Mounted::Upload(mut upload) = to.mount(&digest("two"), &name("absent")).await? else { panic!() };
    upload.write(Bytes::from("two")).await?;
    upload.commit(&digest("two")).await?;
    assert!(!folder.path().join("absent").exists());
    Ok(())
}

#[tokio::test]
async fn repositories_are_found_at_any_depth() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layouts = Layouts::new(folder.path().join("root"));
    let host = Host::parse("any.io").unwrap();
    let names = async || -> Result<Vec<String>> {
        layouts.repositories(&host).map_ok(|name| name.to_string()).try_collect().await
    };
    assert!(names().await?.is_empty());
    for repository in ["org/repo", "org", "a/b/c/d", "org/repo/deeper"] {
        layouts.repository(&name(repository)).put_blob(&blob("one"), Bytes::from("one").into()).await?;
    }
    fs::create_dir_all(folder.path().join("root/Upper/_layout")).unwrap();
    fs::create_dir_all(folder.path().join("root/empty/_layout")).unwrap();
    fs::write(folder.path().join("root/file"), "").unwrap();
    symlink("/", folder.path().join("root/link")).unwrap();
    assert_eq!(names().await?, ["a/b/c/d", "org", "org/repo", "org/repo/deeper"]);
    Ok(())
}

#[tokio::test]
async fn a_repository_is_one_as_long_as_something_is_in_it() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layouts = Layouts::new(folder.path());
    let repository = layouts.repository(&name("org/repo"));
    let host = Host::parse("any.io").unwrap();
    let is_listed = async || layouts.repositories(&host).try_collect::<Vec<_>>().await.map(|names| !names.is_empty());
    let mut upload = repository.upload(None).await?;
    upload.write(Bytes::from("one")).await?;
    assert!(is_listed().await? && tags(&repository, None).await?.is_empty());
    fails(upload.commit(&digest("two")).await, ErrorKind::Digest);
    assert!(!is_listed().await?);
    fails(tags(&repository, None).await, ErrorKind::NotFound);
    put(&repository, "one").await?;
    assert!(is_listed().await? && tags(&repository, None).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn two_programs_entries_live_side_by_side() -> Result<()> {
    let (layout, folder) = layout().await?;
    let manifest = push(&layout, "one", &[]).await?;
    let mut entry = Descriptor::of(MediaType::OCI_MANIFEST, &manifest.raw);
    let name = ("org.opencontainers.image.ref.name".to_owned(), "ghcr.io/org/repo:v1".to_owned());
    entry.annotations.extend([name]);
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry], "theirs": true});
    fs::write(folder.path().join("index.json"), index.to_string()).unwrap();
    assert_eq!(layout.manifest(&tagged("v1")).await?, manifest);
    push(&layout, "two", &["v2"]).await?;
    assert_eq!(tags(&layout, None).await?, ["v1", "v2"]);
    let json = fs::read_to_string(folder.path().join("index.json")).unwrap();
    assert!(json.contains(r#""theirs":true"#) && json.contains("ghcr.io/org/repo:v1"), "{json}");
    Ok(())
}

#[tokio::test]
async fn a_layout_is_told_from_any_other_folder() -> Result<()> {
    let (_layout, folder) = layout().await?;
    assert!(Layout::is_at(folder.path()));
    for none in ["blobs", "index.json", "none"] {
        assert!(!Layout::is_at(&folder.path().join(none)), "{none}");
    }
    Ok(())
}
