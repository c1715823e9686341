//! Images in an index that does not say what they are for: their configs do.

use refs_client::{Error, ReadOptions};
use refs_registry::{Descriptor, Platform};
use refs_testkit::{FakeRegistry, Image, image::index};

use crate::{
    lone_images::put,
    setup::{anonymous, artifact},
};

/// What an image in an index is for.
#[derive(Debug, Clone, Copy)]
enum For {
    /// The index names this platform, the config none.
    Named(&'static str),
    /// The index names none, and the config says this.
    Config(&'static str),
    /// It is an artifact, and for no platform.
    Files(&'static str),
    /// The index names none, and what it lists is not there.
    Absent,
}

use For::{Absent, Config, Files, Named};

const AMD64: &str = r#""architecture":"amd64","os":"linux""#;
const AMD64_V2: &str = r#""architecture":"amd64","os":"linux","variant":"v2""#;
const I386: &str = r#""architecture":"386","os":"linux""#;
const MIPS: &str = r#""architecture":"mips","os":"plan9""#;
const SILENT: &str = r#""created":"2026-01-02T03:04:05Z""#;

/// Puts an index of these images at `v1`, and gives what it lists.
async fn push(registry: &FakeRegistry, images: &[For]) -> Vec<Descriptor> {
    let repository = registry.repository("o/r");
    let mut manifests = Vec::new();
    for image in images {
        let descriptor = match image {
            Named(platform) => {
                let descriptor = put(&*repository, SILENT).await.descriptor;
                Descriptor { platform: Platform::parse(platform), ..descriptor }
            }
            Config(said) => put(&*repository, said).await.descriptor,
            Files(name) => Image::new().file(name, "x").push(&*repository, &[]).await.unwrap().descriptor,
            Absent => Image::new().file("absent", "x").manifest().unwrap().descriptor,
        };
        manifests.push(descriptor);
    }
    let top = index(manifests.clone()).unwrap();
    repository.put_manifest(&top, &["v1".parse().unwrap()]).await.unwrap();
    manifests
}

/// Which of `images` is taken for `wanted`, and how many requests that takes.
#[track_caller]
fn check(images: &[For], wanted: &str, expected: (Result<usize, &str>, usize)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (found, requests) = runtime.block_on(async {
        let registry = FakeRegistry::start().await;
        let manifests = push(&registry, images).await;
        registry.take_requests();
        let wanted = Platform::parse(wanted).unwrap();
        let resolved = anonymous().resolve_platform(&artifact(&registry), &wanted).await;
        let place = |digest| manifests.iter().position(|listed| listed.digest == digest).unwrap();
        let told = |error: Error| error.to_string().replace(&artifact(&registry).to_string(), "it");
        (resolved.map(|found| place(found.digest)).map_err(told), registry.requests().len())
    });
    assert_eq!(
        (found.as_ref().map(|place| *place).map_err(String::as_str), requests),
        expected,
        "{wanted}: {images:?}"
    );
}

#[test]
fn config_tells_where_nothing_that_is_named_fits() {
    // The index; manifest and config of each that is looked into; the manifest that was found.
    check(&[Named("linux/arm64"), Config(AMD64)], "linux/amd64", (Ok(1), 4));
    check(&[Config(MIPS), Named("linux/arm64"), Config(AMD64)], "linux/amd64", (Ok(2), 6));
    check(&[Config(MIPS), Config(AMD64)], "linux/amd64", (Ok(1), 6));
    check(&[Files("a"), Config(AMD64)], "linux/amd64", (Ok(1), 5));
    check(&[Absent, Config(AMD64)], "linux/amd64", (Ok(1), 5));
}

#[test]
fn best_of_those_without_a_name_is_taken() {
    check(&[Config(I386), Config(AMD64), Config(AMD64_V2)], "linux/amd64/v3", (Ok(2), 8));
    check(&[Config(I386), Config(AMD64), Config(AMD64_V2)], "linux/amd64", (Ok(1), 6));
}

#[test]
fn what_is_named_comes_first_and_needs_no_config() {
    check(&[Config(AMD64), Named("linux/386")], "linux/amd64", (Ok(1), 2));
    check(&[Config(AMD64), Named("linux/amd64")], "linux/amd64", (Ok(1), 2));
}

#[test]
fn what_does_not_fit_is_listed() {
    let words = "no image for platform linux/s390x in it: it has linux/amd64, linux/arm64, plan9/mips";
    check(&[Named("linux/arm64"), Config(AMD64), Config(MIPS)], "linux/s390x", (Err(words), 5));
    let words = "no image for platform linux/s390x in it: it has linux/amd64";
    check(&[Files("a"), Config(AMD64), Absent, Config(SILENT)], "linux/s390x", (Err(words), 7));
}

#[test]
fn what_tells_nothing_is_not_guessed_at() {
    check(&[Files("a"), Files("b")], "linux/amd64", (Err("none of the 2 manifests in it names its platform"), 3));
    let words = "none of the 2 manifests in it names its platform";
    check(&[Config(SILENT), Config(r#""architecture":5"#)], "linux/amd64", (Err(words), 5));
    check(&[Config(r#""os":"linux","architecture":"amd64","variant":7"#), Files("b")], "linux/amd64", (Err(words), 4));
}

#[test]
fn lone_one_is_taken_unseen() {
    check(&[Files("a")], "linux/amd64", (Ok(0), 2));
}

#[tokio::test]
async fn no_more_images_are_looked_into_than_anyone_needs() {
    let registry = FakeRegistry::start().await;
    let names: Vec<String> = (0..40).map(|number| format!("file-{number}")).collect();
    let repository = registry.repository("o/r");
    let mut manifests = Vec::new();
    for name in &names {
        manifests.push(Image::new().file(name, "x").push(&*repository, &[]).await.unwrap().descriptor);
    }
    repository.put_manifest(&index(manifests).unwrap(), &["v1".parse().unwrap()]).await.unwrap();
    registry.take_requests();
    let error = anonymous().list_files(&artifact(&registry), &ReadOptions::default()).await.unwrap_err();
    assert!(matches!(error, Error::PlatformUnknown { manifests: 40, .. }), "{error:?}");
    assert_eq!(registry.requests().len(), 33);
}
