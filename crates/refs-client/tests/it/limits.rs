//! How much a pull may write: a figure equal to its limit passes, one more does not, and 0 is no limit.

use refs_client::{Limits, PullOptions};
use refs_testkit::{Image, Tree};

use crate::setup::{IN_MEMORY, at, pull, pull_of, pushed};

const NONE: Limits = Limits { file_bytes: 0, total_bytes: 0, entries: 0 };
const TREE: &str = r#"
    755 d/
    644 d/a "12345"
    644 d/b "123456"
    644 e "1"
    777 link -> e
"#;

/// What a pull of `chosen` gives with `limits`: in words, and files when it is complete. Of the layer that [`pushed`]
/// made and of a plain archive alike.
async fn check(chosen: &[&str], limits: Limits, expected: Result<u64, &str>) {
    let tree = Tree::parse(TREE);
    let (memories, client, _) = pushed(&tree).await;
    let plain = memories.repository(&"localhost".parse().unwrap(), &"o/plain".parse().unwrap());
    Image::new().tree(&tree).push(&plain, &["v1"]).await.unwrap();
    for place in [IN_MEMORY, "localhost/o/plain:v1"] {
        let options = PullOptions { limits, ..pull_of(chosen) };
        let outcome = pull(&client, &at(place), &options).await;
        let outcome = outcome.map(|(_, report)| report.files).map_err(|error| error.to_string());
        assert_eq!(outcome, expected.map_err(str::to_owned), "{place} {chosen:?} {limits:?}");
    }
}

#[tokio::test]
async fn file_may_be_as_large_as_its_limit() {
    check(&[], Limits { file_bytes: 6, ..NONE }, Ok(3)).await;
    let words = "`d/b` has 6 bytes, more than the limit of 5 for a file";
    check(&[], Limits { file_bytes: 5, ..NONE }, Err(words)).await;
}

#[tokio::test]
async fn files_may_be_as_large_as_the_limit_of_all() {
    check(&[], Limits { total_bytes: 12, ..NONE }, Ok(3)).await;
    let words = "the files have more than 11 bytes together";
    check(&[], Limits { total_bytes: 11, ..NONE }, Err(words)).await;
}

#[tokio::test]
async fn every_entry_counts() {
    check(&[], Limits { entries: 5, ..NONE }, Ok(3)).await;
    let words = "there are more than 4 files, directories and links";
    check(&[], Limits { entries: 4, ..NONE }, Err(words)).await;
}

#[tokio::test]
async fn what_is_not_chosen_does_not_count() {
    check(&["e"], Limits { file_bytes: 1, total_bytes: 1, entries: 1 }, Ok(1)).await;
    check(&["d/*"], Limits { file_bytes: 6, total_bytes: 11, entries: 2 }, Ok(2)).await;
    let words = "the files have more than 10 bytes together";
    check(&["d/*"], Limits { total_bytes: 10, ..NONE }, Err(words)).await;
}

#[tokio::test]
async fn nothing_is_limited_by_zero() {
    check(&[], NONE, Ok(3)).await;
}
