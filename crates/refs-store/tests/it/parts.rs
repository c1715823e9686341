//! One request for all who want the same part of a blob at a time.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::join_all};
use refs_registry::{ByteStream, ErrorKind, Resolver, Result, Source};
use refs_store::{Cached, DiskOptions, DiskStore, FetchedBy, Fetches, MemoryStore, Store};
use refs_url::{Digest, RepoName};

use crate::{
    content::{digest, fails, put, read, read_part, text},
    place::{Place, facts, get},
    slow::{Slow, down},
    store::{fill_part, here, origin},
};

facts! {
    fifty_readers_of_one_part_are_one_request
    m145_a_part_on_its_way_to_one_repository_is_not_given_for_another
    parts_of_another_size_are_dropped_when_the_origin_tells_of_it
    whole_content_takes_the_place_of_parts_that_disagree
}

/// Stores of either kind.
fn stores() -> [(Arc<dyn Store>, Option<tempfile::TempDir>); 2] {
    let folder = tempfile::tempdir().unwrap();
    let disk = DiskStore::new(folder.path().join("cache"), &DiskOptions::default());
    [(Arc::new(MemoryStore::new()), None), (Arc::new(disk), Some(folder))]
}

async fn begin(cached: &Cached, range: Range<u64>) -> Result<ByteStream> {
    Ok(cached.fetched_part(&blob(), range).await?.part.stream)
}

async fn next(stream: &mut ByteStream) -> Result<Option<Bytes>> {
    stream.next().await.transpose()
}

fn blob() -> Digest {
    digest("0123456789")
}

/// Runs what can run.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn fifty_readers_of_one_part_are_one_request(place: Place) -> Result<()> {
    let content = "0123456789".repeat(100_000);
    put(&*place.repository(), &content).await?;
    let resolver = place.resolver();
    let readers: Vec<_> = (0..50)
        .map(|_| resolver.source(&place.registry.host(), &RepoName::parse("o/r").unwrap()))
        .collect::<Result<_>>()?;
    let digest = digest(&content);
    for read in join_all(readers.iter().map(|reader| read_part(&**reader, &digest, 900_000..1_000_000))).await {
        assert_eq!(read?, content[900_000..]);
    }
    place.asked(&[&get(&content)]);
    Ok(())
}

#[tokio::test]
async fn readers_in_other_processes_wait_for_the_part_that_one_of_them_fetches() -> Result<()> {
    let place = Place::on_disk().await;
    let content = "0123456789".repeat(100_000);
    put(&*place.repository(), &content).await?;
    let readers: Vec<_> = (0..50).map(|_| place.cached_in("o/r", place.opened_again())).collect();
    let digest = digest(&content);
    for read in join_all(readers.iter().map(|reader| read_part(&**reader, &digest, 900_000..1_000_000))).await {
        assert_eq!(read?, content[900_000..]);
    }
    place.asked(&[&get(&content)]);
    Ok(())
}

#[tokio::test]
async fn who_joins_late_is_given_all_from_the_first_byte_as_it_comes() -> Result<()> {
    for (store, _folder) in stores() {
        let (slow, fetches) = (Slow::of(10), Fetches::default());
        slow.admit();
        let first = slow.cached(&store, &fetches).fetched_part(&blob(), 2..8).await?;
        let mut one = first.part.stream;
        slow.feed("23");
        assert_eq!(next(&mut one).await?.unwrap(), "23");
        let second = slow.cached(&store, &fetches).fetched_part(&blob(), 2..8).await?;
        assert_eq!((first.by, second.by), (FetchedBy::Itself, FetchedBy::Another));
        assert_eq!((second.part.range, second.part.total), (2..8, 10));
        let mut two = second.part.stream;
        assert_eq!(next(&mut two).await?.unwrap(), "23");
        assert!(two.next().now_or_never().is_none());
        // Whoever polled last need not be the one who is there when something comes.
        slow.feed("4567");
        assert_eq!(text(one).await?, "4567");
        assert_eq!(text(two).await?, "4567");
        assert_eq!(slow.asked(), ["2..8"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_part_goes_on_when_the_reader_leaves_who_began_it() -> Result<()> {
    for (store, _folder) in stores() {
        let (slow, fetches) = (Slow::of(10), Fetches::default());
        slow.admit();
        let mut leaving = begin(&slow.cached(&store, &fetches), 0..10).await?;
        let staying = begin(&slow.cached(&store, &fetches), 0..10).await?;
        slow.feed("01234");
        assert_eq!(next(&mut leaving).await?.unwrap(), "01234");
        let staying = tokio::spawn(text(staying));
        settle().await;
        // It is the one that what comes would be told to.
        assert!(leaving.next().now_or_never().is_none());
        drop(leaving);
        slow.feed("56789");
        assert_eq!(staying.await.unwrap()?, "0123456789");
        assert_eq!(slow.asked(), ["0..10"]);
        let again = slow.cached(&store, &fetches);
        assert_eq!(read_part(&again, &blob(), 0..10).await?, "0123456789");
        assert_eq!(slow.asked(), ["0..10"], "it is kept");
    }
    Ok(())
}

#[tokio::test]
async fn another_asks_when_the_reader_leaves_before_there_is_an_answer() -> Result<()> {
    for (store, _folder) in stores() {
        let (slow, fetches) = (Slow::of(10), Fetches::default());
        let ask = || {
            let cached = slow.cached(&store, &fetches);
            tokio::spawn(async move { text(begin(&cached, 0..10).await?).await })
        };
        let leaving = ask();
        while slow.asked().is_empty() {
            tokio::task::yield_now().await;
        }
        let staying = [ask(), ask()];
        settle().await;
        leaving.abort();
        assert!(leaving.await.unwrap_err().is_cancelled());
        while slow.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
        slow.admit();
        slow.answered(1).await;
        slow.feed("0123456789");
        for read in staying {
            assert_eq!(read.await.unwrap()?, "0123456789");
        }
        assert_eq!(slow.asked(), ["0..10", "0..10"]);
    }
    Ok(())
}

#[tokio::test]
async fn another_leads_on_at_the_byte_where_the_one_who_led_was_cut() -> Result<()> {
    for (store, _folder) in stores() {
        let (slow, fetches) = (Slow::of(10), Fetches::default());
        slow.admit();
        let mut one = begin(&slow.cached(&store, &fetches), 0..10).await?;
        let two = begin(&slow.cached(&store, &fetches), 0..10).await?;
        let three = begin(&slow.cached(&store, &fetches), 0..10).await?;
        slow.feed("01234");
        assert_eq!(next(&mut one).await?.unwrap(), "01234");
        slow.cut();
        fails(next(&mut one).await, ErrorKind::NotFound);
        slow.admit();
        let (two, three) = (tokio::spawn(text(two)), tokio::spawn(text(three)));
        slow.answered(2).await;
        slow.feed("56789");
        assert_eq!((two.await.unwrap()?, three.await.unwrap()?), ("0123456789".to_owned(), "0123456789".to_owned()));
        assert_eq!(slow.asked(), ["0..10", "5..10"]);
        assert_eq!(read_part(&slow.cached(&store, &fetches), &blob(), 0..10).await?, "0123456789");
        assert_eq!(slow.asked().len(), 2, "it is kept");
    }
    Ok(())
}

#[tokio::test]
async fn the_rest_of_a_blob_of_another_size_is_no_rest() -> Result<()> {
    for (store, _folder) in stores() {
        let (slow, fetches) = (Slow::of(10), Fetches::default());
        slow.admit();
        let mut one = begin(&slow.cached(&store, &fetches), 0..10).await?;
        let mut two = begin(&slow.cached(&store, &fetches), 0..10).await?;
        slow.feed("01234");
        assert_eq!(next(&mut one).await?.unwrap(), "01234");
        assert_eq!(next(&mut two).await?.unwrap(), "01234");
        slow.cut();
        slow.resize(11);
        slow.admit();
        fails(next(&mut two).await, ErrorKind::Size);
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_fails_is_told_to_all_who_wait_and_the_next_one_asks_anew() -> Result<()> {
    let (store, fetches): (Arc<dyn Store>, _) = (Arc::new(MemoryStore::new()), Fetches::default());
    let slow = Slow::of(10);
    let cached: Vec<_> = (0..5).map(|_| slow.cached(&store, &fetches)).collect();
    let reads = join_all(cached.iter().map(|cached| begin(cached, 0..10)));
    let answer = async {
        settle().await;
        slow.answer(Err(down()));
    };
    for read in tokio::join!(reads, answer).0 {
        fails(read, ErrorKind::NotFound);
    }
    assert_eq!(slow.asked(), ["0..10"]);
    slow.admit();
    let mut again = begin(&cached[0], 0..10).await?;
    slow.feed("0123456789");
    assert_eq!(next(&mut again).await?.unwrap(), "0123456789");
    Ok(())
}

/// Reads much of a part before another does who was there from the beginning, and before a third one begins to.
async fn check_far_behind(store: &Arc<dyn Store>, requests: usize) -> Result<()> {
    let piece = "0123456789abcdef".repeat(8 << 10);
    let bytes = 8 * piece.len() as u64;
    let (slow, fetches) = (Slow::of(bytes), Fetches::default());
    (0..requests).for_each(|_| slow.admit());
    let mut fast = begin(&slow.cached(store, &fetches), 0..bytes).await?;
    let behind = begin(&slow.cached(store, &fetches), 0..bytes).await?;
    for _ in 0..7 {
        slow.feed_to(0, &piece);
        assert_eq!(next(&mut fast).await?.unwrap(), piece);
    }
    let late = begin(&slow.cached(store, &fetches), 0..bytes).await?;
    slow.feed_to(0, &piece);
    assert_eq!(next(&mut fast).await?.unwrap(), piece);
    let feeding = async {
        for n in 1..requests {
            slow.answered(n + 1).await;
            (0..8).for_each(|_| slow.feed_to(n, &piece));
        }
    };
    let ((), behind, late) = tokio::join!(feeding, text(behind), text(late));
    assert!(behind? == piece.repeat(8) && late? == piece.repeat(8));
    assert_eq!(slow.asked(), vec![format!("0..{bytes}"); requests]);
    Ok(())
}

#[tokio::test]
async fn who_is_far_behind_reads_what_the_disk_was_given_and_alone_where_that_is_nothing() -> Result<()> {
    let [(_, _), (disk, _folder)] = stores();
    check_far_behind(&disk, 1).await?;
    let nothing_fits: Arc<dyn Store> = Arc::new(MemoryStore::bounded(1));
    check_far_behind(&nothing_fits, 3).await
}

#[tokio::test]
async fn whoever_found_fault_with_what_came_joins_nothing_that_began_before() -> Result<()> {
    for (store, _folder) in stores() {
        let (slow, fetches) = (Slow::of(10), Fetches::default());
        let (one, two) = (slow.cached(&store, &fetches), slow.cached(&store, &fetches));
        slow.admit();
        let mut wrong = begin(&one, 0..10).await?;
        slow.feed("xxxxx");
        assert_eq!(next(&mut wrong).await?.unwrap(), "xxxxx");
        let _goes_on = begin(&two, 0..10).await?;
        one.distrust().await;
        slow.admit();
        let mut anew = begin(&one, 0..10).await?;
        slow.feed("0123456789");
        assert_eq!(next(&mut anew).await?.unwrap(), "0123456789");
    }
    Ok(())
}

async fn m145_a_part_on_its_way_to_one_repository_is_not_given_for_another(place: Place) -> Result<()> {
    let (slow, fetches, other) = (Slow::of(10), Fetches::default(), Slow::of(3));
    slow.admit();
    let mut private = begin(&slow.cached(&place.store, &fetches), 0..10).await?;
    slow.feed("01234");
    assert_eq!(next(&mut private).await?.unwrap(), "01234");
    other.answer(Err(down()));
    let evil = Cached::new(Arc::clone(&other) as _, origin("a.io", "evil"), Arc::clone(&place.store)).sharing(&fetches);
    fails(begin(&evil, 0..10).await, ErrorKind::NotFound);
    slow.feed("56789");
    assert_eq!(text(private).await?, "56789");
    other.answer(Err(down()));
    fails(begin(&evil, 0..10).await, ErrorKind::NotFound);
    Ok(())
}

async fn parts_of_another_size_are_dropped_when_the_origin_tells_of_it(place: Place) -> Result<()> {
    let (slow, fetches) = (Slow::of(10), Fetches::default());
    let read = async |range: Range<u64>, piece: &str| {
        slow.admit();
        let stream = begin(&slow.cached(&place.store, &fetches), range).await?;
        slow.feed(piece);
        text(stream).await
    };
    assert_eq!(read(6..10, "6789").await?, "6789");
    slow.resize(12);
    // Neither of these is kept before the answer is.
    let cached = slow.cached(&place.store, &fetches);
    slow.admit();
    let broken_off = begin(&cached, 0..4).await?;
    fails(place.store.part(&origin("a.io", "o/r"), &blob(), 6..10).await, ErrorKind::NotCached);
    drop(broken_off);
    assert_eq!(read(8..12, "89ab").await?, "89ab");
    assert_eq!(place.store.part(&origin("a.io", "o/r"), &blob(), 8..12).await?.total, 12);
    // Two that come at a time do not stay together.
    let fill = async |range: Range<u64>, total: u64| {
        let mut fill = place.store.fill_part(&origin("a.io", "o/r"), &blob(), range, total).await?.unwrap();
        fill.write(Bytes::from("wxyz")).await?;
        Ok::<_, refs_registry::Error>(fill)
    };
    let (mut ten, mut twelve) = (fill(0..4, 10).await?, fill(2..6, 12).await?);
    twelve.commit().await?;
    assert_eq!(place.store.part(&origin("a.io", "o/r"), &blob(), 8..12).await?.total, 12);
    ten.commit().await?;
    assert_eq!(place.store.part(&origin("a.io", "o/r"), &blob(), 0..4).await?.total, 10);
    for range in [2..6, 8..12] {
        fails(place.store.part(&origin("a.io", "o/r"), &blob(), range).await, ErrorKind::NotCached);
    }
    Ok(())
}

async fn whole_content_takes_the_place_of_parts_that_disagree(place: Place) -> Result<()> {
    put(&*place.repository(), "0123456789").await?;
    let here = place.origin("o/r");
    for (range, total, wrong) in [(0..4, 10, "xxxx"), (0..4, 12, "yyyy")] {
        let mut fill = place.store.fill_part(&here, &blob(), range, total).await?.unwrap();
        fill.write(Bytes::from(wrong)).await?;
        fill.commit().await?;
        place.store.add_member(&here, &blob()).await?;
        assert_eq!(read_part(&*place.cached("o/r"), &blob(), 0..4).await?, wrong, "nothing vouches for a part");
        assert_eq!(read(&*place.cached("o/r"), &blob()).await?, "0123456789");
        assert_eq!(read_part(&*place.cached("o/r"), &blob(), 0..4).await?, "0123");
        // The whole may go, and what it has shown to be wrong does not come back.
        place.store.remove(&place.origin("other"), &blob()).await?;
        fails(place.store.part(&here, &blob(), 0..4).await, ErrorKind::NotCached);
    }
    Ok(())
}

#[tokio::test]
async fn a_blob_has_so_many_parts_and_no_more() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::new(folder.path().join("cache"), &DiskOptions::default());
    let content = "x".repeat(2_000);
    for at in 0..1024 {
        fill_part(&store, &content, at..at + 1).await?;
    }
    assert!(store.fill_part(&here(), &digest(&content), 1500..1501, 2_000).await?.is_none());
    // Nobody who knows of the parts is in the way of others.
    fill_part(&store, &"y".repeat(2_000), 0..1).await
}
