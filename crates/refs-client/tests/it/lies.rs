//! Layers whose tables of contents lie in ways that only show where files are written or bytes are fetched. The number in
//! a test's name says which kind of lie it is:
//!
//! 12 an archive that holds other files than its table, 13 paths, 14 duplicates, 15 symbolic links, 16 hard links, 17 what is
//! no file, 20 the registry's ranges, 21 the size that is announced, 22 sizes beyond the limits, 23 a table kept elsewhere.
//! Those that tables alone tell are in refs-estargz.

use refs_client::{Access, ArchiveFault, Change, Client, DiffOptions, Error, Kind, Limits, PullOptions, ReadOptions};
use refs_estargz::{Error as EstargzError, Footer, LinkFault, MemberFault, PathFault, TOC_DIGEST_ANNOTATION};
use refs_registry::{ErrorKind, MediaType};
use refs_store::Memories;
use refs_testkit::{Close, Fault, Image, On, Tree, image::gzip};
use refs_url::Digest;

use crate::setup::{
    IN_MEMORY, artifact, at, client, guarded, kind, memory, noise, patterns, pull, pull_of, pulled, pushed,
};

macro_rules! rejected {
    ($outcome:expr, $error:pat) => {
        match $outcome {
            Err($error) => {}
            other => panic!("expected {}, got {other:?}", stringify!($error)),
        }
    };
}

/// A layer that holds "abcd" once, and a table of contents with these elements, which the manifest vouches for.
fn image(elements: &[&str]) -> Image {
    indexed(&gzip(b"abcd"), elements)
}

/// A layer of `payload`, and a table with these elements.
fn indexed(payload: &[u8], elements: &[&str]) -> Image {
    let json = format!(r#"{{"version":1,"entries":[{}]}}"#, elements.join(","));
    let toc = gzip(&Tree::new().file("stargz.index.json", json.clone()).tar());
    let blob = [payload, &toc, &Footer::encode(payload.len() as u64)].concat();
    let digest = Digest::sha256(json.as_bytes());
    Image::new().layer(MediaType::OCI_LAYER_GZIP, blob).annotate_last(TOC_DIGEST_ANNOTATION, digest.as_str())
}

async fn client_of(image: Image) -> Client {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    image.push(&repository, &["v1"]).await.unwrap();
    client
}

/// Pulls everything by the table of contents. Of a pull that fails nothing is left.
async fn pull_by_table(elements: &[&str]) -> Result<Tree, Error> {
    pull_by_patterns(image(elements)).await
}

async fn pull_by_patterns(image: Image) -> Result<Tree, Error> {
    let pulled = pull(&client_of(image).await, &at(IN_MEMORY), &pull_of(&["**"])).await;
    pulled.map(|(tree, _)| crate::setup::without_times(&tree))
}

/// A file of "abcd".
fn abcd(name: &str) -> String {
    let digest = Digest::sha256(b"abcd");
    format!(r#"{{"name":"{name}","type":"reg","size":4,"mode":420,"digest":"{digest}","chunkDigest":"{digest}"}}"#)
}

fn link(kind: &str, name: &str, target: &str) -> String {
    format!(r#"{{"name":"{name}","type":"{kind}","linkName":"{target}"}}"#)
}

#[tokio::test]
async fn table_that_tells_the_truth_is_pulled() {
    let tree = pull_by_table(&[&abcd("d/f"), &link("hardlink", "h", "d/f"), &link("symlink", "s", "d/f")]).await;
    let expected = "755 d/\n644 d/f \"abcd\"\n644 h \"abcd\"\n777 s -> d/f";
    assert_eq!(tree.unwrap(), Tree::parse(expected));
}

/// A layer with the archive `archive`, which may have its end, and a table with these elements.
fn archived(archive: &[u8], elements: &[&str]) -> Image {
    indexed(&gzip(archive), elements)
}

/// Pulls everything as the archive tells it.
async fn pull_by_archive(archive: &[u8], elements: &[&str]) -> Result<String, Error> {
    let pulled = pull(&client_of(archived(archive, elements)).await, &at(IN_MEMORY), &pull_of(&[])).await;
    pulled.map(|(tree, _)| crate::setup::without_times(&tree).to_string())
}

/// The end of an archive may stand before the table: then the archive is as it was before it got one.
#[tokio::test]
async fn archive_and_table_that_agree_are_pulled() {
    let tree = Tree::parse("644 d/f \"abcd\"\n777 s -> d/f");
    let (tar, elements) =
        (tree.tar(), [&*at_512(&abcd("d/f")), &link("symlink", "s", "d/f").replace("}", r#","mode":511}"#)]);
    for archive in [&tar[..], &tar[..tar.len() - 1024], &[&tar[..], &[0; 512]].concat()] {
        assert_eq!(
            pull_by_archive(archive, &elements).await.unwrap(),
            pulled_text("755 d/\n644 d/f \"abcd\"\n777 s -> d/f")
        );
    }
}

/// Those with all that the reference writes, attributes, fractions of seconds and long names among it, in either order.
#[tokio::test]
async fn layers_of_the_reference_agree_with_their_archives() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../refs-estargz/tests/data");
    let golden = std::fs::read(format!("{data}/golden.json")).unwrap();
    let golden: serde_json::Value = serde_json::from_slice(&golden).unwrap();
    for file in ["files", "files-lossless", "shared", "shared-chunks", "implied", "marked", "twice", "empty"] {
        let file = format!("{file}.tar.gz");
        let layer = golden["layers"].as_array().unwrap().iter().find(|layer| layer["file"] == *file).unwrap();
        let blob = std::fs::read(format!("{data}/{file}")).unwrap();
        let image = Image::new()
            .layer(MediaType::OCI_LAYER_GZIP, blob)
            .annotate_last(TOC_DIGEST_ANNOTATION, layer["toc_digest"].as_str().unwrap());
        let client = client_of(image).await;
        let pulled = pull(&client, &at(IN_MEMORY), &pull_of(&[])).await;
        assert!(pulled.is_ok(), "{file}: {pulled:?}");
    }
}

#[tokio::test]
async fn lie_12_archive_that_holds_other_files_than_its_table() {
    let tar = Tree::parse(r#"644 f "abcd""#).tar();
    let f = at_512(&abcd("f"));
    let digest = Digest::sha256(b"abc");
    let shorter = f.replace(r#""size":4"#, r#""size":3"#).replace(Digest::sha256(b"abcd").as_str(), digest.as_str());
    let tables: [(&[&str], &str); 6] = [
        (&[], "f"),
        (&[&f, &at_512(&abcd("more")).replace("512", "516")], "more"),
        (&[&at_512(&abcd("other"))], "f"),
        (&[&f.replace("420", "493")], "f"),
        (&[&shorter], "f"),
        (&[&link("symlink", "f", "elsewhere")], "f"),
    ];
    for archive in [&tar[..], &tar[..tar.len() - 1024]] {
        for (elements, path) in tables {
            let error = pull_by_archive(archive, elements).await.unwrap_err();
            let Error::Corrupt { fault: ArchiveFault::OtherInTable(found), .. } = &error else {
                panic!("{elements:?}: {error:?}")
            };
            assert_eq!(found, path, "{elements:?}");
        }
    }
}

/// A layer whose archive has the file `f`, which the table tells of in two chunks, these, with this digest of all of it; and
/// then the directory `also` that only the table has, if any.
fn halves([first, second]: [&str; 2], digest: &str, also: &str) -> Image {
    let tar = Tree::new().file("f", format!("{first}{second}")).tar();
    let [header, first_member, second_member] = [&tar[..512], first.as_bytes(), second.as_bytes()].map(gzip);
    let payload = [&header[..], &first_member, &second_member, &gzip(&tar[512 + 4..1024])].concat();
    let (at_first, at_second) = (header.len(), header.len() + first_member.len());
    let [first, second] = [first, second].map(|half| Digest::sha256(half.as_bytes()));
    let chunk = |at: usize, digest: &Digest| format!(r#""offset":{at},"chunkSize":2,"chunkDigest":"{digest}""#);
    let (first, second) = (chunk(at_first, &first), chunk(at_second, &second));
    let file = format!(r#"{{"name":"f","type":"reg","size":4,"mode":420,"digest":"{digest}",{first}}}"#);
    let rest = format!(r#"{{"name":"f","type":"chunk","chunkOffset":2,{second}}}"#);
    let also = format!(r#"{{"name":"{also}","type":"dir"}}"#);
    let elements = [&*file, &rest, &also];
    indexed(&payload, if also.contains("\"\"") { &elements[..2] } else { &elements })
}

/// The table points at bytes that are hidden from who reads the archive, or simply lies.
#[tokio::test]
async fn lie_12_archive_whose_file_has_other_content() {
    let tar = Tree::parse(r#"644 f "evil""#).tar();
    let told = at_512(&abcd("f"));
    let only_chunk = told.replace(&format!(r#""digest":"{}","#, Digest::sha256(b"abcd")), "");
    assert_ne!(told, only_chunk);
    for element in [told, only_chunk] {
        let error = pull_by_archive(&tar, &[&element]).await.unwrap_err();
        let Error::Corrupt { fault: ArchiveFault::OtherInTable(found), .. } = &error else { panic!("{error:?}") };
        assert_eq!(found, "f", "{element}");
    }
}

/// What chunks are together only a digest of the whole tells who has not read the table yet.
#[tokio::test]
async fn lie_12_chunks_without_a_digest_of_the_whole_are_not_taken_for_what_the_archive_has() {
    let pull = async |digest: &str| {
        let client = client_of(halves(["ab", "cd"], digest, "")).await;
        pull(&client, &at(IN_MEMORY), &pull_of(&[]))
            .await
            .map(|(tree, _)| crate::setup::without_times(&tree).to_string())
    };
    assert_eq!(pull(Digest::sha256(b"abcd").as_str()).await.unwrap(), pulled_text(r#"644 f "abcd""#));
    rejected!(pull("").await, Error::Corrupt { fault: ArchiveFault::NoDigestInTable(_), .. });
    let evil = Digest::sha256(b"evil");
    rejected!(pull(evil.as_str()).await, Error::Corrupt { fault: ArchiveFault::OtherInTable(_), .. });
}

#[tokio::test]
async fn digest_of_a_file_that_its_chunks_contradict_is_not_compared_by() {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    let good = Digest::sha256(b"good");
    for (tag, chunks) in [("v1", ["go", "od"]), ("v2", ["ev", "il"]), ("v3", ["go", "od"])] {
        halves(chunks, good.as_str(), tag).push(&repository, &[tag]).await.unwrap();
    }
    let diff = async |new| client.diff(&at(IN_MEMORY), &at(new), &DiffOptions::default()).await;
    let honest = diff("localhost/o/r:v3").await.unwrap();
    assert_eq!(honest.changes.iter().map(Change::path).collect::<Vec<_>>(), ["v1", "v3"]);
    assert_eq!(honest.new.access, Access::Index);
    rejected!(diff("localhost/o/r:v2").await, Error::Corrupt { fault: ArchiveFault::OtherInTable(_), .. });
}

/// To who reads the archive, the table is in the last file of it.
#[tokio::test]
async fn lie_12_table_that_the_archive_does_not_show() {
    let json = format!(r#"{{"version":1,"entries":[{}]}}"#, abcd("f"));
    let toc_tar = Tree::new().file("stargz.index.json", json.clone()).tar();
    let archive = Tree::new().file("hides", vec![7; toc_tar.len()]).tar();
    let (payload, toc) = (gzip(&archive[..512]), gzip(&toc_tar));
    let blob = [&payload[..], &toc, &Footer::encode(payload.len() as u64)].concat();
    let digest = Digest::sha256(json.as_bytes());
    let image =
        Image::new().layer(MediaType::OCI_LAYER_GZIP, blob).annotate_last(TOC_DIGEST_ANNOTATION, digest.as_str());
    let error = pull(&client_of(image).await, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt { fault: ArchiveFault::OtherInTable(path), .. } if path == "hides"),
        "{error:?}"
    );
}

/// The element of a file whose content is behind the first header of its member.
fn at_512(element: &str) -> String {
    element.replace(r#""digest""#, r#""innerOffset":512,"digest""#)
}

fn pulled_text(tree: &str) -> String {
    Tree::parse(tree).to_string()
}

#[tokio::test]
async fn lie_13_paths_that_leave_the_root() {
    for name in ["../f", "a/../../f", "/../f", "a/.."] {
        let pulled = pull_by_table(&[&abcd(name)]).await;
        rejected!(pulled, Error::Estargz { source: EstargzError::Path { fault: PathFault::Parent, .. }, .. });
    }
    let pulled = pull_by_table(&[&abcd("a\\u0000")]).await;
    rejected!(pulled, Error::Estargz { source: EstargzError::Path { fault: PathFault::Nul, .. }, .. });
    let rooted = pull_by_table(&[&abcd("/rooted")]).await;
    assert_eq!(rooted.unwrap(), Tree::parse(r#"644 rooted "abcd""#));
}

#[tokio::test]
async fn lie_14_two_entries_with_one_path() {
    let twice = pull_by_table(&[r#"{"name":"a","type":"reg"}"#, &abcd("./a")]).await;
    rejected!(twice, Error::Estargz { source: EstargzError::Duplicate { .. }, .. });
    let below = pull_by_table(&[r#"{"name":"a","type":"reg"}"#, &abcd("a/b")]).await;
    rejected!(below, Error::Estargz { source: EstargzError::NotDirectory { .. }, .. });
}

#[tokio::test]
async fn lie_15_symbolic_links_that_lead_out() {
    for target in ["/etc/passwd", "../outside", "a/../../outside", ".."] {
        rejected!(pull_by_table(&[&link("symlink", "l", target)]).await, Error::UnsafeLink { .. });
    }
    let [up, out] = [link("symlink", "a/b/up", "../.."), link("symlink", "l", "a/b/up/../outside")];
    rejected!(pull_by_table(&[&up, &out]).await, Error::UnsafeLink { .. });
    let through = pull_by_table(&[&link("symlink", "l", "/tmp"), &abcd("l/f")]).await;
    rejected!(through, Error::Estargz { source: EstargzError::NotDirectory { .. }, .. });
}

#[tokio::test]
async fn lie_16_hard_links_that_are_no_second_names() {
    let faults = [
        (link("hardlink", "h", "absent"), LinkFault::Missing),
        (link("hardlink", "h", "/etc/passwd"), LinkFault::Missing),
        (link("hardlink", "h", "d"), LinkFault::NotFile),
        (link("hardlink", "h", "s"), LinkFault::NotFile),
        (link("hardlink", "h", "h"), LinkFault::Circle),
    ];
    for (hard, expected) in faults {
        let elements = [&hard, r#"{"name":"d","type":"dir"}"#, &link("symlink", "s", "f"), &abcd("f")];
        let Err(Error::Estargz { source: EstargzError::Link { fault, .. }, .. }) = pull_by_table(&elements).await
        else {
            panic!("{hard} is not refused");
        };
        assert_eq!(fault, expected, "{hard}");
    }
    let climbing = pull_by_table(&[&link("hardlink", "h", "../f"), &abcd("f")]).await;
    rejected!(climbing, Error::Estargz { source: EstargzError::Path { fault: PathFault::Parent, .. }, .. });
}

#[tokio::test]
async fn lie_17_devices_are_not_made() {
    for kind in ["char", "block", "fifo"] {
        let device = format!(r#"{{"name":"n","type":"{kind}","devMajor":1,"devMinor":3}}"#);
        rejected!(pull_by_table(&[&abcd("f"), &device]).await, Error::SpecialFile { .. });
    }
}

#[tokio::test]
async fn lie_17_special_modes_and_attributes_are_not_written() {
    let special = abcd("f").replace(r#""mode":420"#, r#""mode":4095,"xattrs":{"security.capability":"AQAAAg=="}"#);
    let tree = pull_by_table(&[&special]).await.unwrap();
    assert_eq!(tree, Tree::parse(r#"755 f "abcd""#));
}

/// The digest of a chunk is of other bytes, or its place that of another file's.
#[tokio::test]
async fn m107_chunks_that_are_not_what_the_table_says() {
    let (first, second) = (gzip(b"abcd"), gzip(b"efgh"));
    let payload = [&first[..], &second].concat();
    let [f, g] = [abcd("f"), abcd("g").replace(Digest::sha256(b"abcd").as_str(), Digest::sha256(b"efgh").as_str())];
    let placed =
        |element: &str, offset: usize| element.replace(r#""digest""#, &format!(r#""offset":{offset},"digest""#));
    let pull = async |[f, g]: [String; 2]| pull_by_patterns(indexed(&payload, &[&f, &g])).await;
    let right = [placed(&f, 0), placed(&g, first.len())];
    assert_eq!(pull(right).await.unwrap(), Tree::parse("644 f \"abcd\"\n644 g \"efgh\""));
    for elements in
        [[placed(&f, first.len()), placed(&g, 0)], [placed(&g.replace("\"g\"", "\"f\""), 0), placed(&g, first.len())]]
    {
        rejected!(
            pull(elements).await,
            Error::Estargz { source: EstargzError::Member { fault: MemberFault::Digest, .. }, .. }
        );
    }
}

/// Lists what a registry has that answers with `fault` when it is asked for bytes of the layer.
async fn list_with(memories: &Memories, fault: Fault) -> Result<usize, Error> {
    let registry = guarded(memories).start().await;
    registry.fault(On::get("/blobs/"), fault);
    let listed = client(&registry).list_files(&artifact(&registry), &ReadOptions::default()).await;
    listed.map(|listing| listing.len())
}

#[tokio::test]
async fn lie_20_other_bytes_than_were_asked_for() {
    let (memories, _, _) = pushed(&Tree::new().file("f", noise(1 << 20, 1))).await;
    for range in ["bytes 0-9/10", "bytes 0-9/*", "bytes */10", "items 1-2/3", ""] {
        let error = list_with(&memories, Fault::ContentRange(range.to_owned())).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Protocol, "{range}");
    }
    let cut = list_with(&memories, Fault::Cut { after: 10, close: Close::Fin }).await;
    assert_eq!(cut.unwrap(), 1, "the rest is asked for");
}

/// What the manifest says of the size of the archive is not even a hint here.
#[tokio::test]
async fn lie_21_announced_size_of_the_archive() {
    for announced in ["0", "1", "18446744073709551616", "-1", "much"] {
        let image = image(&[&abcd("f")]).annotate_last(refs_estargz::UNCOMPRESSED_SIZE_ANNOTATION, announced);
        let client = client_of(image).await;
        assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&["**"])).await, Tree::parse(r#"644 f "abcd""#));
    }
}

#[tokio::test]
async fn lie_22_declared_sizes_are_refused_before_anything_is_fetched() {
    let huge = abcd("f").replace(r#""size":4"#, r#""size":1099511627776,"chunkSize":1"#);
    rejected!(pull_by_table(&[&huge]).await, Error::Estargz { source: EstargzError::Chunk { .. }, .. });
    let limits = Limits { file_bytes: 3, ..Limits::default() };
    let client = client_of(image(&[&abcd("f")])).await;
    let options = PullOptions { limits, ..pull_of(&["**"]) };
    rejected!(pull(&client, &at(IN_MEMORY), &options).await, Error::FileTooLarge { size: 4, limit: 3, .. });
}

#[tokio::test]
async fn lie_22_bytes_of_a_stream_are_counted_as_they_come() {
    let bomb = Tree::new().file("zeros", vec![0; 4 << 20]);
    let client = client_of(Image::new().tree(&bomb)).await;
    let limits = Limits { total_bytes: 1 << 20, ..Limits::default() };
    let options = PullOptions { limits, ..PullOptions::default() };
    rejected!(pull(&client, &at(IN_MEMORY), &options).await, Error::TotalTooLarge { .. });
}

/// What is elsewhere is not looked for: the whole layer is read, which the manifest vouches for.
#[tokio::test]
async fn lie_23_table_that_is_kept_elsewhere() {
    let tree = Tree::parse(r#"644 f "real""#);
    let footer = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x15\0SG\x11\0STARGZEXTERNALTOC\x01\0\0\xff\xff\0\0\0\0\0\0\0\0";
    let blob = [&gzip(&tree.tar())[..], footer].concat();
    let other = Digest::sha256(b"a table with other files");
    let image =
        Image::new().layer(MediaType::OCI_LAYER_GZIP, blob).annotate_last(TOC_DIGEST_ANNOTATION, other.as_str());
    let client = client_of(image).await;
    let listing = client.list_files(&at(IN_MEMORY), &patterns(&["f"])).await.unwrap();
    assert_eq!(listing.entries().next().unwrap().kind, Kind::File { size: 4 });
    assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&["f"])).await, tree);
}
