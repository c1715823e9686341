//! Archives that try to get out of the destination, or to be two things to two readers, pulled from a registry. The numbers
//! in the names of tests are those of the attacks; nothing beside the destination may change in any.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use refs_client::{ArchiveFault, Client, Error, Limits, PullOptions};
use refs_registry::MediaType;
use refs_store::Memories;
use refs_testkit::{
    Image, Tree,
    image::{gzip, zstd},
};
use tempfile::TempDir;

use crate::setup::{IN_MEMORY, artifact, at, client, guarded, memory, pull_of};

/// A directory with a place to pull to, and others that must stay as they are.
struct Ground {
    directory: TempDir,
}

impl Ground {
    fn new() -> Self {
        // In memory where the system has such a place: there a directory is durable at once.
        let ground = Self { directory: TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap() };
        Tree::parse("755 outside/\n700 outside/closed/\n600 outside/canary \"alive\"").write(ground.path()).unwrap();
        ground
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn destination(&self) -> PathBuf {
        self.path().join("destination")
    }

    /// What is there, with modes and times.
    fn look(&self) -> String {
        Tree::read_with_times(self.path()).unwrap().to_string()
    }
}

/// A block that starts an entry, and its content.
fn entry(kind: u8, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    with_size(kind, name, link, content.len() as u64, content)
}

fn with_size(kind: u8, name: &str, link: &str, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.as_old_mut().linkflag = [kind];
    header.set_mode(0o7777);
    header.set_size(size);
    header.set_cksum();
    let mut entry = [header.as_bytes(), content].concat();
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn file(name: &str) -> Vec<u8> {
    entry(b'0', name, "", b"evil")
}

fn directory(name: &str) -> Vec<u8> {
    entry(b'5', name, "", b"")
}

fn symlink(name: &str, target: &str) -> Vec<u8> {
    entry(b'2', name, target, b"")
}

fn hardlink(name: &str, target: &str) -> Vec<u8> {
    entry(b'1', name, target, b"")
}

/// An extended header of one record.
fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|length| length.to_string().len() + rest == *length).unwrap();
    entry(b'x', "x", "", format!("{length} {key}={value}\n").as_bytes())
}

/// What an error is, and what is at fault in an archive.
fn said(error: &Error) -> String {
    match error {
        Error::UnsafePath { .. } => "unsafe path".to_owned(),
        Error::UnsafeLink { .. } => "unsafe link".to_owned(),
        Error::PathConflict { .. } => "conflict".to_owned(),
        Error::SpecialFile { .. } => "special file".to_owned(),
        Error::FileTooLarge { .. } => "file too large".to_owned(),
        Error::TooManyEntries { .. } => "too many entries".to_owned(),
        Error::Corrupt { fault: ArchiveFault::Compression(_), .. } => "compression".to_owned(),
        Error::Corrupt { fault, .. } => fault.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn put(image: Image) -> (Memories, Client) {
    let (memories, client) = memory();
    let repository = memories.repository(&"localhost".parse().unwrap(), &"o/r".parse().unwrap());
    image.push(&repository, &["v1"]).await.unwrap();
    (memories, client)
}

/// What pulling the layers of `image` gives, all of them and by a pattern that means all.
async fn pulled(image: Image) -> Result<String, String> {
    let (memories, _) = put(image).await;
    let registry = guarded(&memories).start().await;
    let mut outcomes = Vec::new();
    for patterns in [&[][..], &["**"]] {
        let ground = Ground::new();
        let before = ground.look();
        let outcome = client(&registry).pull(&artifact(&registry), &ground.destination(), &pull_of(patterns)).await;
        outcomes.push(match outcome {
            Ok(_) => Ok(Tree::read(&ground.destination()).unwrap().to_string()),
            Err(error) => Err(said(&error)),
        });
        let _ = fs::remove_dir_all(ground.destination());
        // A directory's own time changes with what is made in it.
        assert_eq!(ground.look(), before, "{outcomes:?}");
    }
    assert_eq!(outcomes[0], outcomes[1]);
    outcomes.remove(0)
}

/// An image with a layer of these entries behind a harmless one.
fn layer(entries: &[Vec<u8>]) -> Image {
    Image::new().layer(MediaType::OCI_LAYER_GZIP, gzip(&archive(entries)))
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [&file("good")[..], &entries.concat(), &[0; 1024]].concat()
}

#[track_caller]
fn check(entries: &[Vec<u8>], expected: Result<&str, &str>) -> impl Future<Output = ()> {
    check_image(layer(entries), expected)
}

async fn check_image(image: Image, expected: Result<&str, &str>) {
    let sorted = |tree: &str| {
        let mut lines: Vec<_> = tree.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected = expected.map(|tree| sorted(&format!("{tree}\n755 good \"evil\""))).map_err(str::to_owned);
    assert_eq!(pulled(image).await.map(|tree| sorted(&tree)), expected);
}

#[tokio::test]
async fn m114_paths_that_lead_out() {
    for name in ["/abs", "//x", "../outside/canary", "a/../../outside/canary", "..", "a/..", "./../x"] {
        for entry in [file(name), directory(name), symlink(name, "x"), hardlink(name, "good")] {
            check(&[entry], Err("unsafe path")).await;
        }
        check(&[pax("path", name), file("x")], Err("unsafe path")).await;
    }
    check(&[pax("path", "a\0b"), file("x")], Err("unsafe path")).await;
    check(&[file("..\\..\\x"), file("%2e%2e%2fy")], Ok("755 ..\\\\..\\\\x \"evil\"\n755 %2e%2e%2fy \"evil\"")).await;
}

#[tokio::test]
async fn m116_links_that_lead_out_and_what_is_written_through_them() {
    let ground = Ground::new();
    let outside = ground.path().join("outside").display().to_string();
    for target in [outside.as_str(), "/", "../outside", "a/../../outside", ".."] {
        check(&[symlink("x", target)], Err("unsafe link")).await;
        check(&[symlink("x", target), file("x/canary")], Err("unsafe link")).await;
        check(&[symlink("x", target), symlink("x/y", "/"), file("x/y/z")], Err("unsafe link")).await;
        check(&[pax("linkpath", target), symlink("x", "good")], Err("unsafe link")).await;
    }
    check(&[directory("d"), symlink("x", "d"), file("x/f")], Err("conflict")).await;
    check(&[directory("d"), symlink("d/up", ".."), symlink("x", "d/up/../outside")], Err("unsafe link")).await;
}

#[tokio::test]
async fn m118_m119_what_takes_the_place_of_a_link() {
    check(&[symlink("x", "good"), file("x")], Err("conflict")).await;
    let lower = || layer(&[directory("d"), symlink("x", "d"), symlink("y", "good")]);
    let upper = |entries: &[Vec<u8>]| lower().layer(MediaType::OCI_LAYER, entries.concat());
    check_image(upper(&[file("y")]), Ok("755 d/\n777 x -> d\n755 y \"evil\"")).await;
    // The directory of the same name changed the mode of what the link leads to: CVE-2026-33056.
    check_image(upper(&[directory("x")]), Ok("755 d/\n755 x/\n777 y -> good")).await;
    check(&[symlink("x", "../outside/closed"), directory("x")], Err("unsafe link")).await;
    check(&[directory("d"), symlink("x", "d"), directory("x")], Err("conflict")).await;
}

#[tokio::test]
async fn m121_hard_links_to_what_is_no_file_of_the_artifact() {
    let ground = Ground::new();
    let canary = ground.path().join("outside/canary").display().to_string();
    for target in [canary.as_str(), "../outside/canary", "a/../../outside/canary", "missing", "d", "s/f", "h", ""] {
        let entries = [directory("d"), file("d/f"), symlink("s", "d"), hardlink("h", target)];
        check(&entries, Err("unsafe link")).await;
    }
    check(&[hardlink("h", "good")], Ok("755 h \"evil\"")).await;
}

#[tokio::test]
async fn m125_m126_things_that_are_no_files_and_modes_that_are_no_permissions() {
    for kind in *b"346S" {
        check(&[entry(kind, "n", "", b"")], Err("special file")).await;
    }
    let owned =
        [pax("uid", "1099511627776"), directory("d"), pax("SCHILY.xattr.security.capability", "x"), file("d/f")];
    check(&owned, Ok("755 d/\n755 d/f \"evil\"")).await;
}

/// CVE-2025-62518 and its kin: a size that one reader takes from here and another from there.
#[tokio::test]
async fn m127_headers_in_what_is_content() {
    let hidden = [&file("hidden")[..], &[0; 512]].concat();
    let shown = |content: &[u8]| Tree::new().file("f", content.to_vec()).to_string().replace("644", "755");
    let outer = shown(&hidden);
    assert_eq!(hidden.len(), 1536);
    check(&[pax("size", "1536"), with_size(b'0', "f", "", 0, &hidden)], Ok(&outer)).await;
    check(&[pax("size", "1536"), with_size(b'0', "f", "", 5, &hidden)], Ok(&outer)).await;
    // What an extended header says is of the file, and not of the long name between them.
    let named = |size| [pax("size", size), entry(b'L', "L", "", b"f\0"), with_size(b'0', "x", "", 4, &hidden)];
    check(&named("1536"), Ok(&outer)).await;
    check(&[pax("size", "0"), with_size(b'0', "f", "", 512, &hidden)], Ok("755 f \"\"\n755 hidden \"evil\"")).await;
    for size in ["-1", "+4", " 4", "0x4", "18446744073709551616", "4.0"] {
        check(&named(size), Err("a header's field `size` cannot be read")).await;
    }
    for kind in *b"12356" {
        let with_data = with_size(kind, "n", "good", 512, &hidden);
        check(&[with_data], Err("`n` declares data that its type cannot have")).await;
    }
}

/// Extensions that are no such thing are not passed over: another reader may not do that.
#[tokio::test]
async fn m127_malformed_extensions() {
    for records in [&b"path=a\n"[..], b"99 path=a\n", b"9 path=a ", b"5 path\n", b"-9 path=a\n"] {
        check(&[entry(b'x', "x", "", records), file("f")], Err("a header's field `extended header` cannot be read"))
            .await;
    }
    check(&[pax("path", "a"), pax("path", "b"), file("f")], Err("a header's field `extended header` cannot be read"))
        .await;
    let twice = [entry(b'L', "L", "", b"a\0"), entry(b'L', "L", "", b"b\0"), file("f")];
    check(&twice, Err("a header's field `long name` cannot be read")).await;
    let huge = with_size(b'x', "x", "", 1 << 40, b"");
    check(&[huge], Err("an extension header has 1099511627776 bytes, more than 1048576")).await;
}

#[tokio::test]
async fn m132_streams_that_are_broken() {
    let tar = archive(&[]);
    let [packed, frame] = [gzip(&tar), zstd(&tar)].map(|bytes| bytes.to_vec());
    let changed = |at: usize| {
        let mut changed = packed.clone();
        changed[at] ^= 0xff;
        changed
    };
    let end = packed.len();
    let (truncated, no_tar) = ("it ends in the middle of an entry", "a header's field `checksum` cannot be read");
    let rows = [
        (packed[..end - 9].to_vec(), truncated),
        (packed[..end - 1].to_vec(), truncated),
        (packed[..20].to_vec(), truncated),
        (changed(end - 8), "compression"),
        (changed(end - 1), "compression"),
        (gzip(&packed).to_vec(), truncated),
        ([&packed[..], b"and what is no member"].concat(), "compression"),
        (frame[..frame.len() - 1].to_vec(), truncated),
        (b"\x28\xb5\x2f\xfd".to_vec(), truncated),
        (b"<html>not found</html>".repeat(50), no_tar),
    ];
    for (bytes, expected) in rows {
        check_image(Image::new().layer(MediaType::OCI_LAYER_GZIP, bytes), Err(expected)).await;
    }
    let members = [gzip(&tar[..700]), gzip(&tar[700..])].concat();
    check_image(Image::new().layer(MediaType::OCI_LAYER_GZIP, members), Ok("")).await;
    check_image(Image::new().layer(MediaType::OCI_LAYER_GZIP, frame), Ok("")).await;
}

#[tokio::test]
async fn m165_m170_more_than_a_pull_may_write() {
    check(&[with_size(b'0', "f", "", i64::MAX as u64, b"x")], Err("file too large")).await;
    check(&[with_size(b'0', "f", "", (100 << 20) + 1, b"x")], Err("file too large")).await;
    let entries: Vec<_> = (0..10_000).map(|number| directory(&number.to_string())).collect();
    check(&entries, Err("too many entries")).await;
}

/// Without limits there is still no room made for what is only claimed.
#[tokio::test]
async fn m170_a_size_that_is_only_claimed() {
    let (_, client) = put(layer(&[with_size(b'0', "f", "", i64::MAX as u64, b"x")])).await;
    let ground = Ground::new();
    let limits = Limits { file_bytes: 0, total_bytes: 0, entries: 0 };
    let options = PullOptions { limits, ..PullOptions::default() };
    let error = client.pull(&at(IN_MEMORY), &ground.destination(), &options).await.unwrap_err();
    assert_eq!(said(&error), "it ends in the middle of an entry");
    assert_eq!(fs::read_dir(ground.path()).unwrap().count(), 1);
    assert_eq!(fs::metadata(ground.path().join("outside/closed")).unwrap().permissions().mode() & 0o7777, 0o700);
}
