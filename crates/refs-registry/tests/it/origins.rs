//! Credentials stay with their origins, wherever peers send the client.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use refs_registry::{Descriptor, MediaType, Sink, Source};
use refs_url::Digest;

use crate::{
    peer::{Peer, Reply, Request},
    setup::{basic, repository, tag, with_password},
};

/// What the peers know of each other: their URLs, the registry's first, and the realms that the registry has named.
#[derive(Debug, Default)]
struct World {
    urls: Vec<String>,
    realms: BTreeSet<String>,
}

/// Answers by chance, as hostile as it comes.
fn chance(random: &mut fastrand::Rng, own: usize, request: &Request, world: &mut World) -> Reply {
    let there = random.choice(&world.urls).unwrap().clone();
    if request.target.contains("/token") {
        return match random.u8(..4) {
            0 => Reply::redirect(307, format!("{there}/token")),
            1 => Reply::status(401),
            _ => Reply::json(&format!("{{\"token\":\"token{}\"}}", random.u8(..))),
        };
    }
    match random.u8(..8) {
        0 | 1 => Reply::redirect(307, format!("{there}/x")),
        2 | 3 => {
            if own == 0 {
                world.realms.insert(there.clone());
            }
            Reply::status(401).header("www-authenticate", format!("Bearer realm=\"{there}/token\""))
        }
        4 => Reply::status(401).header("www-authenticate", "Basic"),
        5 => Reply::status(202).header("location", format!("{there}/up")),
        6 => Reply::status(503),
        _ => Reply::ok("blob"),
    }
}

async fn wander(seed: u64) {
    let world = Arc::new(Mutex::new(World::default()));
    let mut peers = Vec::new();
    for own in 0..3 {
        let (world, mut random) = (world.clone(), fastrand::Rng::with_seed(seed ^ own as u64));
        peers.push(Peer::start(move |request| chance(&mut random, own, request, &mut world.lock().unwrap())).await);
    }
    world.lock().unwrap().urls = peers.iter().map(|peer| peer.url("")).collect();
    let repository = repository(&with_password(&peers[0], "secret"), &peers[0]);
    let blob = Descriptor::of(MediaType::OCI_LAYER, b"blob");
    for _ in 0..3 {
        // Whether anything comes of it does not matter here.
        drop(repository.manifest(&tag("v1")).await);
        drop(repository.blob_part(&Digest::sha256(b"blob"), 0..2).await);
        drop(repository.put_blob(&blob, bytes::Bytes::from("blob").into()).await);
    }
    let realms = world.lock().unwrap().realms.clone();
    for peer in &peers[1..] {
        for request in peer.seen() {
            let shown = request.header("authorization");
            let may_see = request.target.starts_with("/token") && realms.contains(&peer.url(""));
            assert!(shown.is_none() || may_see && shown == Some(&basic("secret")), "{request:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_leaves_the_origins_that_it_is_for(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(wander(seed));
    }
}
