//! zstd:chunked layers, as two kinds of tools write them: listed and read by ranges, pulled whole as a stream.

use refs_client::{Access, ArchiveFault, Client, Error, LayerKind, Limits, ReadOptions, Trust};
use refs_estargz::{
    Error as EstargzError, TOC_DIGEST_ANNOTATION, ZSTD_TOC_DIGEST_ANNOTATION, ZSTD_TOC_POSITION_ANNOTATION,
};
use refs_registry::MediaType;
use refs_store::Memories;
use refs_testkit::{
    Image, Tree,
    image::{gzip, zstd},
};
use refs_url::Digest;

use crate::setup::{IN_MEMORY, artifact, at, client, guarded, memory, noise, paths, pull, pull_of, pulled};

/// A layer whose frames, table and footer are made by hand.
struct Chunked {
    blob: Vec<u8>,
    json: String,
    compressed: Vec<u8>,
    position: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Stargz,
    Storage,
}

const BOTH: [Dialect; 2] = [Dialect::Stargz, Dialect::Storage];

fn skippable(bytes: &[u8]) -> Vec<u8> {
    [b"\x50\x2a\x4d\x18".as_slice(), &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// The files as one archive, in which each header and each file has a frame of its own.
fn chunked(files: &[(&str, &[u8])], dialect: Dialect) -> Chunked {
    chunked_listing(files.len(), files, dialect)
}

/// The same, with so many of the files in its table.
fn chunked_listing(listed: usize, files: &[(&str, &[u8])], dialect: Dialect) -> Chunked {
    let (mut payload, mut elements) = (Vec::new(), Vec::new());
    for (path, content) in files {
        let tar = Tree::new().file(path, content.to_vec()).tar();
        let (size, digest) = (content.len(), Digest::sha256(content));
        payload.extend(zstd(&tar[..512]));
        let offset = payload.len();
        elements.push(format!(
            r#"{{"type":"reg","name":"{path}","mode":420,"size":{size},"offset":{offset},"digest":"{digest}","accesstime":"2023-11-14T22:13:20Z"}}"#
        ));
        payload.extend(zstd(content));
        payload.extend(zstd(&vec![0; size.next_multiple_of(512) - size]));
    }
    payload.extend(zstd(&[0; 1024]));
    let json = format!(r#"{{"version":1,"entries":[{}],"tarSplitDigest":"sha256:0"}}"#, elements[..listed].join(","));
    let compressed = zstd(json.as_bytes()).to_vec();
    let offset = payload.len() + 8;
    let numbers = [offset, compressed.len(), json.len(), 1];
    let fields = numbers.map(|number| (number as u64).to_le_bytes()).concat();
    let behind = match dialect {
        Dialect::Stargz => skippable(&[&fields[..], b"GnUlInUx"].concat()),
        Dialect::Storage => {
            [skippable(b"what podman puts together again"), skippable(&[&fields[..], &[0; 24], b"GNUlInUx"].concat())]
                .concat()
        }
    };
    let blob = [&payload[..], &skippable(&compressed), &behind].concat();
    Chunked { blob, json, compressed, position: numbers.map(|number| number.to_string()).join(":") }
}

impl Chunked {
    /// As the tools of this dialect push it.
    fn image(&self, dialect: Dialect) -> Image {
        let image = self.plain();
        match dialect {
            Dialect::Stargz => {
                image.annotate_last(TOC_DIGEST_ANNOTATION, Digest::sha256(self.json.as_bytes()).as_str())
            }
            Dialect::Storage => image
                .annotate_last(ZSTD_TOC_DIGEST_ANNOTATION, Digest::sha256(&self.compressed).as_str())
                .annotate_last(ZSTD_TOC_POSITION_ANNOTATION, &self.position),
        }
    }

    /// With nothing that vouches for the table.
    fn plain(&self) -> Image {
        Image::new().layer(MediaType::OCI_LAYER_ZSTD, self.blob.clone())
    }
}

async fn stored(image: Image) -> (Memories, Client) {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    image.push(&repository, &["v1"]).await.unwrap();
    (memories, client)
}

#[tokio::test]
async fn archive_that_holds_more_than_its_table_is_refused() {
    for dialect in BOTH {
        let layer = chunked_listing(1, &[("a", b"first"), ("evil", b"second")], dialect);
        let (_, client) = stored(layer.image(dialect)).await;
        let error = pull(&client, &at(IN_MEMORY), &pull_of(&[])).await.unwrap_err();
        let Error::Corrupt { fault: ArchiveFault::OtherInTable(path), .. } = error else { panic!("{error:?}") };
        assert_eq!(path, "evil", "{dialect:?}");
    }
}

#[tokio::test]
async fn files_are_listed_and_read() {
    let expected = Tree::parse("644 a \"first\"\n755 d/\n644 d/b \"second\"\n644 d/empty \"\"");
    for dialect in BOTH {
        let layer = chunked(&[("a", b"first"), ("d/b", b"second"), ("d/empty", b"")], dialect);
        let (_, client) = stored(layer.image(dialect)).await;
        let listing = client.list_files(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
        assert_eq!(paths(&listing), ["a", "d/b", "d/empty"], "{dialect:?}");
        assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&[])).await, expected, "{dialect:?}");
        assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&["**"])).await, expected, "{dialect:?}");
        let part = pulled(&client, &at(IN_MEMORY), &pull_of(&["d/b"])).await;
        assert_eq!(part, Tree::parse("755 d/\n644 d/b \"second\""));
        let inspection = client.inspect(&at(IN_MEMORY), &ReadOptions::default()).await.unwrap();
        let layers = inspection.image.unwrap().layers;
        assert_eq!((layers[0].kind, layers[0].files), (LayerKind::ZstdChunked, Some(3)), "{dialect:?}");
    }
}

/// Each as one request: the table where the manifest says that it is, or the end of the layer; then what is wanted.
#[tokio::test]
async fn little_more_is_fetched_than_is_wanted() {
    let [large, wanted] = [noise(3 << 20, 1), noise(50_000, 2)];
    for dialect in BOTH {
        let layer = chunked(&[("large", &large), ("wanted", &wanted), ("larger", &large)], dialect);
        let (memories, _) = stored(layer.image(dialect)).await;
        let registry = guarded(&memories).start().await;
        let (client, at) = (client(&registry), artifact(&registry));
        let blobs = || registry.take_requests().into_iter().filter(|request| request.path.contains("/blobs/"));
        client.list_files(&at, &ReadOptions::default()).await.unwrap();
        let sent: Vec<u64> = blobs().map(|request| request.sent).collect();
        match dialect {
            Dialect::Storage => assert_eq!(sent, [layer.compressed.len() as u64]),
            Dialect::Stargz => assert_eq!(sent, [64 << 10]),
        }
        let content = client.read_file(&at, "wanted", &ReadOptions::default(), Vec::new()).await.unwrap();
        assert!(content == wanted, "{dialect:?}");
        let sent: Vec<u64> = blobs().map(|request| request.sent).collect();
        assert!(sent.len() == 2 && sent[1] < 52_000, "{dialect:?}: {sent:?}");
        let (tree, _) = pull(&client, &at, &pull_of(&[])).await.unwrap();
        assert_eq!(tree.to_string().lines().count(), 3);
    }
}

#[tokio::test]
async fn table_that_nothing_vouches_for_is_read_when_asked_for() {
    for dialect in BOTH {
        let layer = chunked(&[("a", &noise(2 << 20, 1))], dialect);
        let (memories, _) = stored(layer.plain()).await;
        let registry = guarded(&memories).start().await;
        let (client, at) = (client(&registry), artifact(&registry));
        for (trust, is_short) in [(Trust::Unverified, true), (Trust::Verified, false)] {
            registry.take_requests();
            let options = ReadOptions { trust, ..ReadOptions::default() };
            assert_eq!(paths(&client.list_files(&at, &options).await.unwrap()), ["a"]);
            let sent: u64 = registry.take_requests().iter().map(|request| request.sent).sum();
            assert_eq!(sent < 100_000, is_short, "{dialect:?} {trust:?}");
        }
    }
}

#[tokio::test]
async fn lie_03_two_tables_and_another_than_the_manifest_names() {
    let layer = chunked(&[("a", b"first")], Dialect::Storage);
    let two = layer.image(Dialect::Storage).annotate_last(TOC_DIGEST_ANNOTATION, Digest::sha256(b"other").as_str());
    let (_, client) = stored(two).await;
    for chosen in [&[][..], &["a"]] {
        let error = pull(&client, &at(IN_MEMORY), &pull_of(chosen)).await.unwrap_err();
        assert!(matches!(error, Error::UnsupportedLayer { .. }), "{error:?}");
    }
    for dialect in BOTH {
        let wrong = [TOC_DIGEST_ANNOTATION, ZSTD_TOC_DIGEST_ANNOTATION][usize::from(dialect == Dialect::Storage)];
        let layer = chunked(&[("a", b"first")], dialect);
        let (_, client) = stored(layer.image(dialect).annotate_last(wrong, Digest::sha256(b"other").as_str())).await;
        let error = pull(&client, &at(IN_MEMORY), &pull_of(&["a"])).await.unwrap_err();
        assert!(
            matches!(&error, Error::Estargz { source: EstargzError::TocDigest { .. }, .. }),
            "{dialect:?}: {error:?}"
        );
    }
}

/// The position counts only beside the digest that belongs to it.
#[tokio::test]
async fn position_beside_another_digest_says_nothing() {
    let layer = chunked(&[("a", b"first")], Dialect::Stargz);
    let (_, client) = stored(layer.image(Dialect::Stargz).annotate_last(ZSTD_TOC_POSITION_ANNOTATION, "1:2:3:1")).await;
    assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&["a"])).await, Tree::parse(r#"644 a "first""#));
    let tree = Tree::parse(r#"644 a "gzipped""#);
    let gzipped = Image::new()
        .layer(MediaType::OCI_LAYER_GZIP, gzip(&tree.tar()))
        .annotate_last(ZSTD_TOC_DIGEST_ANNOTATION, Digest::sha256(b"other").as_str());
    let (_, client) = stored(gzipped).await;
    assert_eq!(pulled(&client, &at(IN_MEMORY), &pull_of(&["a"])).await, tree);
}

#[tokio::test]
async fn lie_22_limits_hold() {
    for dialect in BOTH {
        let (_, client) = stored(chunked(&[("a", &[0; 5000])], dialect).image(dialect)).await;
        for chosen in [&[][..], &["a"]] {
            let limits = Limits { file_bytes: 4_999, ..Limits::default() };
            let options = refs_client::PullOptions { limits, ..pull_of(chosen) };
            let error = pull(&client, &at(IN_MEMORY), &options).await.unwrap_err();
            assert!(matches!(error, Error::FileTooLarge { size: 5000, .. }), "{error:?}");
        }
    }
}

/// Layers that the tools themselves made, as files.
#[tokio::test]
async fn layers_of_both_tools_are_read_from_files() {
    for file in ["stargz.tar.zst", "stargz-chunks-of-4.tar.zst", "storage.tar.zst"] {
        let at = at(&format!("file://{}/../refs-estargz/tests/data/{file}", env!("CARGO_MANIFEST_DIR")));
        let (_, client) = memory();
        let listing = client.list_files(&at, &ReadOptions::default()).await.unwrap();
        assert_eq!(listing.access, Access::Index, "{file}");
        for path in ["foo.txt", "link"] {
            let content = client.read_file(&at, path, &ReadOptions::default(), Vec::new()).await.unwrap();
            assert_eq!(content, b"This is twenty-three b.", "{file}");
        }
        let part = pulled(&client, &at, &pull_of(&["bar/bar.txt"])).await;
        assert_eq!(part, Tree::parse("755 bar/\n755 bar/bar.txt \"aaa\""), "{file}");
    }
}
