use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use refs_client::{DestinationFault, GraphLimit, LayerLimit, LocationFault, Portion, Side, manifest_file::Faults};
use refs_estargz::{ChunkFault, FieldFault, TocPart};
use refs_registry::{
    Error as Wire, MediaType, Platform,
    error::{Detail, Doing, Place, Setting, Wanted},
};
use refs_url::{Digest, Reference};

use super::*;

fn digest() -> Digest {
    Digest::sha256(b"")
}

fn wanted() -> Wanted {
    Wanted::Blob(digest())
}

fn text() -> String {
    String::new()
}

fn failed() -> io::Error {
    io::ErrorKind::Other.into()
}

/// The variants of the enum `name` in the file `source`: from outside of its crate no match can be made to name them all.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let (_, behind) = source.split_once(&format!("pub enum {name} {{\n")).unwrap();
    let (body, _) = behind.split_once("\n}").unwrap();
    let named = body.lines().filter_map(|line| line.strip_prefix("    "));
    named.filter(|line| line.starts_with(|start: char| start.is_ascii_uppercase())).map(word).collect()
}

/// The name that a declaration, or what `Debug` shows, begins with.
fn word(text: &str) -> String {
    text.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// All variants have a row, but those of `elsewhere`, and each row has its code.
#[track_caller]
fn check<E: std::fmt::Debug>(rows: &[(E, u8)], code: impl Fn(&E) -> u8, all: &BTreeSet<String>, elsewhere: &[&str]) {
    for (error, expected) in rows {
        assert_eq!(code(error), *expected, "{error:?}");
    }
    let mut named: BTreeSet<String> = rows.iter().map(|(error, _)| word(&format!("{error:?}"))).collect();
    named.extend(elsewhere.iter().map(|&name| name.to_owned()));
    assert_eq!(&named, all);
}

#[test]
fn every_error_of_a_verb_has_its_code() {
    let (at, path) = (text, text);
    let file = PathBuf::new;
    let source = |fault| Error::Source { path: file(), fault };
    let corrupt = |fault| Error::Corrupt { layer: digest(), offset: 0, fault };
    let config = |fault| Error::Config { config: digest(), fault };
    let pack = |source| Error::Pack { path: file(), source };
    let refused = || Wire::Busy { path: file() };
    let outside = refs_estargz::PathFault::Parent;
    let rows = [
        (Error::Reference(Reference::parse("").unwrap_err()), USAGE),
        (Error::Location { input: text(), fault: LocationFault::NoTarget }, USAGE),
        (Error::Registry(refused()), CONFLICT),
        (Error::Copy { side: Side::Source, what: Portion::Artifact, at: at(), source: Box::new(refused()) }, CONFLICT),
        (Error::OtherDigest { at: at(), expected: digest().into(), actual: digest().into() }, CONFLICT),
        (
            Error::TagMoved {
                at: at(),
                tag: "v1".parse().unwrap(),
                expected: digest().into(),
                actual: digest().into(),
            },
            CONFLICT,
        ),
        (Error::GraphTooLarge { at: at(), limit: GraphLimit::Depth(1) }, LIMIT),
        (Error::NoStore { at: at() }, USAGE),
        (Error::Estargz { layer: digest(), source: refs_estargz::Error::NotEstargz }, INTEGRITY),
        (pack(refs_estargz::Error::Path { path: path(), fault: outside }), LIMIT),
        (pack(refs_estargz::Error::Worker), OTHER),
        (corrupt(ArchiveFault::Truncated), INTEGRITY),
        (corrupt(ArchiveFault::Compression(text())), INTEGRITY),
        (corrupt(ArchiveFault::Changed), INTEGRITY),
        (corrupt(ArchiveFault::NoDigestInTable(text())), UNSUPPORTED),
        (corrupt(ArchiveFault::ExtensionTooLarge { size: 2, limit: 1 }), LIMIT),
        (corrupt(ArchiveFault::TooMuchPadding { limit: 1 }), LIMIT),
        (Error::FileDigest { path: path(), expected: digest(), actual: digest() }, INTEGRITY),
        (Error::DiffId { layer: digest(), expected: digest(), actual: digest() }, INTEGRITY),
        (config(ConfigFault::Json(Arc::from(""))), INTEGRITY),
        (config(ConfigFault::Field { field: "", expected: "", found: "" }), INTEGRITY),
        (config(ConfigFault::DiffIds { diff_ids: 1, layers: 2 }), INTEGRITY),
        (config(ConfigFault::MediaType { found: text() }), UNSUPPORTED),
        (config(ConfigFault::RootFsType { found: text() }), UNSUPPORTED),
        (Error::UnsupportedLayer { layer: digest(), media_type: MediaType::OCI_LAYER, reason: "" }, UNSUPPORTED),
        (Error::LayerLimit { layer: digest(), limit: LayerLimit::Layers(1) }, LIMIT),
        (Error::LayerLimit { layer: digest(), limit: LayerLimit::TextBytes(1) }, LIMIT),
        (Error::NotArchive { path: file(), found: "" }, UNSUPPORTED),
        (Error::NoMatch { at: at(), patterns: Vec::new() }, NOT_FOUND),
        (Error::FileNotFound { at: at(), path: path(), behind: None, nearest: None }, NOT_FOUND),
        (Error::NotFile { at: at(), path: path(), kind: "" }, NOT_FOUND),
        (Error::InvalidRange { input: text() }, USAGE),
        (Error::RangeOutside { path: path(), start: 1, size: 0 }, USAGE),
        (Error::ManifestNotFound { at: at(), name: text() }, NOT_FOUND),
        (Error::ManifestFile { path: file(), source: Faults(Vec::new()) }, USAGE),
        (
            Error::NoMatchingVersion {
                at: at(),
                constraint: "1".parse().unwrap(),
                available: Vec::new(),
                left_out: None,
            },
            NOT_FOUND,
        ),
        (Error::NoVersions { at: at(), others: 0 }, NOT_FOUND),
        (Error::TagViolates { at: at(), constraint: "1".parse().unwrap() }, USAGE),
        (Error::PlatformNotFound { at: at(), wanted: Platform::linux_here().into(), available: Vec::new() }, NOT_FOUND),
        (Error::NoImage { at: at() }, NOT_FOUND),
        (Error::PlatformUnknown { at: at(), manifests: 2 }, NOT_FOUND),
        (Error::IndexTooDeep { at: at(), limit: 1 }, LIMIT),
        (Error::IndexTooWide { at: at(), limit: 1 }, LIMIT),
        (Error::UnsafePath { path: path(), reason: "" }, LIMIT),
        (Error::UnsafeLink { path: path(), target: text(), reason: "" }, LIMIT),
        (Error::SpecialFile { path: path(), kind: "" }, LIMIT),
        (Error::PathConflict { path: path() }, LIMIT),
        (Error::FileTooLarge { path: path(), size: 2, limit: 1 }, LIMIT),
        (Error::TotalTooLarge { total: 2, limit: 1 }, LIMIT),
        (Error::TooManyEntries { count: 2, limit: 1 }, LIMIT),
        (Error::Destination { path: file(), fault: DestinationFault::NotEmpty }, CONFLICT),
        (source(SourceFault::Missing), USAGE),
        (source(SourceFault::BadExclusion(text())), USAGE),
        (source(SourceFault::SpecialFile("")), LIMIT),
        (source(SourceFault::NotUnicode), OTHER),
        (Error::Io { doing: Doing::Read, path: file(), source: failed() }, OTHER),
        (Error::Output { path: path(), source: failed() }, OTHER),
        (Error::Worker, OTHER),
    ];
    // Its cause is another crate's, which only a verb brings about: tests of the program have it.
    let elsewhere = ["InvalidGlob"];
    check(&rows, client_code, &variants(include_str!("../../../refs-client/src/error/mod.rs"), "Error"), &elsewhere);
}

#[test]
fn every_error_of_a_repository_has_its_code() {
    let io = |kind: io::ErrorKind| Wire::io(Doing::Write, "", kind.into());
    let manifest = |fault| Wire::Manifest { wanted: wanted(), fault };
    let place = || Place::from("");
    let rows = [
        (Wire::NotFound { wanted: wanted(), at: place(), code: None }, NOT_FOUND),
        (
            Wire::Unauthorized { host: "a.b".parse().unwrap(), tried: Vec::new(), detail: Detail::default() },
            UNAUTHORIZED,
        ),
        (Wire::RateLimited { host: "a.b".parse().unwrap(), retry_after: None }, RATE_LIMITED),
        (Wire::Unreachable { host: "a.b".parse().unwrap(), source: Arc::new(failed()) }, UNREACHABLE),
        (Wire::Digest { wanted: wanted(), actual: digest() }, INTEGRITY),
        (Wire::Size { wanted: wanted(), expected: 1, actual: 2 }, INTEGRITY),
        (Wire::Sizes { wanted: wanted(), smaller: 1, larger: 2 }, INTEGRITY),
        (Wire::TooLarge { wanted: wanted(), limit: 1 }, LIMIT),
        (manifest(ManifestFault::Json(Arc::from(""))), INTEGRITY),
        (manifest(ManifestFault::Ambiguous), INTEGRITY),
        (manifest(ManifestFault::MediaType { expected: text(), found: text() }), INTEGRITY),
        (manifest(ManifestFault::Unknown(text())), UNSUPPORTED),
        (Wire::unsupported(wanted(), place()), UNSUPPORTED),
        (Wire::Conflict { wanted: wanted(), at: place(), detail: Detail::default() }, CONFLICT),
        (Wire::Settings { what: Setting::NoLoginFile, source: Arc::new(failed()) }, USAGE),
        (io(io::ErrorKind::Other), OTHER),
        (io(io::ErrorKind::DirectoryNotEmpty), CONFLICT),
        (io(io::ErrorKind::StorageFull), OTHER),
        (Wire::Corrupt { path: PathBuf::new(), fault: text() }, INTEGRITY),
        (Wire::NotCached { wanted: wanted(), of: None, lost: None }, NOT_FOUND),
        (Wire::Busy { path: PathBuf::new() }, CONFLICT),
    ];
    // These name a request, which only a registry brings about; their kinds are below.
    let elsewhere = ["Cut", "Denied", "LittleTaken", "Protocol", "Refused", "Timeout"];
    check(
        &rows,
        registry_code,
        &variants(include_str!("../../../refs-registry/src/error/mod.rs"), "Error"),
        &elsewhere,
    );
}

#[test]
fn every_kind_of_error_has_its_code() {
    let rows = [
        (ErrorKind::NotFound, NOT_FOUND),
        (ErrorKind::Unauthorized, UNAUTHORIZED),
        (ErrorKind::Denied, DENIED),
        (ErrorKind::RateLimited, RATE_LIMITED),
        (ErrorKind::Unreachable, UNREACHABLE),
        (ErrorKind::Timeout, UNREACHABLE),
        (ErrorKind::Protocol, OTHER),
        (ErrorKind::Digest, INTEGRITY),
        (ErrorKind::Size, INTEGRITY),
        (ErrorKind::Unsupported, UNSUPPORTED),
        (ErrorKind::Conflict, CONFLICT),
        (ErrorKind::Settings, USAGE),
        (ErrorKind::Io, OTHER),
        (ErrorKind::Full, OTHER),
        (ErrorKind::Corrupt, INTEGRITY),
        (ErrorKind::NotCached, NOT_FOUND),
        (ErrorKind::Busy, CONFLICT),
    ];
    let all = variants(include_str!("../../../refs-registry/src/error/meaning.rs"), "ErrorKind");
    check(&rows, |kind| kind_code(*kind), &all, &[]);
}

#[test]
fn what_is_wrong_with_a_table_of_contents_has_its_code() {
    use refs_estargz::Error as Estargz;
    let path = text;
    for (error, expected) in [
        (Estargz::NotEstargz, INTEGRITY),
        (Estargz::ExternalToc, UNSUPPORTED),
        (Estargz::TocType { toc_type: 2 }, UNSUPPORTED),
        (Estargz::Version { version: 2 }, UNSUPPORTED),
        (Estargz::DigestAlgorithm { digest: digest() }, UNSUPPORTED),
        (Estargz::TocLimit { part: TocPart::Entries, limit: 1 }, LIMIT),
        (Estargz::Path { path: path(), fault: refs_estargz::PathFault::Deep }, LIMIT),
        (Estargz::Link { path: path(), target: text(), fault: refs_estargz::LinkFault::Long }, LIMIT),
        (Estargz::Field { path: path(), fault: FieldFault::LargeXattrs }, LIMIT),
        (Estargz::Field { path: path(), fault: FieldFault::Mtime }, INTEGRITY),
        (Estargz::Chunk { path: path(), fault: ChunkFault::Large }, LIMIT),
        (Estargz::Chunk { path: path(), fault: ChunkFault::Overlap }, INTEGRITY),
        (Estargz::NotFound { path: path() }, NOT_FOUND),
        (Estargz::NotFile { path: path() }, NOT_FOUND),
        (Estargz::FooterSyntax, INTEGRITY),
        (Estargz::TocDigest { expected: digest(), actual: digest() }, INTEGRITY),
        (Estargz::SpanCut { offset: 0 }, INTEGRITY),
    ] {
        assert_eq!(estargz_code(&error), expected, "{error:?}");
    }
}
