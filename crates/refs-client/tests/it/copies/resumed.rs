//! Copies that broke off in a large blob, and are run again.

use std::num::NonZeroU64;

use http::Method;
use refs_client::copy::Mode;
use refs_store::{DiskOptions, DiskStore};
use refs_testkit::{Close, Fault, On, Quirks, quirks};
use tempfile::TempDir;

use super::*;

const MIB: usize = 1 << 20;
const LARGE: usize = 4 * MIB;
/// What comes of a piece that is cut.
const PART: usize = MIB / 4;
/// Neither configs nor manifests are longer.
const SMALL: u64 = 1000;
const PIECE: (&str, usize) = ("PATCH", MIB);

/// An image of one large layer at one registry, on its way to another, and the cache that all clients have.
struct Rig {
    from: FakeRegistry,
    to: FakeRegistry,
    cache: TempDir,
}

/// The requests for the large layer since the last time, with the bytes of their bodies: of the destination's sessions, and of
/// the source.
type Moved = (Vec<(String, u64)>, Vec<(Option<String>, u64)>);

impl Rig {
    async fn new() -> Self {
        let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
        let image = Image::new().layer(MediaType::OCI_LAYER, noise(LARGE, 7));
        image.push(&*from.repository("o/from"), &["v1"]).await.unwrap();
        Self { from, to, cache: tempfile::tempdir().unwrap() }
    }

    fn client(&self) -> Client {
        let store = DiskStore::new(self.cache.path().join("cache"), &DiskOptions::default());
        anonymous().with_store(Arc::new(store))
    }

    /// What a process of its own comes to.
    async fn copy_by(&self, client: &Client, mode: Mode) -> Result<Copied, Error> {
        let piece_bytes = NonZeroU64::new(MIB as u64).unwrap();
        let options = CopyOptions { piece_bytes, mode, ..CopyOptions::default() };
        client.copy(&place(&self.from, "o/from:v1"), &place(&self.to, "o/to:v1"), &options).await
    }

    /// Copies until the destination is lost in the third piece, for longer than anyone tries.
    async fn break_off(&self) {
        let cut = Fault::CutRequest { after: PART as u64, close: Close::Reset };
        self.to.fault(On::new(Method::PATCH, "/uploads/").skip(2), cut);
        self.to.fault(On::get("/uploads/").always(), Fault::Status { status: 503, headers: Vec::new() });
        let error = self.copy_by(&self.client(), Mode::Copy).await.unwrap_err();
        assert_eq!(side(&error), (Side::Destination, refs_registry::ErrorKind::Unreachable));
        assert_eq!((self.journals(), tagged(&self.to, "o/to", "v1").await), (1, None));
        self.to.clear_faults();
        self.moved();
    }

    fn moved(&self) -> Moved {
        let sent = self.to.take_requests().into_iter().filter(|seen| seen.path.contains("/uploads/"));
        let sent = sent.filter(|seen| seen.received > SMALL || seen.method == Method::GET);
        let read = self.from.take_requests().into_iter();
        let read = read.filter(|seen| seen.path.contains("/blobs/") && seen.sent > SMALL);
        (
            sent.map(|seen| (seen.method.to_string(), seen.received)).collect(),
            read.map(|seen| (seen.range, seen.sent)).collect(),
        )
    }

    /// That a copy by `client` moves this of the layer, and then all is there, and nothing to go on with.
    async fn check(&self, client: &Client, sent: &[(&str, usize)], read: (Option<&str>, usize)) {
        self.copy_by(client, Mode::Copy).await.unwrap();
        let sent = sent.iter().map(|(method, bytes)| ((*method).to_owned(), *bytes as u64)).collect();
        assert_eq!(self.moved(), (sent, vec![(read.0.map(str::to_owned), read.1 as u64)]));
        let digest = tagged(&self.to, "o/to", "v1").await.unwrap();
        let [there, here] = [self.to.repository("o/to"), self.from.repository("o/from")];
        assert!(content(&*there, &digest).await == content(&*here, &digest).await);
        assert_eq!(self.journals(), 0);
    }

    /// What a dry run says that the large layer would cost.
    async fn foreseen(&self, client: &Client) -> u64 {
        let planned = self.copy_by(client, Mode::DryRun).await.unwrap();
        let of_layer = planned.blobs.iter().find(|blob| blob.descriptor.size == LARGE as u64).unwrap().moved_bytes;
        let (sent, read) = self.moved();
        assert!(sent.iter().all(|(method, _)| method == "GET") && read.is_empty(), "{sent:?} {read:?}");
        of_layer
    }

    fn journals(&self) -> usize {
        std::fs::read_dir(self.cache.path().join("cache/uploads")).map_or(0, |left| left.count())
    }
}

#[tokio::test]
async fn a_copy_that_broke_off_in_a_blob_moves_the_rest_of_it() {
    let rig = Rig::new().await;
    rig.break_off().await;
    let rest = [("GET", 0), PIECE, ("PATCH", MIB - PART)];
    rig.check(&rig.client(), &rest, (Some("bytes=2359296-4194303"), 2 * MIB - PART)).await;
}

#[tokio::test]
async fn a_dry_run_counts_the_rest_of_a_blob_that_a_copy_broke_off_in_and_leaves_it() {
    let rig = Rig::new().await;
    assert_eq!((rig.foreseen(&rig.client()).await, rig.journals()), (LARGE as u64, 0));
    rig.break_off().await;
    let rest = 2 * MIB - PART;
    assert_eq!(rig.foreseen(&anonymous()).await, LARGE as u64);
    rig.to.fault(On::get("/uploads/"), Fault::Status { status: 404, headers: Vec::new() });
    assert_eq!(rig.foreseen(&rig.client()).await, LARGE as u64);
    assert_eq!((rig.foreseen(&rig.client()).await, rig.journals()), (rest as u64, 1));
    rig.check(&rig.client(), &[("GET", 0), PIECE, ("PATCH", MIB - PART)], (Some("bytes=2359296-4194303"), rest)).await;
}

#[tokio::test]
async fn a_copy_whose_session_has_expired_begins_the_blob_anew() {
    let rig = Rig::new().await;
    rig.break_off().await;
    rig.to.fault(On::get("/uploads/"), Fault::Status { status: 404, headers: Vec::new() });
    rig.check(&rig.client(), &[("GET", 0), PIECE, PIECE, PIECE, PIECE], (None, LARGE)).await;
}

#[tokio::test]
async fn a_blob_is_sent_as_one_where_nobody_could_go_on_with_it() {
    Rig::new().await.check(&anonymous(), &[("PUT", LARGE)], (None, LARGE)).await;
}

#[tokio::test]
async fn a_copy_in_a_registry_that_mounts_nothing_goes_on_in_a_blob_too() {
    let quirks = Quirks { mount: quirks::Mount::Session, ..Quirks::default() };
    let registry = FakeRegistry::builder().quirks(quirks).start().await;
    let image = Image::new().layer(MediaType::OCI_LAYER, noise(LARGE, 7));
    image.push(&*registry.repository("o/from"), &["v1"]).await.unwrap();
    let cache = tempfile::tempdir().unwrap();
    let copy = async || {
        let store = DiskStore::new(cache.path().join("cache"), &DiskOptions::default());
        let options = CopyOptions { piece_bytes: NonZeroU64::new(MIB as u64).unwrap(), ..CopyOptions::default() };
        let (from, to) = (place(&registry, "o/from:v1"), place(&registry, "o/to:v1"));
        anonymous().with_store(Arc::new(store)).copy(&from, &to, &options).await
    };
    registry
        .fault(On::new(Method::PATCH, "/uploads/").skip(3).always(), Fault::Status { status: 503, headers: vec![] });
    assert_eq!(side(&copy().await.unwrap_err()).0, Side::Destination);
    registry.clear_faults();
    registry.take_requests();
    copy().await.unwrap();
    // One of those that were spared may have been for the config.
    let patched = registry.take_requests().into_iter().filter(|seen| seen.method == Method::PATCH);
    let patched: u64 = patched.map(|seen| seen.received).sum();
    assert!((MIB as u64..=2 * MIB as u64 + SMALL).contains(&patched), "{patched}");
}
