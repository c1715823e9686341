//! Layouts whose manifests are listed by whole references, and what is done by those names.

use std::{fs, path::PathBuf};

use refs_client::{
    Client, CopyOptions, Error, Location, LocationFault, PullOptions, PushOptions, ReadOptions, TreeOptions,
    VersionOptions,
    copy::{Mode, Outcome},
};
use refs_registry::{ErrorKind, Filter, Manifest, Sink};
use refs_store::Layout;
use refs_testkit::{Image, Tree, require_layout};
use refs_url::{Digest, Tag, Target};
use tempfile::TempDir;

use crate::setup::{anonymous, at};

/// A layout as a cache keeps one: two images of one tag, by the names of their repositories.
struct Place {
    folder: TempDir,
    images: [Manifest; 2],
}

const NAMES: [&str; 2] = ["ghcr.io/o/r", "localhost:5000/o/s"];

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path().join("lay")).await.unwrap();
        let image = |name: &str| Image::new().tree(&Tree::new().file(&name.replace("/", "-"), name.to_owned()));
        let push = async |name| image(name).push(&layout.repository(name), &["v1"]).await.unwrap();
        let images = [push(NAMES[0]).await, push(NAMES[1]).await];
        Self { folder, images }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("lay")
    }

    /// What is behind the layout's path.
    fn at(&self, rest: &str) -> Location {
        at(&format!("ocidir://{}{rest}", self.path().display()))
    }

    async fn names(&self) -> Vec<String> {
        Layout::open(self.path()).await.unwrap().names().await.unwrap()
    }

    /// What is in the folder of the layout: itself, when nothing was made by a wrong name.
    fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[track_caller]
fn missing<T: std::fmt::Debug>(result: Result<T, Error>, at: &Location) {
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Registry(error) if error.kind() == ErrorKind::NotFound), "{error:?}");
    let words = error.to_string();
    assert!(words.ends_with(&format!("not found in {}", at.to_string().trim_end_matches(":v9"))), "{words}");
}

/// The digest that each reading verb finds at `at`.
async fn seen(client: &Client, at: &Location) -> Result<Vec<Digest>, Error> {
    let target = at.target().unwrap();
    Ok(vec![
        client.resolve_tag(at).await?.digest,
        client.source(at).await?.manifest(&target).await?.descriptor.digest,
        client.source(at).await?.resolve(&target).await?.digest,
        client.tree(at, &TreeOptions::default()).await?.descriptor.digest,
        client.inspect(at, &ReadOptions::default()).await?.descriptor.digest,
        client.list_files(at, &ReadOptions::default()).await?.descriptor.digest,
    ])
}

#[tokio::test]
async fn every_verb_reads_a_manifest_by_its_name_in_a_layout() {
    let (place, client) = (Place::new().await, anonymous());
    for (name, image) in NAMES.iter().zip(&place.images) {
        let (digest, named) = (&image.descriptor.digest, place.at(&format!(":{name}:v1")));
        let seen = seen(&client, &named).await.unwrap();
        assert!(seen.iter().all(|seen| seen == digest), "{seen:?}");
        assert_eq!(client.list_tags(&named).await.unwrap(), [Tag::parse("v1").unwrap()]);
        let by_digest = named.at_digest(digest.clone());
        assert_eq!(client.blob_size(&by_digest).await.unwrap(), Some(image.raw.len() as u64));
        assert_eq!(client.read_blob(&by_digest, Vec::new()).await.unwrap(), image.raw);
        missing(client.resolve_tag(&place.at(&format!(":{name}:v9"))).await, &place.at(&format!(":{name}")));
    }
    let [subject, _] = &place.images;
    let sink = client.sink(&place.at(&format!(":{}", NAMES[0]))).await.unwrap();
    let referrer =
        Image::new().artifact_type("application/x").subject(&subject.descriptor).push(&*sink, &[]).await.unwrap();
    let source = client.source(&place.at(&format!(":{}:v1", NAMES[0]))).await.unwrap();
    let listed: Vec<_> =
        futures_util::TryStreamExt::try_collect(source.referrers(&subject.descriptor.digest, Filter::default()))
            .await
            .unwrap();
    assert_eq!(listed.iter().map(|found| &found.digest).collect::<Vec<_>>(), [&referrer.descriptor.digest]);
}

#[tokio::test]
async fn the_names_in_a_layout_are_those_that_can_be_asked_for() {
    let (place, client) = (Place::new().await, anonymous());
    let layout = Layout::open(place.path()).await.unwrap();
    for (repository, tag) in [("no name!", "v1"), ("b@c d", "v1"), ("debian", "v2")] {
        layout.repository(repository).put_manifest(&place.images[0], &[Tag::parse(tag).unwrap()]).await.unwrap();
    }
    layout.put_manifest(&place.images[1], &[Tag::parse("v3").unwrap()]).await.unwrap();
    let listed = client.list_names(&place.at("")).await.unwrap();
    assert_eq!(listed, ["debian:v2", "ghcr.io/o/r:v1", "localhost:5000/o/s:v1", "no name!:v1", "v3"]);
    for name in listed {
        client.resolve_tag(&place.at(&format!(":{name}"))).await.unwrap();
    }
    let own = place.at(":ghcr.io/o/r");
    assert_eq!(client.list_names(&own).await.unwrap(), ["v1"]);
    missing(client.list_names(&place.at(":ghcr.io/o/none")).await, &place.at(":ghcr.io/o/none"));
}

#[tokio::test]
async fn a_version_is_chosen_in_one_repository_of_a_layout() {
    let (place, client) = (Place::new().await, anonymous());
    let layout = Layout::open(place.path()).await.unwrap();
    let add = async |repository: Option<&str>, tag: &str| {
        let layout = repository.map_or_else(|| layout.clone(), |name| layout.repository(name));
        layout.put_manifest(&place.images[0], &[Tag::parse(tag).unwrap()]).await.unwrap();
    };
    for (repository, tag) in [(NAMES[0], "1.0.0"), (NAMES[1], "1.1.0"), (NAMES[1], "2.0.0"), ("debian", "3.0.0")] {
        add(Some(repository), tag).await;
    }
    let versions = async |rest: &str| {
        let versions = client.list_versions(&place.at(rest)).await.unwrap();
        versions.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(versions(":ghcr.io/o/r").await, ["1.0.0"]);
    assert_eq!(versions(":localhost:5000/o/s").await, ["2.0.0", "1.1.0"]);
    let (named, wanted, options) = (place.at(":localhost:5000/o/s"), "^1".parse().unwrap(), VersionOptions::default());
    let chosen = client.resolve_ref(&named, Some(&wanted), &options).await.unwrap();
    assert_eq!(chosen, place.at(":localhost:5000/o/s:1.1.0"));

    let all = place.at("");
    for result in [client.list_versions(&all).await.map(drop), client.resolve_ref(&all, None, &options).await.map(drop)]
    {
        let Err(Error::Location { fault: LocationFault::SeveralRepositories(names), .. }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(names, ["debian", NAMES[0], NAMES[1]]);
    }
    missing(client.list_versions(&place.at(":ghcr.io/o/none")).await, &place.at(":ghcr.io/o/none"));
    add(None, "0.1.0").await;
    assert_eq!(versions("").await, ["0.1.0"]);
}

#[tokio::test]
async fn a_layout_with_one_repository_is_that_where_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).await.unwrap();
    let here = at(&format!("ocidir://{}", folder.path().display()));
    assert!(anonymous().list_candidates(&here).await.unwrap().is_empty());
    let image = Image::new().push(&layout.repository("debian"), &["1.0.0", "12"]).await.unwrap();
    assert_eq!(anonymous().list_versions(&here).await.unwrap(), ["1.0.0"]);
    let found = anonymous().resolve_constrained(&here, None, &Default::default()).await.unwrap();
    assert_eq!(found.descriptor.digest, image.descriptor.digest);
}

#[tokio::test]
async fn tags_are_set_and_deleted_behind_a_name() {
    let (place, client) = (Place::new().await, anonymous());
    let [image, _] = &place.images;
    let named = place.at(":ghcr.io/o/r:v1");
    let set = client.set_tags(&named, &[Tag::parse("v2").unwrap()]).await.unwrap();
    assert_eq!(set.digest, image.descriptor.digest);
    assert_eq!(place.names().await, ["ghcr.io/o/r:v1", "ghcr.io/o/r:v2", "localhost:5000/o/s:v1"]);
    client.delete(&named).await.unwrap();
    assert_eq!(place.names().await, ["ghcr.io/o/r:v2", "localhost:5000/o/s:v1"]);
    client.delete(&place.at(":ghcr.io/o/r:v2").at_digest(image.descriptor.digest.clone())).await.unwrap();
    assert_eq!(place.names().await, ["localhost:5000/o/s:v1"]);
    missing(client.delete(&place.at(":ghcr.io/o/r:v2")).await, &place.at(":ghcr.io/o/r"));
    assert_eq!(place.beside(), ["lay"]);
}

#[tokio::test]
async fn what_is_written_by_a_name_into_a_layout_is_listed_so() {
    let (place, client) = (Place::new().await, anonymous());
    let source = tempfile::tempdir().unwrap();
    let tree = Tree::new().file("README.md", "new");
    tree.write(source.path()).unwrap();
    let named = place.at(":ghcr.io/o/new:v7");
    let pushed = client.push(source.path(), &named, &PushOptions::default()).await.unwrap();
    assert_eq!(client.get_digest(&named).await.unwrap(), pushed.descriptor.digest);

    let (from, to) = (place.at(":ghcr.io/o/r:v1"), place.at(":localhost:5000/copied:v1"));
    let dry = CopyOptions { mode: Mode::DryRun, ..CopyOptions::default() };
    assert_eq!(client.copy(&from, &to, &dry).await.unwrap().outcome, Outcome::Planned);
    let copied = client.copy(&from, &to, &CopyOptions::default()).await.unwrap();
    assert_eq!((copied.outcome, copied.blobs.len()), (Outcome::Copied, 0));
    assert_eq!(client.copy(&from, &to, &CopyOptions::default()).await.unwrap().outcome, Outcome::Itself);
    let names = ["ghcr.io/o/new:v7", "ghcr.io/o/r:v1", "localhost:5000/copied:v1", "localhost:5000/o/s:v1"];
    assert_eq!(place.names().await, names);
    assert_eq!(place.beside(), ["lay"]);
    require_layout(&place.path());

    let pulled = place.folder.path().join("pulled");
    client.pull(&named, &pulled, &PullOptions::default()).await.unwrap();
    assert_eq!(fs::read(pulled.join("README.md")).unwrap(), b"new");
}

#[tokio::test]
async fn a_layout_that_is_not_there_is_made_before_a_name() {
    let (folder, client) = (tempfile::tempdir().unwrap(), anonymous());
    let layout = at(&format!("ocidir://{}/lay:ghcr.io/o/r:v7", folder.path().display()));
    let sink = client.sink(&layout).await.unwrap();
    Image::new().push(&*sink, &["v7"]).await.unwrap();
    assert_eq!(Layout::open(folder.path().join("lay")).await.unwrap().names().await.unwrap(), ["ghcr.io/o/r:v7"]);
    let source = client.source(&layout).await.unwrap();
    source.resolve(&Target::Tag(Tag::parse("v7").unwrap())).await.unwrap();
}

#[tokio::test]
async fn a_path_may_hold_a_colon() {
    let (folder, client) = (tempfile::tempdir().unwrap(), anonymous());
    client.sink(&at(&format!("ocidir://{}/a:b/c:v7", folder.path().display()))).await.unwrap();
    assert!(folder.path().join("a:b/c/index.json").is_file());
}

#[tokio::test]
async fn what_no_repository_is_called_is_not_written() {
    let (place, client) = (Place::new().await, anonymous());
    for name in ["../../x/y", "a b", "h.io/a:5000/b", "h.io/A"] {
        let at = place.at(&format!(":{name}:v1"));
        let error = client.sink(&at).await.map(drop).unwrap_err();
        assert!(error.to_string().ends_with(&format!("names `{name}` in a layout, which is no HOST/REPO")), "{error}");
    }
    assert_eq!(place.beside(), ["lay"]);
}
