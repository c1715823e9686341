//! How far a cache is believed about tags, and what it gives when nobody can be asked.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;
use refs_registry::{Clock, Error, ErrorKind, Filter, Manifest, Resolver, Result, Resume, Source, Wire, error::Lost};
use refs_store::{CachedOptions, CachedResolver, Freshness, TagChange, TagRecord};
use refs_url::{Host, RepoName, Tag, Target};

use crate::{
    content::{digest, fails, push, put, put_manifest, read, read_part, referrers, tag, tagged, tags},
    place::{Place, get, registries},
};

crate::place::facts! {
    a_young_record_of_a_tag_asks_for_nothing
    a_record_from_the_future_is_not_believed
    what_a_record_leads_to_is_asked_for_when_it_is_not_kept
    what_a_tag_was_resolved_to_is_remembered_for_those_who_believe_it
    a_refresh_reads_nothing_that_is_kept_and_keeps_what_comes
    a_refresh_keeps_a_blob_that_was_there
    offline_gives_what_is_kept
    offline_names_what_is_missing
    offline_lists_the_tags_whose_manifests_are_kept
    a_tag_that_is_gone_leads_nowhere_for_those_who_are_offline
    a_move_to_what_is_not_kept_is_noted_beside_what_is
    a_record_says_when_the_origin_was_last_asked
    m145_offline_gives_nothing_that_another_repository_brought
}

/// A clock that stands where it is put.
#[derive(Debug)]
struct Calendar(Mutex<SystemTime>);

#[async_trait]
impl Clock for Calendar {
    fn now(&self) -> Instant {
        panic!("only the date counts")
    }

    async fn sleep(&self, _wait: Duration) {
        panic!("nobody waits")
    }

    fn date(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// Ways to read one place, on some date.
struct Readers<'p> {
    place: &'p Place,
    calendar: Arc<Calendar>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl<'p> Readers<'p> {
    fn of(place: &'p Place) -> Self {
        Self { place, calendar: Arc::new(Calendar(Mutex::new(SystemTime::UNIX_EPOCH + 1000 * MINUTE))) }
    }

    fn with(&self, freshness: Freshness) -> Arc<dyn Source> {
        let options = CachedOptions { freshness, clock: self.calendar.clone(), ..CachedOptions::default() };
        let resolver = CachedResolver::with_options(Arc::new(registries()), self.place.store.clone(), options);
        resolver.source(&self.place.registry.host(), &"o/r".parse().unwrap()).unwrap()
    }

    fn set(&self, minute: u32) {
        *self.calendar.0.lock().unwrap() = SystemTime::UNIX_EPOCH + minute * MINUTE;
    }
}

/// Knows that the wire is open, and is to be asked for nothing else.
#[derive(Debug)]
struct Unasked;

#[async_trait]
impl Resolver for Unasked {
    fn source(&self, host: &Host, repository: &RepoName) -> Result<Arc<dyn Source>> {
        panic!("{host}/{repository} was opened")
    }

    fn repositories(&self, host: &Host) -> BoxStream<'_, Result<RepoName>> {
        panic!("the repositories of {host} were asked for")
    }

    fn wire(&self, _host: &Host) -> Wire {
        Wire::Open
    }

    async fn check_auth(&self, host: &Host) -> Result<()> {
        panic!("{host} was asked")
    }
}

fn offline(place: &Place) -> CachedResolver {
    CachedResolver::offline(Arc::new(Unasked), place.store.clone())
}

/// The repository `name`, as it is read offline.
fn kept(place: &Place, name: &str) -> Arc<dyn Source> {
    offline(place).source(&place.registry.host(), &name.parse().unwrap()).unwrap()
}

async fn a_young_record_of_a_tag_asks_for_nothing(place: Place) -> Result<()> {
    let old = push(&*place.repository(), "one", &["v1"]).await?;
    let readers = Readers::of(&place);
    let young = || readers.with(Freshness::Within(5 * MINUTE));
    assert_eq!(young().manifest(&tagged("v1")).await?, old);
    place.asked(&["GET manifests/v1"]);
    let new = push(&*place.repository(), "two", &["v1"]).await?;
    readers.set(1004);
    assert_eq!(young().manifest(&tagged("v1")).await?, old);
    assert_eq!(young().resolve(&tagged("v1")).await?, old.descriptor);
    place.asked(&[]);
    readers.set(1005);
    assert_eq!(young().manifest(&tagged("v1")).await?, new);
    place.asked(&["HEAD manifests/v1", "GET manifests/v1"]);
    readers.set(1009);
    assert_eq!(young().manifest(&tagged("v1")).await?, new);
    place.asked(&[]);
    assert_eq!(readers.with(Freshness::Revalidate).manifest(&tagged("v1")).await?, new);
    place.asked(&["HEAD manifests/v1"]);
    Ok(())
}

async fn a_record_from_the_future_is_not_believed(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let readers = Readers::of(&place);
    readers.with(Freshness::Revalidate).manifest(&tagged("v1")).await?;
    place.asked(&["GET manifests/v1"]);
    readers.set(999);
    assert_eq!(readers.with(Freshness::Within(5 * MINUTE)).manifest(&tagged("v1")).await?, manifest);
    place.asked(&["HEAD manifests/v1"]);
    Ok(())
}

async fn what_a_record_leads_to_is_asked_for_when_it_is_not_kept(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let readers = Readers::of(&place);
    let young = readers.with(Freshness::Within(5 * MINUTE));
    young.manifest(&tagged("v1")).await?;
    place.store.remove(&place.origin("o/r"), &manifest.descriptor.digest).await?;
    assert_eq!(young.manifest(&tagged("v1")).await?, manifest);
    place.asked(&["GET manifests/v1", "GET manifests/v1"]);
    Ok(())
}

async fn what_a_tag_was_resolved_to_is_remembered_for_those_who_believe_it(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let readers = Readers::of(&place);
    for _ in 0..2 {
        assert_eq!(readers.with(Freshness::Revalidate).resolve(&tagged("v1")).await?, manifest.descriptor);
        place.asked(&["HEAD manifests/v1"]);
    }
    assert_eq!(readers.with(Freshness::Within(MINUTE)).resolve(&tagged("v1")).await?, manifest.descriptor);
    assert_eq!(kept(&place, "o/r").resolve(&tagged("v1")).await?, manifest.descriptor);
    place.asked(&[]);
    fails(kept(&place, "o/r").manifest(&tagged("v1")).await, ErrorKind::NotCached);
    Ok(())
}

async fn a_refresh_reads_nothing_that_is_kept_and_keeps_what_comes(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let by_digest = Target::Digest(manifest.descriptor.digest.clone());
    let readers = Readers::of(&place);
    for _ in 0..2 {
        let refreshing = readers.with(Freshness::Refresh);
        assert_eq!(refreshing.manifest(&tagged("v1")).await?, manifest);
        assert_eq!(refreshing.manifest(&by_digest).await?, manifest);
        assert_eq!(read(&*refreshing, &digest("one")).await?, "one");
        assert_eq!(read_part(&*refreshing, &digest("one"), 1..3).await?, "ne");
        let get_digest = format!("GET manifests/{by_digest}");
        place.asked(&["GET manifests/v1", &get_digest, &get("one"), &get("one")]);
    }
    assert_eq!(kept(&place, "o/r").manifest(&tagged("v1")).await?, manifest);
    assert_eq!(read(&*kept(&place, "o/r"), &digest("one")).await?, "one");
    Ok(())
}

async fn a_refresh_keeps_a_blob_that_was_there(place: Place) -> Result<()> {
    put(&*place.repository(), "one").await?;
    let (name, options) =
        ("o/r".parse().unwrap(), CachedOptions { freshness: Freshness::Refresh, ..Default::default() });
    for _ in 0..2 {
        let source = registries().source(&place.registry.host(), &name)?;
        let store = place.store.clone();
        let cached = refs_store::Cached::with_options(source, place.origin("o/r"), store, &options);
        assert_eq!(cached.keep(&crate::content::blob("one")).await?, refs_store::Kept::Now);
        place.asked(&[&get("one")]);
    }
    Ok(())
}

async fn offline_gives_what_is_kept(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "0123456789", &["v1"]).await?;
    let online = place.cached("o/r");
    online.manifest(&tagged("v1")).await?;
    read(&*online, &digest("0123456789")).await?;
    place.registry.take_requests();

    let offline = kept(&place, "o/r");
    let by_digest = Target::Digest(manifest.descriptor.digest.clone());
    for target in [&tagged("v1"), &by_digest] {
        assert_eq!(offline.manifest(target).await?, manifest);
        assert_eq!(offline.resolve(target).await?, manifest.descriptor);
    }
    assert_eq!(read(&*offline, &digest("0123456789")).await?, "0123456789");
    assert_eq!(read_part(&*offline, &digest("0123456789"), 3..7).await?, "3456");
    assert_eq!(offline.stat_blob(&digest("0123456789")).await?, Some(10));
    place.asked(&[]);
    Ok(())
}

async fn offline_names_what_is_missing(place: Place) -> Result<()> {
    let nothing = Manifest::image(&crate::content::image("absent"))?;
    let (offline, host, blob) = (kept(&place, "o/r"), place.registry.host(), digest("absent"));
    let by_digest = Target::Digest(nothing.descriptor.digest);
    let told = |error: Error| error.to_string();
    assert_eq!(
        told(fails(offline.manifest(&tagged("v1")).await, ErrorKind::NotCached)),
        format!("manifest `v1` of {host}/o/r is not in the cache")
    );
    let errors = [
        fails(offline.manifest(&by_digest).await, ErrorKind::NotCached),
        fails(offline.resolve(&by_digest).await, ErrorKind::NotCached),
        fails(offline.blob(&blob, Resume::START).await, ErrorKind::NotCached),
        fails(offline.blob_part(&blob, 0..1).await, ErrorKind::NotCached),
        fails(offline.stat_blob(&blob).await, ErrorKind::NotCached),
        fails(referrers(&*offline, &blob, None).await, ErrorKind::NotCached),
    ];
    for error in errors {
        assert!(told(error).ends_with(&format!(" of {host}/o/r is not in the cache")));
    }
    let resolver = self::offline(&place);
    fails(resolver.repositories(&host).try_collect::<Vec<_>>().await, ErrorKind::NotCached);
    fails(resolver.check_auth(&host).await, ErrorKind::NotCached);
    place.asked(&[]);
    Ok(())
}

async fn offline_lists_the_tags_whose_manifests_are_kept(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "one", &["v1", "v2", "v3"]).await?;
    push(&*place.repository(), "two", &["v4", "v5"]).await?;
    let online = place.cached("o/r");
    for name in ["v3", "v1", "v4"] {
        online.manifest(&tagged(name)).await?;
    }
    assert_eq!(tags(&*kept(&place, "o/r"), None).await?, ["v1", "v3", "v4"]);
    assert_eq!(tags(&*kept(&place, "o/r"), Some("v1")).await?, ["v3", "v4"]);
    assert_eq!(tags(&*kept(&place, "o/r"), Some("v4")).await?, [""; 0]);
    fails(tags(&*kept(&place, "o/s"), None).await, ErrorKind::NotCached);
    place.store.remove(&place.origin("o/r"), &manifest.descriptor.digest).await?;
    assert_eq!(tags(&*kept(&place, "o/r"), None).await?, ["v4"]);
    let recorded: Vec<Tag> = place.store.recorded_tags(&place.origin("o/r")).await?;
    assert_eq!(recorded, ["v1", "v3", "v4"].map(tag));
    Ok(())
}

async fn a_tag_that_is_gone_leads_nowhere_for_those_who_are_offline(place: Place) -> Result<()> {
    let readers = Readers::of(&place);
    let manifest = push(&*place.repository(), "one", &["v1", "v2"]).await?;
    let was = manifest.descriptor.digest.clone();
    let ways = [Freshness::Revalidate, Freshness::Within(MINUTE), Freshness::Refresh];
    let asks = ways.into_iter().flat_map(|freshness| [(freshness, "resolve"), (freshness, "manifest")]);
    for (hour, (freshness, ask)) in (20..).zip(asks) {
        readers.set(hour * 60);
        push(&*place.repository(), "one", &["v1", "v2"]).await?;
        for name in ["v1", "v2"] {
            readers.with(Freshness::Refresh).manifest(&tagged(name)).await?;
        }
        assert_eq!(kept(&place, "o/r").manifest(&tagged("v1")).await?, manifest);
        place.repository().delete_manifest(&tagged("v1")).await?;
        readers.set(hour * 60 + 30);
        let reader = readers.with(freshness);
        let missing = match ask {
            "resolve" => reader.resolve(&tagged("v1")).await.map(drop),
            _ => reader.manifest(&tagged("v1")).await.map(drop),
        };
        fails(missing, ErrorKind::NotFound);

        let seen = SystemTime::UNIX_EPOCH + (hour * 60 + 30) * MINUTE;
        let offline = kept(&place, "o/r");
        for missing in [offline.manifest(&tagged("v1")).await.map(drop), offline.resolve(&tagged("v1")).await.map(drop)]
        {
            match fails(missing, ErrorKind::NotCached) {
                Error::NotCached { lost, .. } => assert_eq!(lost, Some(Lost::Gone { seen, was: was.clone() })),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(tags(&*offline, None).await?, ["v2"]);
        assert_eq!(offline.manifest(&Target::Digest(was.clone())).await?, manifest);
    }
    Ok(())
}

async fn a_move_to_what_is_not_kept_is_noted_beside_what_is(place: Place) -> Result<()> {
    let readers = Readers::of(&place);
    let old = push(&*place.repository(), "one", &["v1"]).await?;
    readers.with(Freshness::Revalidate).manifest(&tagged("v1")).await?;
    let new = push(&*place.repository(), "two", &["v1"]).await?;
    readers.set(1001);
    assert_eq!(readers.with(Freshness::Revalidate).resolve(&tagged("v1")).await?, new.descriptor);
    assert_eq!(kept(&place, "o/r").manifest(&tagged("v1")).await?, old);
    let record = place.store.recorded(&place.origin("o/r"), &tag("v1")).await?.unwrap();
    let seen = SystemTime::UNIX_EPOCH + 1001 * MINUTE;
    let moved = TagChange::Moved { to: Box::new(new.descriptor.clone()), seen };
    assert_eq!(record, TagRecord { since: Some(moved), ..TagRecord::new(old.descriptor, seen - MINUTE) });
    // Whoever believes the origin's last word for a while is given that.
    place.registry.take_requests();
    assert_eq!(readers.with(Freshness::Within(MINUTE)).resolve(&tagged("v1")).await?, new.descriptor);
    place.asked(&[]);

    place.cached("o/r").manifest(&Target::Digest(new.descriptor.digest.clone())).await?;
    assert_eq!(kept(&place, "o/r").resolve(&tagged("v1")).await?, new.descriptor);
    assert_eq!(kept(&place, "o/r").manifest(&tagged("v1")).await?, new);
    Ok(())
}

async fn a_record_says_when_the_origin_was_last_asked(place: Place) -> Result<()> {
    let readers = Readers::of(&place);
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    let check = async |minute: u32| -> Result<()> {
        let seen = SystemTime::UNIX_EPOCH + minute * MINUTE;
        let record = place.store.recorded(&place.origin("o/r"), &tag("v1")).await?;
        assert_eq!(record, Some(TagRecord::new(manifest.descriptor.clone(), seen)));
        Ok(())
    };
    readers.with(Freshness::Revalidate).manifest(&tagged("v1")).await?;
    check(1000).await?;
    readers.set(1001);
    readers.with(Freshness::Revalidate).resolve(&tagged("v1")).await?;
    check(1001).await
}

async fn m145_offline_gives_nothing_that_another_repository_brought(place: Place) -> Result<()> {
    let manifest = push(&*place.repository(), "one", &["v1"]).await?;
    put_manifest(&*place.repository(), &manifest, &["v2"]).await?;
    let online = place.cached("o/r");
    online.manifest(&tagged("v1")).await?;
    read(&*online, &digest("one")).await?;
    let other = kept(&place, "o/other");
    fails(other.manifest(&tagged("v1")).await, ErrorKind::NotCached);
    fails(other.manifest(&Target::Digest(manifest.descriptor.digest)).await, ErrorKind::NotCached);
    fails(other.blob(&digest("one"), Resume::START).await, ErrorKind::NotCached);
    fails(other.blob_part(&digest("one"), 0..1).await, ErrorKind::NotCached);
    fails(tags(&*other, None).await, ErrorKind::NotCached);
    fails(other.referrers(&digest("one"), Filter::default()).try_collect::<Vec<_>>().await, ErrorKind::NotCached);
    Ok(())
}
