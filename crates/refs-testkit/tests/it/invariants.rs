//! The checker of layouts finds each flaw, and none where there is none.

use std::{fs, path::Path};

use refs_registry::{MediaType, Result, Sink};
use refs_store::Layout;
use refs_testkit::{
    Image, Tree,
    image::push_index,
    invariants::{Flaw, check_layout, require_layout},
};
use refs_url::{Digest, Tag};

/// A layout with an image, and with an index of it.
async fn layout(root: &Path) -> Result<Layout> {
    let layout = Layout::create(root.join("layout")).await?;
    let image = Image::new().tree(&Tree::parse(r#"644 a.txt "a""#));
    image.push(&layout, &["v1"]).await?;
    push_index(&layout, &[(refs_registry::Platform::new("linux", "amd64"), image)], &["all"]).await?;
    Ok(layout)
}

async fn check(harm: impl FnOnce(&Path), expect: impl Fn(&Flaw) -> bool) -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(folder.path()).await?;
    require_layout(layout.path());
    harm(layout.path());
    let flaws = check_layout(layout.path()).unwrap();
    assert!(flaws.iter().any(expect), "{flaws:?}");
    Ok(())
}

/// The path of a blob with these bytes.
fn blob(root: &Path, bytes: &[u8]) -> std::path::PathBuf {
    root.join("blobs/sha256").join(Digest::sha256(bytes).encoded())
}

/// Any blob of the layout that `which` picks by its bytes.
fn find(root: &Path, which: &str) -> std::path::PathBuf {
    let listed = fs::read_dir(root.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let has = |path: &std::path::PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).contains(which);
    listed.into_iter().find(has).unwrap()
}

fn overwrite(path: &Path, bytes: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn damage_is_found() -> Result<()> {
    check(|root| overwrite(&find(root, "diff_ids"), "junk"), |flaw| matches!(flaw, Flaw::Damaged(_))).await?;
    check(|root| fs::remove_file(find(root, "diff_ids")).unwrap(), |flaw| matches!(flaw, Flaw::Missing { .. })).await?;
    check(|root| fs::create_dir(blob(root, b"folder")).unwrap(), |flaw| matches!(flaw, Flaw::NotBlob(_))).await?;
    check(|root| fs::write(root.join("blobs/sha256/x"), "").unwrap(), |flaw| matches!(flaw, Flaw::NotBlob(_))).await?;
    check(|root| fs::write(root.join("index.json"), "{").unwrap(), |flaw| matches!(flaw, Flaw::Unreadable(_))).await?;
    check(|root| fs::remove_file(root.join("oci-layout")).unwrap(), |flaw| matches!(flaw, Flaw::Unreadable(_))).await
}

#[tokio::test]
async fn a_symbolic_link_is_no_blob() -> Result<()> {
    let to_itself = |root: &Path| std::os::unix::fs::symlink(find(root, "diff_ids"), blob(root, b"link")).unwrap();
    check(to_itself, |flaw| matches!(flaw, Flaw::NotBlob(_))).await
}

#[tokio::test]
async fn a_name_that_is_listed_twice_is_found() -> Result<()> {
    let twice = |root: &Path| {
        let path = root.join("index.json");
        let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let entries = index["manifests"].as_array_mut().unwrap();
        entries.extend(entries.clone());
        fs::write(path, index.to_string()).unwrap();
    };
    check(twice, |flaw| *flaw == Flaw::Twice("v1".to_owned())).await
}

#[tokio::test]
async fn what_is_left_of_writing_is_found() -> Result<()> {
    let leave = |root: &Path| fs::write(root.join("ingest/upload-x"), "").unwrap();
    check(leave, |flaw| matches!(flaw, Flaw::Temporary(_))).await?;
    let begin = |root: &Path| {
        let (partials, whole) = (root.join("origins/secured/a.io/o/r/_partials/sha256"), find(root, "diff_ids"));
        fs::create_dir_all(&partials).unwrap();
        fs::write(partials.join(format!("{}-9", whole.file_name().unwrap().display())), "").unwrap();
    };
    check(begin, |flaw| matches!(flaw, Flaw::Temporary(_))).await
}

#[tokio::test]
async fn a_lock_that_is_held_is_found() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = layout(folder.path()).await?;
    let lock = layout.path().join("lock");
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    assert_eq!(check_layout(layout.path()).unwrap(), [Flaw::Locked(lock)]);
    drop(held);
    require_layout(layout.path());
    Ok(())
}

#[tokio::test]
async fn an_index_may_be_sparse() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path().join("layout")).await?;
    let elsewhere = refs_registry::Descriptor::of(MediaType::OCI_MANIFEST, b"elsewhere");
    layout.put_manifest(&refs_testkit::image::index(vec![elsewhere])?, &[Tag::latest()]).await?;
    require_layout(layout.path());
    Ok(())
}
