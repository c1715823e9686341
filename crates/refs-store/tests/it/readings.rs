//! Ways to read a blob through a store, in any order.

use std::sync::Arc;

use proptest::prelude::*;
use refs_registry::{Result, Resume, Source, Wire};
use refs_store::{Cached, Memory, MemoryStore, Origin};
use refs_url::Hasher;

use crate::content::{digest, put, read, read_part, text};

/// A way to read a blob.
#[derive(Debug, Clone)]
enum Reading {
    Whole,
    Resumed(usize),
    Part(usize, usize),
    BrokenOff,
    Distrust,
}

fn any_reading() -> impl Strategy<Value = Reading> {
    const BYTES: usize = CONTENT.len();
    prop_oneof![
        1 => Just(Reading::Whole),
        1 => (0..=BYTES).prop_map(Reading::Resumed),
        6 => (0..=BYTES, 0..=BYTES).prop_map(|(one, other)| Reading::Part(one.min(other), one.max(other))),
        3 => (0..=BYTES).prop_map(|start| Reading::Part(start, BYTES)),
        1 => Just(Reading::BrokenOff),
        1 => Just(Reading::Distrust),
    ]
}

const CONTENT: &str = "the whole content of a blob";

async fn check_reading(cached: &Cached, reading: &Reading) -> Result<()> {
    let digest = digest(CONTENT);
    match *reading {
        Reading::Whole => assert_eq!(read(cached, &digest).await?, CONTENT),
        Reading::Resumed(at) => {
            let mut hasher = Hasher::sha256();
            hasher.update(&CONTENT.as_bytes()[..at]);
            let blob = cached.blob(&digest, Resume::at(at as u64, hasher)).await?;
            assert_eq!(text(blob.stream).await?, CONTENT[at..]);
        }
        Reading::Part(start, end) => {
            assert_eq!(read_part(cached, &digest, start as u64..end as u64).await?, CONTENT[start..end]);
        }
        Reading::BrokenOff => drop(cached.blob(&digest, Resume::START).await?),
        Reading::Distrust => drop(cached.distrust().await),
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_read_does_not_depend_on_what_was_read_before(
        readings in proptest::collection::vec((any_reading(), any::<bool>()), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (origin, store) = (Arc::new(Memory::new()), Arc::new(MemoryStore::new()));
            put(&*origin, CONTENT).await?;
            let open = || {
                let (host, repository) = ("a.io".parse().unwrap(), "o/r".parse().unwrap());
                let of = Origin { wire: Wire::Secured, host, repository };
                Cached::new(Arc::clone(&origin) as _, of, Arc::clone(&store) as _)
            };
            let mut cached = open();
            for (reading, is_new) in &readings {
                if *is_new {
                    cached = open();
                }
                check_reading(&cached, reading).await?;
            }
            Ok::<(), refs_registry::Error>(())
        })
        .unwrap();
    }
}
