//! The list of referrers that clients keep under a tag.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use refs_registry::{
    Clock, Descriptor, Error, ErrorKind, Filter, Manifest, MediaType, Options, ReferrersAt, Registries, Result, Sink,
    Source,
    auth::{Anonymous, Chain},
    error::Fault,
    spec::{Document, ImageManifest, Index},
};
use refs_url::{Digest, Target};
use tokio::sync::Barrier;

use crate::{
    peer::{Peer, Reply, Request},
    setup::{DEADLINES, anonymous, at, repository},
};

/// Whether a registry heeds `If-Match` and `If-None-Match`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Conditions {
    Ignored,
    Honoured,
    Refused,
    /// They are never met.
    Failed,
}

type Held = Arc<Mutex<HashMap<String, (String, Vec<u8>)>>>;

/// A registry that keeps manifests in `held`, and no lists of referrers.
async fn listless(held: Held, conditions: Conditions) -> Peer {
    Peer::start(move |request| answer(&mut held.lock().unwrap(), conditions, request)).await
}

fn answer(held: &mut HashMap<String, (String, Vec<u8>)>, conditions: Conditions, request: &Request) -> Reply {
    let Some(target) = request.target.strip_prefix("/v2/a/b/manifests/") else { return Reply::status(404) };
    let etag = held.get(target).map(|(_, raw)| format!("\"{}\"", Digest::sha256(raw)));
    match request.method.as_str() {
        "PUT" if conditions == Conditions::Refused && is_conditional(request) => Reply::status(400),
        "PUT" if conditions == Conditions::Failed && is_conditional(request) => Reply::status(412),
        "PUT" if conditions == Conditions::Honoured && !is_met(request, etag.as_deref()) => Reply::status(412),
        "PUT" => {
            let media_type = request.header("content-type").unwrap().to_owned();
            held.insert(target.to_owned(), (media_type, request.body.clone()));
            Reply::status(201)
        }
        "DELETE" => Reply::status(if held.remove(target).is_some() { 202 } else { 404 }),
        _ => match (held.get(target), etag) {
            (Some((media_type, raw)), Some(etag)) => {
                let reply = Reply::ok(raw.clone()).header("content-type", media_type);
                if conditions == Conditions::Ignored { reply } else { reply.header("etag", etag) }
            }
            _ => Reply::status(404),
        },
    }
}

fn is_conditional(request: &Request) -> bool {
    request.header("if-match").or_else(|| request.header("if-none-match")).is_some()
}

fn is_met(request: &Request, etag: Option<&str>) -> bool {
    let is_absent_where_wanted = request.header("if-none-match") != Some("*") || etag.is_none();
    is_absent_where_wanted && request.header("if-match").is_none_or(|wanted| Some(wanted) == etag)
}

fn subject() -> Descriptor {
    Descriptor::of(MediaType::OCI_MANIFEST, b"subject")
}

fn image(subject: Option<Descriptor>, note: &str) -> Manifest {
    Manifest::image(&ImageManifest {
        schema_version: 2,
        media_type: Some(MediaType::OCI_MANIFEST),
        artifact_type: None,
        config: Descriptor::of(MediaType::new("application/vnd.example.kind"), b"{}"),
        layers: Vec::new(),
        subject,
        annotations: BTreeMap::from([("note".to_owned(), note.to_owned())]),
        extra: BTreeMap::new(),
    })
    .unwrap()
}

fn referrer(note: &str) -> Manifest {
    image(Some(subject()), note)
}

/// How the list has to show `referrer(note)`.
fn listed(note: &str) -> Descriptor {
    Descriptor {
        artifact_type: Some(MediaType::new("application/vnd.example.kind")),
        annotations: BTreeMap::from([("note".to_owned(), note.to_owned())]),
        ..referrer(note).descriptor
    }
}

fn index(manifests: Vec<Descriptor>) -> Index {
    Index {
        schema_version: 2,
        media_type: Some(MediaType::OCI_INDEX),
        artifact_type: None,
        manifests,
        subject: None,
        annotations: BTreeMap::from([("kept".to_owned(), "yes".to_owned())]),
        extra: BTreeMap::new(),
    }
}

fn hold(held: &Held, target: &str, manifest: &Manifest) {
    let media_type = manifest.descriptor.media_type.to_string();
    held.lock().unwrap().insert(target.to_owned(), (media_type, manifest.raw.to_vec()));
}

fn tag() -> String {
    subject().digest.referrers_tag().to_string()
}

/// The list under the tag, as it is.
fn list(held: &Held) -> Index {
    let (media_type, raw) = held.lock().unwrap().get(&tag()).unwrap().clone();
    let manifest = Manifest::new(MediaType::new(&media_type), raw.into());
    match manifest.parse().unwrap() {
        Document::Index(index) => *index,
        Document::Image(image) => panic!("{image:?}"),
    }
}

fn notes(held: &Held) -> Vec<String> {
    let mut notes: Vec<_> = list(held).manifests.iter().map(|listed| listed.annotations["note"].clone()).collect();
    notes.sort();
    notes
}

#[tokio::test]
async fn a_manifest_that_the_registry_does_not_list_is_listed_under_the_tag() {
    let held = Held::default();
    let peer = listless(held.clone(), Conditions::Ignored).await;
    let repository = repository(&anonymous(), &peer);
    let stored = repository.put_manifest(&referrer("one"), &[]).await.unwrap();
    assert_eq!(stored.subject, Some(subject().digest));
    assert_eq!(list(&held).manifests, [listed("one")]);
    let (put, get) = (format!("PUT /v2/a/b/manifests/{}", stored.digest), format!("GET /v2/a/b/manifests/{}", tag()));
    let put_list = get.replace("GET", "PUT");
    assert_eq!(peer.lines(), [&*put, &get, &put_list, &get]);
    let again = repository.put_manifest(&referrer("one"), &[]).await.unwrap();
    assert_eq!(again, stored);
    assert_eq!(peer.lines()[4..], [&*put, &get]);

    repository.put_manifest(&referrer("other"), &[]).await.unwrap();
    let found: Vec<_> =
        repository.referrers(&subject().digest, Filter::default()).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(found, [listed("one"), listed("other")]);
}

#[tokio::test]
async fn a_list_keeps_what_else_is_in_it() {
    let held = Held::default();
    let old = Descriptor { annotations: BTreeMap::new(), ..listed("one") };
    let stranger = Descriptor::of(MediaType::OCI_MANIFEST, b"stranger");
    hold(&held, &tag(), &Manifest::index(&index(vec![old, stranger.clone()])).unwrap());
    let peer = listless(held.clone(), Conditions::Ignored).await;
    repository(&anonymous(), &peer).put_manifest(&referrer("one"), &[]).await.unwrap();
    assert_eq!(list(&held), index(vec![stranger, listed("one")]));
}

#[tokio::test]
async fn a_tag_that_leads_to_an_image_is_left_alone() {
    let held = Held::default();
    let image = image(None, "an image");
    hold(&held, &tag(), &image);
    let peer = listless(held.clone(), Conditions::Ignored).await;
    let error = repository(&anonymous(), &peer).put_manifest(&referrer("one"), &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().ends_with("its tag leads to an image"), "{error}");
    assert_eq!(held.lock().unwrap()[&tag()].1, image.raw);
}

#[tokio::test]
async fn a_registry_that_lists_by_itself_is_left_to_it() {
    let peer = Peer::start(|request| match request.method.as_str() {
        "PUT" => Reply::status(201).header("oci-subject", subject().digest.as_str()),
        "DELETE" => Reply::status(202),
        _ => Reply::status(500),
    })
    .await;
    let repository = repository(&anonymous(), &peer);
    let stored = repository.put_manifest(&referrer("one"), &[]).await.unwrap();
    assert_eq!(stored.subject, Some(subject().digest));
    repository.delete_manifest(&at(&stored.digest)).await.unwrap();
    assert_eq!(peer.seen().len(), 2);
}

/// olareg gives `null` where nothing refers to a manifest: it keeps lists all the same.
#[tokio::test]
async fn a_list_that_is_null_is_an_empty_list_of_the_registrys_own() {
    for manifests in ["null", "[]"] {
        let peer = Peer::start(move |request| {
            let body = format!(r#"{{"schemaVersion":2,"manifests":{manifests}}}"#);
            let is_list = request.target.contains("/referrers/");
            if is_list {
                Reply::ok(body).header("content-type", MediaType::OCI_INDEX.as_str())
            } else {
                Reply::status(404)
            }
        })
        .await;
        let registries = anonymous();
        let subject = Digest::sha256(b"s");
        let listed: Vec<_> =
            repository(&registries, &peer).referrers(&subject, Filter::default()).try_collect().await.unwrap();
        assert_eq!(listed, [], "{manifests}");
        assert_eq!(registries.registry(&peer.host).unwrap().quirks().referrers, ReferrersAt::Api);
    }
}

/// What a list that is answered with `body`, announced as `media_type`, has; under the tag there is nothing.
async fn answered(media_type: Option<&'static str>, body: &str) -> (Result<Vec<Descriptor>>, ReferrersAt) {
    let body = body.to_owned();
    let peer = Peer::start(move |request| match (request.target.contains("/referrers/"), media_type) {
        (true, Some(media_type)) => Reply::ok(body.clone()).header("content-type", media_type),
        (true, None) => Reply::ok(body.clone()),
        _ => Reply::status(404),
    })
    .await;
    let registries = anonymous();
    let listed = repository(&registries, &peer).referrers(&subject().digest, Filter::default()).try_collect().await;
    (listed, registries.registry(&peer.host).unwrap().quirks().referrers)
}

const INDEX: Option<&str> = Some("application/vnd.oci.image.index.v1+json");
const JSON: Option<&str> = Some("application/json; charset=utf-8");

#[tokio::test]
async fn a_list_that_is_broken_is_an_error_and_not_the_absence_of_one() {
    let cut = r#"{"schemaVersion":2,"manifests":["#;
    for media_type in [INDEX, JSON, None] {
        for body in [cut, r#"{"manifests":7}"#, r#"{"errors":[]}"#, "<html>login", ""] {
            let (listed, at) = answered(media_type, body).await;
            let error = listed.unwrap_err();
            assert!(
                matches!(error, Error::Protocol { fault: Fault::BadBody(_), .. }),
                "{media_type:?} {body}: {error:?}"
            );
            assert_eq!(at, ReferrersAt::Unknown, "{media_type:?} {body}");
        }
    }
    for body in [cut, "<html>"] {
        let (listed, at) = answered(Some("text/html"), body).await;
        assert_eq!((listed.unwrap(), at), (Vec::new(), ReferrersAt::Tag), "{body}");
    }
}

#[tokio::test]
async fn an_entry_that_is_no_descriptor_does_not_take_the_others_along() {
    let good = serde_json::to_string(&listed("one")).unwrap();
    let kind = MediaType::OCI_MANIFEST;
    let unknown = format!(r#"{{"mediaType":"{kind}","digest":"nope","size":1}}"#);
    let unsized_ = format!(r#"{{"mediaType":"{kind}","digest":"{}"}}"#, subject().digest);
    for bad in [&*unknown, &*unsized_, r#"{"digest":7}"#, "{}", "null", "7", "[]"] {
        for media_type in [INDEX, JSON] {
            let (found, at) = answered(media_type, &format!(r#"{{"manifests":[{bad},{good}]}}"#)).await;
            assert_eq!((found.unwrap(), at), (vec![listed("one")], ReferrersAt::Api), "{bad}");
        }
    }
}

#[tokio::test]
async fn a_deleted_manifest_is_taken_out_of_the_list() {
    for conditions in [Conditions::Ignored, Conditions::Honoured, Conditions::Refused, Conditions::Failed] {
        let held = Held::default();
        let peer = listless(held.clone(), conditions).await;
        let repository = repository(&anonymous(), &peer);
        for note in ["one", "other"] {
            repository.put_manifest(&referrer(note), &[]).await.unwrap();
        }
        repository.delete_manifest(&at(&referrer("one").descriptor.digest)).await.unwrap();
        assert_eq!(list(&held).manifests, [listed("other")], "{conditions:?}");
        repository.delete_manifest(&at(&referrer("other").descriptor.digest)).await.unwrap();
        assert_eq!(list(&held).manifests, []);
        let absent = repository.delete_manifest(&at(&referrer("other").descriptor.digest)).await.unwrap_err();
        assert_eq!(absent.kind(), ErrorKind::NotFound);
    }
}

/// A clock by which all writers have written before the first of them looks again: the waits are as long as that takes.
#[derive(Debug)]
struct Meeting {
    all: Arc<Barrier>,
    has_met: AtomicBool,
}

#[async_trait]
impl Clock for Meeting {
    fn now(&self) -> Instant {
        Instant::now()
    }

    async fn sleep(&self, wait: Duration) {
        if wait == DEADLINES.headers || wait == DEADLINES.idle {
            return std::future::pending().await;
        }
        if !self.has_met.swap(true, Ordering::AcqRel) {
            self.all.wait().await;
        }
    }
}

/// A process of its own, which shares nothing with others.
fn process(all: &Arc<Barrier>) -> Registries {
    let clock = Arc::new(Meeting { all: all.clone(), has_met: AtomicBool::new(false) });
    let credentials = Arc::new(Chain::new(vec![Arc::new(Anonymous)]));
    Registries::new(Options { clock, timeouts: DEADLINES, credentials, ..Options::default() })
}

#[tokio::test]
async fn two_writers_lose_nothing_whether_the_registry_heeds_conditions_or_not() {
    for conditions in [Conditions::Ignored, Conditions::Honoured, Conditions::Refused] {
        let (held, all) = (Held::default(), Arc::new(Barrier::new(2)));
        let mut first_reads = 2;
        let store = held.clone();
        let peer = Peer::start(move |request| {
            // Each of the two reads before the other writes.
            if request.is(&format!("GET /v2/a/b/manifests/{}", tag())) && first_reads > 0 {
                first_reads -= 1;
                return Reply::status(404);
            }
            answer(&mut store.lock().unwrap(), conditions, request)
        })
        .await;
        let write = async |note: &str| -> Result<()> {
            repository(&process(&all), &peer).put_manifest(&referrer(note), &[]).await.map(drop)
        };
        tokio::try_join!(write("one"), write("other")).unwrap();
        assert_eq!(notes(&held), ["one", "other"], "{conditions:?}");
        let lists = peer.lines().iter().filter(|line| **line == format!("PUT /v2/a/b/manifests/{}", tag())).count();
        assert!(lists >= 3, "{lists} writes cannot have met");
    }
}

#[tokio::test]
async fn writers_of_one_process_take_turns() {
    let held = Held::default();
    let peer = listless(held.clone(), Conditions::Ignored).await;
    let repository = repository(&anonymous(), &peer);
    let all: Vec<String> = (10..30).map(|n| n.to_string()).collect();
    let manifests: Vec<Manifest> = all.iter().map(|note| referrer(note)).collect();
    let puts = manifests.iter().map(|manifest| repository.put_manifest(manifest, &[]));
    futures_util::future::try_join_all(puts).await.unwrap();
    assert_eq!(notes(&held), all);
    let lists = peer.lines().iter().filter(|line| **line == format!("PUT /v2/a/b/manifests/{}", tag())).count();
    assert_eq!(lists, 20);
}

#[tokio::test]
async fn a_list_that_others_overwrite_each_time_is_given_up() {
    let mut reads = 0;
    let peer = Peer::start(move |request| match (request.method.as_str(), request.target.ends_with(&tag())) {
        ("PUT", _) => Reply::status(201),
        (_, true) => {
            reads += 1;
            let others = Descriptor::of(MediaType::OCI_MANIFEST, format!("{reads}").as_bytes());
            let manifest = Manifest::index(&index(vec![others])).unwrap();
            Reply::ok(manifest.raw).header("content-type", manifest.descriptor.media_type.as_str())
        }
        _ => Reply::status(404),
    })
    .await;
    let error = repository(&anonymous(), &peer).put_manifest(&referrer("one"), &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(peer.seen().len(), 1 + 2 * 16);
}

#[tokio::test]
async fn a_subject_by_sha512_has_a_tag_of_a_tags_length() {
    let held = Held::default();
    let peer = listless(held.clone(), Conditions::Ignored).await;
    let digest = Digest::parse(&format!("sha512:{}", "ab".repeat(64))).unwrap();
    let subject = Descriptor::new(MediaType::OCI_MANIFEST, digest.clone(), 7);
    repository(&anonymous(), &peer).put_manifest(&image(Some(subject), "long"), &[]).await.unwrap();
    let tag = format!("sha512-{}", "ab".repeat(32));
    assert!(held.lock().unwrap().contains_key(&tag));
    assert_eq!(Target::Tag(digest.referrers_tag()).to_string(), tag);
}
