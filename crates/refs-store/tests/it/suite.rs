//! What every repository on this side of the network promises.

use std::sync::Arc;

use bytes::Bytes;
use refs_registry::{Descriptor, Error, ErrorKind, Manifest, MediaType, Replay, Resume, Sink, error::Wanted};
use refs_url::{Algorithm, Digest, Hasher, Target};

use crate::content::{
    blob, digest, drain, fails, image, index, push, put, put_manifest, read, read_part, referrers, tag, tagged, tags,
    text, upload,
};

/// Runs each fact over a fresh, empty repository that `$store` makes.
macro_rules! facts {
    ($store:path) => {
        crate::suite::facts! { $store:
            a_blob_reads_back_whole_and_in_parts
            a_missing_blob_is_not_found
            a_part_beyond_the_end_is_refused
            a_read_goes_on_where_it_ended
            a_resumed_read_of_other_bytes_fails
            a_blob_of_another_digest_is_refused
            a_blob_comes_in_by_sha512
            an_upload_goes_on_where_it_ended
            an_upload_goes_on_before_where_it_ended
            an_aborted_upload_is_gone
            an_upload_that_nobody_can_resume_is_gone
            an_unknown_session_is_not_found
            bytes_of_another_repository_are_copied
            a_manifest_reads_back_by_tag_and_digest
            a_manifest_that_is_not_its_descriptor_is_refused
            a_manifest_without_its_blobs_is_refused
            an_index_may_lack_its_manifests
            a_layer_from_elsewhere_may_be_missing
            tags_are_sorted_and_go_on_after_one
            a_tag_moves_and_its_old_manifest_stays
            a_deleted_tag_leaves_its_manifest
            a_deleted_manifest_takes_its_tags
            a_deleted_blob_is_gone
            referrers_are_listed_by_subject_and_type
            many_writers_lose_nothing
        }
    };
    ($store:path: $($fact:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $fact() -> refs_registry::Result<()> {
            let (sink, _keep) = $store().await;
            crate::suite::$fact(sink).await
        })*
    };
}
pub(crate) use facts;

type Store = Arc<dyn Sink>;
type Fact = refs_registry::Result<()>;

pub(crate) async fn a_blob_reads_back_whole_and_in_parts(sink: Store) -> Fact {
    let content = "0123456789".repeat(100_000);
    put(&*sink, &content).await?;
    let digest = digest(&content);
    assert_eq!(sink.stat_blob(&digest).await?, Some(1_000_000));
    assert_eq!(read(&*sink, &digest).await?, content);
    assert_eq!(read_part(&*sink, &digest, 3..7).await?, "3456");
    assert_eq!(read_part(&*sink, &digest, 299_995..800_005).await?, content[299_995..800_005]);
    assert_eq!(read_part(&*sink, &digest, 1_000_000..1_000_000).await?, "");
    assert_eq!(read_part(&*sink, &digest, 0..1_000_000).await?, content);
    assert_eq!(sink.blob_part(&digest, 3..7).await?.total, 1_000_000);
    put(&*sink, "").await?;
    assert_eq!(read(&*sink, &crate::content::digest("")).await?, "");
    Ok(())
}

pub(crate) async fn a_missing_blob_is_not_found(sink: Store) -> Fact {
    let digest = digest("absent");
    assert_eq!(sink.stat_blob(&digest).await?, None);
    fails(sink.blob(&digest, Resume::START).await, ErrorKind::NotFound);
    fails(sink.blob_part(&digest, 0..1).await, ErrorKind::NotFound);
    fails(sink.delete_blob(&digest).await, ErrorKind::NotFound);
    fails(sink.resolve(&tagged("v1")).await, ErrorKind::NotFound);
    fails(sink.manifest(&Target::Digest(digest.clone())).await, ErrorKind::NotFound);
    fails(sink.delete_manifest(&tagged("v1")).await, ErrorKind::NotFound);
    fails(sink.delete_manifest(&Target::Digest(digest)).await, ErrorKind::NotFound);
    Ok(())
}

pub(crate) async fn a_part_beyond_the_end_is_refused(sink: Store) -> Fact {
    put(&*sink, "0123456789").await?;
    let digest = digest("0123456789");
    for range in [5..11, 11..12, 10..u64::MAX, u64::MAX..u64::MAX] {
        fails(sink.blob_part(&digest, range).await, ErrorKind::Size);
    }
    Ok(())
}

pub(crate) async fn a_read_goes_on_where_it_ended(sink: Store) -> Fact {
    put(&*sink, "0123456789").await?;
    let mut hasher = Hasher::sha256();
    hasher.update(b"0123");
    let rest = sink.blob(&digest("0123456789"), Resume::at(4, hasher)).await?;
    assert_eq!(rest.size, 10);
    assert_eq!(text(rest.stream).await?, "456789");
    Ok(())
}

pub(crate) async fn a_resumed_read_of_other_bytes_fails(sink: Store) -> Fact {
    put(&*sink, "0123456789").await?;
    let mut hasher = Hasher::sha256();
    hasher.update(b"abcd");
    let digest = digest("0123456789");
    fails(drain(sink.blob(&digest, Resume::at(4, hasher)).await?.stream).await, ErrorKind::Digest);
    fails(drain(sink.blob(&digest, Resume::at(11, Hasher::sha256())).await?.stream).await, ErrorKind::Size);
    Ok(())
}

pub(crate) async fn a_blob_of_another_digest_is_refused(sink: Store) -> Fact {
    for bytes in ["other", "conten", "contents", ""] {
        let payload = Bytes::from(bytes).into();
        fails(sink.put_blob(&blob("content"), payload).await, ErrorKind::Digest);
        assert_eq!(sink.stat_blob(&digest("content")).await?, None);
    }
    let blake3 = Digest::parse(&format!("blake3:{}", "0".repeat(64))).unwrap();
    let upload = upload(&*sink, &["content"]).await?;
    fails(upload.commit(&blake3).await, ErrorKind::Unsupported);
    Ok(())
}

pub(crate) async fn a_blob_comes_in_by_sha512(sink: Store) -> Fact {
    let mut hasher = Hasher::new(Algorithm::Sha512).unwrap();
    hasher.update(b"one two");
    let digest = hasher.finish();
    upload(&*sink, &["one ", "two"]).await?.commit(&digest).await?;
    assert_eq!(read(&*sink, &digest).await?, "one two");
    fails(upload(&*sink, &["one"]).await?.commit(&digest).await, ErrorKind::Digest);
    Ok(())
}

pub(crate) async fn an_upload_goes_on_where_it_ended(sink: Store) -> Fact {
    let first = upload(&*sink, &["one ", "two "]).await?;
    let state = first.state();
    assert_eq!(state.offset, 8);
    drop(first);
    let mut second = sink.upload(Some(state)).await?;
    second.write(Bytes::from("three")).await?;
    assert_eq!(second.state().offset, 13);
    second.commit(&digest("one two three")).await?;
    assert_eq!(read(&*sink, &digest("one two three")).await?, "one two three");
    Ok(())
}

pub(crate) async fn an_upload_goes_on_before_where_it_ended(sink: Store) -> Fact {
    let mut first = upload(&*sink, &["one "]).await?;
    let state = first.state();
    first.write(Bytes::from("lost")).await?;
    drop(first);
    let mut second = sink.upload(Some(state)).await?;
    second.write(Bytes::from("two")).await?;
    second.commit(&digest("one two")).await
}

pub(crate) async fn an_aborted_upload_is_gone(sink: Store) -> Fact {
    let first = upload(&*sink, &["one"]).await?;
    let state = first.state();
    first.abort().await?;
    fails(sink.upload(Some(state)).await.map(drop), ErrorKind::NotFound);
    assert_eq!(sink.stat_blob(&digest("one")).await?, None);
    Ok(())
}

pub(crate) async fn an_upload_that_nobody_can_resume_is_gone(sink: Store) -> Fact {
    drop(upload(&*sink, &["one"]).await?);
    assert_eq!(sink.stat_blob(&digest("one")).await?, None);
    Ok(())
}

pub(crate) async fn an_unknown_session_is_not_found(sink: Store) -> Fact {
    let first = upload(&*sink, &["one"]).await?;
    let mut beyond = first.state();
    drop(first);
    for session in ["", ".", "..", "../index.json", "upload-", "upload-../../x", "/etc/passwd", "upload-zzzzzz\0"] {
        let state = refs_registry::UploadState { session: session.to_owned(), offset: 0 };
        fails(sink.upload(Some(state)).await.map(drop), ErrorKind::NotFound);
    }
    beyond.offset = 4;
    fails(sink.upload(Some(beyond)).await.map(drop), ErrorKind::NotFound);
    Ok(())
}

pub(crate) async fn bytes_of_another_repository_are_copied(sink: Store) -> Fact {
    let other: Arc<dyn Sink> = Arc::new(refs_store::Memory::new());
    put(&*other, "content").await?;
    sink.put_blob(&blob("content"), Replay::Blob(other, digest("content")).into()).await?;
    assert_eq!(read(&*sink, &digest("content")).await?, "content");
    Ok(())
}

pub(crate) async fn a_manifest_reads_back_by_tag_and_digest(sink: Store) -> Fact {
    let manifest = push(&*sink, "one", &["v1", "latest"]).await?;
    let by_digest = Target::Digest(manifest.descriptor.digest.clone());
    for target in [tagged("v1"), tagged("latest"), by_digest] {
        assert_eq!(sink.manifest(&target).await?, manifest);
        assert_eq!(sink.resolve(&target).await?, manifest.descriptor);
    }
    let untagged = push(&*sink, "two", &[]).await?;
    assert_eq!(sink.manifest(&Target::Digest(untagged.descriptor.digest.clone())).await?, untagged);
    Ok(())
}

pub(crate) async fn a_manifest_that_is_not_its_descriptor_is_refused(sink: Store) -> Fact {
    let good = push(&*sink, "one", &[]).await?;
    let altered = |change: fn(&mut Manifest)| {
        let mut manifest = good.clone();
        change(&mut manifest);
        manifest
    };
    let rows = [
        (altered(|m| m.descriptor.digest = digest("other")), ErrorKind::Digest),
        (altered(|m| m.descriptor.size += 1), ErrorKind::Size),
        (altered(|m| m.descriptor.media_type = MediaType::OCI_INDEX), ErrorKind::Protocol),
        (Manifest::new(MediaType::OCI_MANIFEST, "{}".into()), ErrorKind::Protocol),
        (Manifest::new(MediaType::OCI_MANIFEST, "not json".into()), ErrorKind::Protocol),
        (Manifest::new(MediaType::OCI_MANIFEST, vec![b' '; 4 * 1024 * 1024 + 1].into()), ErrorKind::Size),
    ];
    for (manifest, kind) in rows {
        fails(sink.put_manifest(&manifest, &[tag("v1")]).await, kind);
        fails(sink.resolve(&tagged("v1")).await, ErrorKind::NotFound);
    }
    Ok(())
}

pub(crate) async fn a_manifest_without_its_blobs_is_refused(sink: Store) -> Fact {
    let manifest = Manifest::image(&image("absent"))?;
    let error = fails(put_manifest(&*sink, &manifest, &["v1"]).await, ErrorKind::NotFound);
    match error {
        Error::NotFound { wanted: Wanted::Blob(missing), .. } => assert_eq!(missing, digest("absent")),
        other => panic!("{other}"),
    }
    fails(sink.resolve(&tagged("v1")).await, ErrorKind::NotFound);
    Ok(())
}

pub(crate) async fn an_index_may_lack_its_manifests(sink: Store) -> Fact {
    let absent = Descriptor::of(MediaType::OCI_MANIFEST, b"absent");
    let manifest = Manifest::index(&index(vec![absent]))?;
    put_manifest(&*sink, &manifest, &["v1"]).await?;
    assert_eq!(sink.manifest(&tagged("v1")).await?, manifest);
    Ok(())
}

pub(crate) async fn a_layer_from_elsewhere_may_be_missing(sink: Store) -> Fact {
    let mut linked = image("absent");
    linked.layers[0].urls = vec!["https://example.com/layer".to_owned()];
    put_manifest(&*sink, &Manifest::image(&linked)?, &["v1"]).await?;
    for media_type in [MediaType::OCI_NONDISTRIBUTABLE, MediaType::DOCKER_FOREIGN_GZIP] {
        let mut typed = image("absent");
        typed.layers[0].media_type = media_type;
        put_manifest(&*sink, &Manifest::image(&typed)?, &["v2"]).await?;
    }
    Ok(())
}

pub(crate) async fn tags_are_sorted_and_go_on_after_one(sink: Store) -> Fact {
    push(&*sink, "one", &["b", "a", "B", "v1.10", "v1.9"]).await?;
    assert_eq!(tags(&*sink, None).await?, ["B", "a", "b", "v1.10", "v1.9"]);
    assert_eq!(tags(&*sink, Some("a")).await?, ["b", "v1.10", "v1.9"]);
    assert_eq!(tags(&*sink, Some("absent")).await?, ["b", "v1.10", "v1.9"]);
    assert!(tags(&*sink, Some("v1.9")).await?.is_empty());
    Ok(())
}

pub(crate) async fn a_tag_moves_and_its_old_manifest_stays(sink: Store) -> Fact {
    let old = push(&*sink, "one", &["v1"]).await?;
    let new = push(&*sink, "two", &["v1"]).await?;
    push(&*sink, "two", &["v1"]).await?;
    assert_eq!(sink.manifest(&tagged("v1")).await?, new);
    assert_eq!(sink.manifest(&Target::Digest(old.descriptor.digest.clone())).await?, old);
    assert_eq!(tags(&*sink, None).await?, ["v1"]);
    Ok(())
}

pub(crate) async fn a_deleted_tag_leaves_its_manifest(sink: Store) -> Fact {
    let manifest = push(&*sink, "one", &["v1", "v2"]).await?;
    let by_digest = Target::Digest(manifest.descriptor.digest);
    for name in ["v1", "v2"] {
        sink.delete_manifest(&tagged(name)).await?;
        fails(sink.resolve(&tagged(name)).await, ErrorKind::NotFound);
        sink.resolve(&by_digest).await?;
    }
    assert!(tags(&*sink, None).await?.is_empty());
    Ok(())
}

pub(crate) async fn a_deleted_manifest_takes_its_tags(sink: Store) -> Fact {
    let manifest = push(&*sink, "one", &["v1", "v2"]).await?;
    push(&*sink, "two", &["v3"]).await?;
    let by_digest = Target::Digest(manifest.descriptor.digest);
    sink.delete_manifest(&by_digest).await?;
    fails(sink.manifest(&by_digest).await, ErrorKind::NotFound);
    assert_eq!(tags(&*sink, None).await?, ["v3"]);
    Ok(())
}

pub(crate) async fn a_deleted_blob_is_gone(sink: Store) -> Fact {
    put(&*sink, "one").await?;
    sink.delete_blob(&digest("one")).await?;
    assert_eq!(sink.stat_blob(&digest("one")).await?, None);
    fails(sink.delete_blob(&digest("one")).await, ErrorKind::NotFound);
    Ok(())
}

pub(crate) async fn referrers_are_listed_by_subject_and_type(sink: Store) -> Fact {
    let subject = push(&*sink, "one", &["v1"]).await?.descriptor;
    let mut by_config = image("one");
    by_config.subject = Some(subject.clone());
    by_config.annotations.insert("kind".to_owned(), "config".to_owned());
    let mut declared = by_config.clone();
    declared.artifact_type = Some(MediaType::new("application/sbom"));
    let mut listed = index(vec![subject.clone()]);
    listed.subject = Some(subject.clone());
    for manifest in [Manifest::image(&by_config)?, Manifest::image(&declared)?, Manifest::index(&listed)?] {
        let stored = put_manifest(&*sink, &manifest, &[]).await?;
        assert_eq!(stored.subject.as_ref(), Some(&subject.digest));
    }
    let all = referrers(&*sink, &subject.digest, None).await?;
    let mut kinds: Vec<_> = all.iter().map(|d| d.artifact_type.as_ref().map(ToString::to_string)).collect();
    kinds.sort();
    assert_eq!(kinds, [None, Some("application/sbom".to_owned()), Some(MediaType::OCI_EMPTY.to_string())]);
    let [sbom] = &referrers(&*sink, &subject.digest, Some("application/sbom")).await?[..] else { panic!() };
    assert_eq!(sbom.digest, Manifest::image(&declared)?.descriptor.digest);
    assert_eq!(sbom.annotations, declared.annotations);
    assert!(referrers(&*sink, &digest("absent"), None).await?.is_empty());
    sink.delete_manifest(&Target::Digest(sbom.digest.clone())).await?;
    assert_eq!(referrers(&*sink, &subject.digest, None).await?.len(), 2);
    Ok(())
}

pub(crate) async fn many_writers_lose_nothing(sink: Store) -> Fact {
    put(&*sink, "{}").await?;
    let writers: Vec<_> = (10..30)
        .map(|number| {
            let sink = sink.clone();
            tokio::spawn(async move { push(&*sink, &number.to_string(), &[&format!("v{number}")]).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap()?;
    }
    assert_eq!(tags(&*sink, None).await?, (10..30).map(|number| format!("v{number}")).collect::<Vec<_>>());
    Ok(())
}
