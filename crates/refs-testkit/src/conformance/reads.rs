//! What every source promises.

use refs_registry::{ErrorKind, Result, Resume, Source};
use refs_url::{Hasher, Target};

use super::{
    Fixture,
    check::{bytes, digest, fails, read, referrers, tagged, tags},
    fixture::SBOM,
};

/// Reads all of `fixture` from `source`, and what is not there.
///
/// # Errors
/// The first that no promise is about.
///
/// # Panics
/// At the first promise that is not kept.
pub async fn reads(source: &dyn Source, fixture: &Fixture) -> Result<()> {
    blobs_are_whole(source, fixture).await?;
    parts_are_exact(source, fixture).await?;
    parts_beyond_the_end_are_refused(source, fixture).await;
    a_read_goes_on_where_it_ended(source, fixture).await?;
    a_read_does_not_go_on_after_other_bytes(source, fixture).await?;
    manifests_are_the_bytes_stored(source, fixture).await?;
    what_is_missing_is_not_found(source).await?;
    tags_go_on_after_any_of_them(source).await?;
    referrers_are_listed_and_filtered(source, fixture).await
}

async fn blobs_are_whole(source: &dyn Source, fixture: &Fixture) -> Result<()> {
    let large = fixture.large_digest();
    assert_eq!(source.stat_blob(&large).await?, Some(fixture.large.len() as u64));
    assert!(read(source, &large).await? == fixture.large, "a blob is the bytes stored");
    assert_eq!(source.stat_blob(&digest("")).await?, Some(0));
    assert_eq!(read(source, &digest("")).await?, b"", "the empty blob can be read");
    assert_eq!(read(source, &digest("{}")).await?, b"{}");
    Ok(())
}

async fn parts_are_exact(source: &dyn Source, fixture: &Fixture) -> Result<()> {
    let (large, total) = (fixture.large_digest(), fixture.large.len() as u64);
    for range in [0..1, 3..7, 0..total, total - 1..total, 299_995..800_005, total - 10..total] {
        let part = source.blob_part(&large, range.clone()).await?;
        assert_eq!((part.range, part.total), (range.clone(), total));
        let expect = &fixture.large[range.start as usize..range.end as usize];
        assert!(bytes(part.stream).await? == expect, "part {range:?} is those bytes of the blob");
    }
    Ok(())
}

async fn parts_beyond_the_end_are_refused(source: &dyn Source, fixture: &Fixture) {
    let (large, total) = (fixture.large_digest(), fixture.large.len() as u64);
    for range in [total..total + 1, total - 1..total + 1, total + 5..total + 9, u64::MAX - 1..u64::MAX] {
        let part = source.blob_part(&large, range.clone()).await;
        fails(part, &[ErrorKind::Size, ErrorKind::Protocol], &format!("{range:?} of {total} bytes is refused"));
    }
}

async fn a_read_goes_on_where_it_ended(source: &dyn Source, fixture: &Fixture) -> Result<()> {
    let total = fixture.large.len();
    for offset in [1, 65_536, total - 1, total] {
        let mut hasher = Hasher::sha256();
        hasher.update(&fixture.large[..offset]);
        let rest = source.blob(&fixture.large_digest(), Resume::at(offset as u64, hasher)).await?;
        assert_eq!(rest.size, total as u64, "a resumed blob has the size of the whole");
        assert!(bytes(rest.stream).await? == fixture.large[offset..], "the rest from {offset} on");
    }
    Ok(())
}

async fn a_read_does_not_go_on_after_other_bytes(source: &dyn Source, fixture: &Fixture) -> Result<()> {
    let mut hasher = Hasher::sha256();
    hasher.update(b"other");
    let read = match source.blob(&fixture.large_digest(), Resume::at(5, hasher)).await {
        Ok(rest) => bytes(rest.stream).await,
        Err(error) => Err(error),
    };
    fails(read, &[ErrorKind::Digest], "bytes that end another beginning are refused");
    Ok(())
}

async fn manifests_are_the_bytes_stored(source: &dyn Source, fixture: &Fixture) -> Result<()> {
    for manifest in [&fixture.image, &fixture.index] {
        let by_digest = Target::Digest(manifest.descriptor.digest.clone());
        assert_eq!(source.manifest(&by_digest).await?.raw, manifest.raw);
        assert_eq!(source.resolve(&by_digest).await?, manifest.descriptor);
    }
    for tag in Fixture::TAGS {
        assert_eq!(source.manifest(&tagged(tag)).await?, fixture.image);
        assert_eq!(source.resolve(&tagged(tag)).await?, fixture.image.descriptor);
    }
    Ok(())
}

async fn what_is_missing_is_not_found(source: &dyn Source) -> Result<()> {
    let absent = digest("absent");
    let not_found = &[ErrorKind::NotFound];
    assert_eq!(source.stat_blob(&absent).await?, None);
    fails(source.blob(&absent, Resume::START).await, not_found, "a missing blob is not found");
    fails(source.blob_part(&absent, 0..1).await, not_found, "a part of a missing blob is not found");
    for target in [tagged("absent"), Target::Digest(absent.clone())] {
        fails(source.manifest(&target).await, not_found, "a missing manifest is not found");
        fails(source.resolve(&target).await, not_found, "a missing manifest is not resolved");
    }
    assert_eq!(referrers(source, &absent, None).await?, [], "nothing refers to what is missing");
    Ok(())
}

async fn tags_go_on_after_any_of_them(source: &dyn Source) -> Result<()> {
    let all = tags(source, None).await?;
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(sorted, Fixture::TAGS, "all tags are listed once");
    for (index, tag) in all.iter().enumerate() {
        assert_eq!(tags(source, Some(tag.clone())).await?, all[index + 1..], "the tags after {tag}");
    }
    Ok(())
}

async fn referrers_are_listed_and_filtered(source: &dyn Source, fixture: &Fixture) -> Result<()> {
    let subject = &fixture.image.descriptor.digest;
    assert_eq!(referrers(source, subject, None).await?, fixture.referrers);
    let is_sbom =
        |referrer: &&refs_registry::Descriptor| referrer.artifact_type.as_ref().is_some_and(|t| t.as_str() == SBOM);
    let sboms: Vec<_> = fixture.referrers.iter().filter(is_sbom).cloned().collect();
    assert_eq!(referrers(source, subject, Some(SBOM)).await?, sboms);
    assert_eq!(referrers(source, subject, Some("application/absent")).await?, []);
    Ok(())
}
