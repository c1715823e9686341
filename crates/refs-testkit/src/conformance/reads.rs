//! What every source promises.

use refs_registry::{ErrorKind, Resume, Source};
use refs_url::{Hasher, Target};

use super::{
    Capabilities, Fixture, Listed, Referrers, Report, Unknown,
    check::{by_digest, bytes, digest, read, referrers, tagged, tags},
    fixture::SBOM,
    report::{Outcome, fails, same, same_bytes},
};

/// Reads all of `fixture` from `source`, and what is not there.
pub async fn reads(source: &dyn Source, fixture: &Fixture, can: &Capabilities) -> Report {
    let mut report = Report::default();
    report.note("blobs are whole", blobs_are_whole(source, fixture).await);
    report.note("parts of a blob are exact", parts_are_exact(source, fixture).await);
    report.note("parts beyond the end are refused", parts_beyond_the_end_are_refused(source, fixture).await);
    report.note("a read goes on where it ended", a_read_goes_on_where_it_ended(source, fixture).await);
    report.note("a read that goes on after other bytes fails", a_read_after_other_bytes_fails(source, fixture).await);
    report.note("manifests are the bytes stored", manifests_are_the_bytes_stored(source, fixture).await);
    report.note("what is missing is not found", what_is_missing_is_not_found(source, can).await);
    report.note("tags are listed, and those after any of them", tags_are_listed(source, fixture, can).await);
    report.note("referrers are listed and filtered", referrers_are_listed(source, fixture).await);
    report.note("the list of referrers is where it should be", the_list_is_in_its_place(source, fixture, can).await);
    report
}

async fn blobs_are_whole(source: &dyn Source, fixture: &Fixture) -> Outcome {
    let large = fixture.large_digest();
    same("the size of a blob", &source.stat_blob(&large).await?, &Some(fixture.large.len() as u64))?;
    same_bytes("a large blob", &read(source, &large).await?, &fixture.large)?;
    same("the size of the empty blob", &source.stat_blob(&digest("")).await?, &Some(0))?;
    same_bytes("the empty blob", &read(source, &digest("")).await?, b"")?;
    same_bytes("a small blob", &read(source, &digest("{}")).await?, b"{}")
}

async fn parts_are_exact(source: &dyn Source, fixture: &Fixture) -> Outcome {
    let (large, total) = (fixture.large_digest(), fixture.large.len() as u64);
    for range in [0..1, 3..7, 0..total, total - 1..total, 299_995..800_005, total - 10..total] {
        let part = source.blob_part(&large, range.clone()).await?;
        same("the range and the whole size of a part", &(part.range, part.total), &(range.clone(), total))?;
        let expect = &fixture.large[range.start as usize..range.end as usize];
        same_bytes(&format!("part {range:?}"), &bytes(part.stream).await?, expect)?;
    }
    Ok(())
}

async fn parts_beyond_the_end_are_refused(source: &dyn Source, fixture: &Fixture) -> Outcome {
    let (large, total) = (fixture.large_digest(), fixture.large.len() as u64);
    for range in [total..total + 1, total - 1..total + 1, total + 5..total + 9, u64::MAX - 1..u64::MAX] {
        let part = source.blob_part(&large, range.clone()).await;
        fails(&format!("{range:?} of {total} bytes"), part, &[ErrorKind::Size, ErrorKind::Protocol])?;
    }
    Ok(())
}

async fn a_read_goes_on_where_it_ended(source: &dyn Source, fixture: &Fixture) -> Outcome {
    let total = fixture.large.len();
    for offset in [1, 65_536, total - 1, total] {
        let mut hasher = Hasher::sha256();
        hasher.update(&fixture.large[..offset]);
        let rest = source.blob(&fixture.large_digest(), Resume::at(offset as u64, hasher)).await?;
        same("the size of a blob that is read on", &rest.size, &(total as u64))?;
        same_bytes(&format!("the rest from {offset} on"), &bytes(rest.stream).await?, &fixture.large[offset..])?;
    }
    Ok(())
}

async fn a_read_after_other_bytes_fails(source: &dyn Source, fixture: &Fixture) -> Outcome {
    let mut hasher = Hasher::sha256();
    hasher.update(b"other");
    let read = match source.blob(&fixture.large_digest(), Resume::at(5, hasher)).await {
        Ok(rest) => bytes(rest.stream).await,
        Err(error) => Err(error),
    };
    fails("bytes that end another beginning", read, &[ErrorKind::Digest])
}

async fn manifests_are_the_bytes_stored(source: &dyn Source, fixture: &Fixture) -> Outcome {
    for manifest in [&fixture.image, &fixture.index] {
        same("a manifest by digest", &source.manifest(&by_digest(manifest)).await?, manifest)?;
        same("its descriptor", &source.resolve(&by_digest(manifest)).await?, &manifest.descriptor)?;
    }
    for tag in Fixture::TAGS {
        same("a manifest by tag", &source.manifest(&tagged(tag)).await?, &fixture.image)?;
        same("its descriptor by tag", &source.resolve(&tagged(tag)).await?, &fixture.image.descriptor)?;
    }
    Ok(())
}

async fn what_is_missing_is_not_found(source: &dyn Source, can: &Capabilities) -> Outcome {
    let absent = digest("absent");
    let not_found = &[ErrorKind::NotFound];
    same("the size of a missing blob", &source.stat_blob(&absent).await?, &None)?;
    fails("a missing blob", source.blob(&absent, Resume::START).await, not_found)?;
    fails("a part of a missing blob", source.blob_part(&absent, 0..1).await, not_found)?;
    let by_digest: &[ErrorKind] = match can.unknown_digest {
        Unknown::NotFound => not_found,
        Unknown::Failure => &[ErrorKind::Unreachable],
    };
    for (target, kinds) in [(tagged("absent"), &not_found[..]), (Target::Digest(absent.clone()), by_digest)] {
        fails("a missing manifest", source.manifest(&target).await, kinds)?;
        fails("the descriptor of a missing manifest", source.resolve(&target).await, kinds)?;
    }
    same("what refers to nothing", &referrers(source, &absent, None).await?, &[])
}

async fn tags_are_listed(source: &dyn Source, fixture: &Fixture, can: &Capabilities) -> Outcome {
    let expect = fixture.tags(can.referrers);
    let all = tags(source, None).await?;
    let sorted = |mut tags: Vec<_>| {
        tags.sort();
        tags
    };
    same("all tags", &sorted(all.clone()), &expect)?;
    for (index, tag) in all.iter().enumerate() {
        let rest = tags(source, Some(tag.clone())).await?;
        match can.tags_after {
            Listed::Rest => same(&format!("the tags after {tag}"), &rest, &all[index + 1..].to_vec())?,
            Listed::Whole => same(&format!("all tags, for those after {tag}"), &sorted(rest), &expect)?,
        }
    }
    Ok(())
}

async fn referrers_are_listed(source: &dyn Source, fixture: &Fixture) -> Outcome {
    let subject = &fixture.image.descriptor.digest;
    same("all referrers", &referrers(source, subject, None).await?, &fixture.referrers)?;
    let is_sbom =
        |referrer: &&refs_registry::Descriptor| referrer.artifact_type.as_ref().is_some_and(|t| t.as_str() == SBOM);
    let sboms: Vec<_> = fixture.referrers.iter().filter(is_sbom).cloned().collect();
    same("those of one type", &referrers(source, subject, Some(SBOM)).await?, &sboms)?;
    same("those of no type", &referrers(source, subject, Some("application/absent")).await?, &[])
}

async fn the_list_is_in_its_place(source: &dyn Source, fixture: &Fixture, can: &Capabilities) -> Outcome {
    let list = source.manifest(&Target::Tag(fixture.image.descriptor.digest.referrers_tag())).await;
    match can.referrers {
        Referrers::Tag => Ok(list.map(drop)?),
        Referrers::Api => fails("the tag that clients keep a list under", list, &[ErrorKind::NotFound]),
    }
}
