//! Credentials stay with their origins, wherever peers send the client.

use std::sync::{Arc, LazyLock, Mutex};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::StreamExt;
use proptest::prelude::*;
use refs_registry::{
    Descriptor, MediaType, Options, Registries, Sink, Source,
    auth::{Anonymous, Chain, Credential, Credentials, Static},
};
use refs_url::{Digest, Host, RepoName};
use rustls::ServerConfig;

use crate::{
    certificates::{ca_file, server_of},
    names::{TestDns, by_name},
    peer::{Peer, Reply, Request},
    setup::{TestClock, hosts, name, tag},
};

/// The peers: two registries that have credentials, and those that they may lead to. All are on loopback.
const CAST: [(&str, &str); 8] = [
    ("https", "r.test"),
    ("https", "v.test"),
    // Another port, a sibling, another scheme, a stranger, a bare address, and a host that the user vouches for.
    ("https", "r.test"),
    ("https", "auth.r.test"),
    ("http", "r.test"),
    ("https", "evil.test"),
    ("http", "127.0.0.1"),
    ("https", "sso.test"),
];
const R: usize = 0;
const V: usize = 1;
const OTHER_PORT: usize = 2;
const SIBLING: usize = 3;
const PLAIN: usize = 4;
const STRANGER: usize = 5;
const ADDRESS: usize = 6;
const VOUCHED: usize = 7;

/// The registries' passwords and refresh tokens, and the peers whose token service may see them.
const SECRETS: [(usize, &str, &[usize]); 3] = [
    (R, "password-of-r", &[R, OTHER_PORT, SIBLING, VOUCHED]),
    (R, "refresh-of-r", &[R, OTHER_PORT, SIBLING, VOUCHED]),
    (V, "password-of-v", &[V, VOUCHED]),
];

static SHOWN: LazyLock<Arc<ServerConfig>> =
    LazyLock::new(|| server_of(&["r.test", "v.test", "auth.r.test", "evil.test", "sso.test"]));

/// Answers by chance, as hostile as it comes. Tokens tell for whom they are, refresh tokens also by whom.
fn chance(random: &mut fastrand::Rng, own: usize, request: &Request, urls: &[String]) -> Reply {
    let there = random.choice(urls).unwrap();
    let sealed = format!("sig=seal-by-{own}-for-{}-", port(if there.is_empty() { &urls[own] } else { there }));
    let status = [301, 302, 303, 307, 308][random.usize(..5)];
    if request.target.starts_with("/token") {
        return match random.u8(..8) {
            0 | 1 => Reply::redirect(status, format!("{there}/token?{sealed}")),
            2 => Reply::status([400, 401, 403, 404][random.usize(..4)]),
            _ => token(random, own, request),
        };
    }
    match random.u8(..12) {
        0..3 => Reply::redirect(status, format!("{there}/x?{sealed}")),
        3..6 => {
            let scope = ["", "repository:a/b:pull", "repository:c/d:pull,push x"][random.usize(..3)];
            let error = ["invalid_token", "insufficient_scope"][random.usize(..2)];
            let demand =
                format!("Bearer realm=\"{there}/token\",service=\"{own}\",scope=\"{scope}\",error=\"{error}\"");
            Reply::status([401, 401, 403][random.usize(..3)]).header("www-authenticate", demand)
        }
        6 => Reply::status(401).header("www-authenticate", "Basic"),
        7 => Reply::status(202).header("location", format!("{there}/up?{sealed}")),
        8 => Reply::json(r#"{"name":"a/b","tags":["v1"]}"#)
            .header("link", format!("<{there}/tags?{sealed}>; rel=\"next\"")),
        9 => Reply::status(503),
        _ => Reply::ok("blob"),
    }
}

/// The port in `url`, which the peers are told apart by.
fn port(url: &str) -> &str {
    url.rsplit(':').next().unwrap()
}

fn token(random: &mut fastrand::Rng, own: usize, request: &Request) -> Reply {
    let asked = format!("{}&{}", request.target, String::from_utf8_lossy(&request.body));
    let service = asked.split(['?', '&']).find_map(|pair| pair.strip_prefix("service=")).unwrap_or("none");
    let lasts = random.choice([1, 60, 3600]).unwrap();
    Reply::json(&format!(
        r#"{{"token":"token-for-{service}-","expires_in":{lasts},"refresh_token":"renewal-for-{service}-by-{own}-"}}"#
    ))
}

/// Whether `peer`, at `here`, may see each secret that is in `request`.
fn check(peer: usize, here: &str, request: &Request) -> Result<(), TestCaseError> {
    let text = plain_text(request);
    let to_service = request.target.starts_with("/token");
    // A signed link lets whoever has it in: it is for the one it leads to, and was known to the one who gave it.
    for seal in text.split("seal-by-").skip(1) {
        let (by, leads_to) = seal.split_once("-for-").unwrap();
        let may_see = by == peer.to_string() || leads_to.split('-').next() == Some(port(here));
        prop_assert!(may_see, "{peer} saw a signed link for another: {text}");
    }
    for (registry, secret, services) in SECRETS {
        let may_see = peer == registry || to_service && services.contains(&peer);
        prop_assert!(may_see || !text.contains(secret), "{peer} saw {secret}: {text}");
    }
    for registry in ["0", "1", "2", "3", "4", "5", "6", "7", "none"] {
        // A token service that sends us on within itself may lose what was asked.
        let is_own = [R, V].contains(&peer) && (registry == "none" || registry == peer.to_string());
        prop_assert!(is_own || !text.contains(&format!("token-for-{registry}-")), "{peer} saw a token: {text}");
        for issuer in 0..CAST.len() {
            let may_see = to_service && issuer == peer;
            let renewal = format!("renewal-for-{registry}-by-{issuer}-");
            prop_assert!(may_see || !text.contains(&renewal), "{peer} saw a renewal: {text}");
        }
    }
    Ok(())
}

/// All of `request`, with the words of its headers decoded beside them.
fn plain_text(request: &Request) -> String {
    let words = request.headers.iter().flat_map(|(_, value)| value.split_whitespace());
    let decoded = words.filter_map(|word| BASE64_STANDARD.decode(word).ok());
    let decoded: Vec<String> = decoded.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    format!("{}\n{}", request.text(), decoded.join("\n"))
}

async fn cast(seed: u64) -> Vec<Peer> {
    let urls = Arc::new(Mutex::new(Vec::new()));
    let mut peers = Vec::new();
    for (own, (scheme, _)) in CAST.into_iter().enumerate() {
        let (urls, mut random) = (urls.clone(), fastrand::Rng::with_seed(seed ^ (own as u64) << 32));
        let answer = move |request: &Request| chance(&mut random, own, request, &urls.lock().unwrap());
        peers.push(match scheme {
            "https" => Peer::start_tls(SHOWN.clone(), answer).await,
            _ => Peer::start(answer).await,
        });
    }
    let mut all: Vec<String> =
        CAST.iter().zip(&peers).map(|((scheme, name), peer)| format!("{scheme}://{}", peer.at(name))).collect();
    // The same hosts in disguise.
    let (secured, address) = (peers[R].at("r.test"), peers[ADDRESS].host.port().unwrap());
    all.extend([
        format!("http://{secured}"),
        format!("https://user@{secured}"),
        format!("https://R.TEST:{}", peers[OTHER_PORT].host.port().unwrap()),
        format!("http://localhost:{address}"),
        format!("http://0x7f000001:{address}"),
        format!("http://[::ffff:127.0.0.1]:{address}"),
        String::new(),
    ]);
    *urls.lock().unwrap() = all;
    peers
}

fn client(peers: &[Peer]) -> Registries {
    let of = |(registry, secret, _): (usize, &str, _)| {
        let host = peers[registry].at(CAST[registry].1);
        let credential = match secret.starts_with("refresh") {
            true => Credential::Identity(secret.into()),
            false => Credential::Basic { username: "user".into(), password: secret.into() },
        };
        Arc::new(Static::new(host, secret, credential)) as Arc<dyn Credentials>
    };
    let sources = SECRETS.into_iter().map(of).chain([Arc::new(Anonymous) as Arc<dyn Credentials>]).collect();
    Registries::new(Options {
        credentials: Arc::new(Chain::new(sources)),
        trusted_realms: [peers[VOUCHED].at("sso.test")].into(),
        // Given for the peers without TLS, it makes them known, and not trusted.
        hosts: hosts([peers[PLAIN].at("r.test"), peers[ADDRESS].host.clone()], Some(ca_file())),
        ..by_name(&TestClock::new(), TestDns::loopback())
    })
}

/// Whether anything comes of it does not matter here.
async fn use_all(registries: &Registries, host: &Host) {
    let repository = registries.repository(host, &name()).unwrap();
    let (content, digest) = (bytes::Bytes::from("blob"), Digest::sha256(b"blob"));
    let blob = Descriptor::of(MediaType::OCI_LAYER, &content);
    drop(repository.manifest(&tag("v1")).await);
    drop(repository.blob_part(&digest, 0..2).await);
    drop(repository.put_blob(&blob, content.into()).await);
    drop(repository.mount(&digest, &RepoName::parse("c/d").unwrap()).await);
    drop(repository.tags(None).take(5).collect::<Vec<_>>().await);
    drop(repository.delete_blob(&digest).await);
}

async fn wander(seed: u64) -> Result<(), TestCaseError> {
    let peers = cast(seed).await;
    let registries = client(&peers);
    for registry in [R, V, R] {
        use_all(&registries, &peers[registry].at(CAST[registry].1)).await;
    }
    for (own, peer) in peers.iter().enumerate() {
        peer.seen().iter().try_for_each(|seen| check(own, peer.host.as_str(), seen))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn m023_m034_m037_m038_m090_no_secret_leaves_the_origins_that_it_is_for(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(wander(seed))?;
    }
}

/// Which peers see the password of the registry that names the token service of `peer`.
async fn see(realm: usize) -> Vec<usize> {
    let own = Arc::new(Mutex::new(String::new()));
    let mut peers = Vec::new();
    for (scheme, _) in CAST {
        let realm = own.clone();
        let answer = move |request: &Request| match request.target.split('?').next() {
            Some("/token") => Reply::json(r#"{"token":"t"}"#),
            _ if request.header("authorization") == Some("Bearer t") => Reply::ok("blob"),
            _ => crate::setup::challenge(&realm.lock().unwrap(), ""),
        };
        peers.push(match scheme {
            "https" => Peer::start_tls(SHOWN.clone(), answer).await,
            _ => Peer::start(answer).await,
        });
    }
    *own.lock().unwrap() = format!("{}://{}/token", CAST[realm].0, peers[realm].at(CAST[realm].1));
    let repository = client(&peers).repository(&peers[R].at("r.test"), &name()).unwrap();
    drop(repository.stat_blob(&Digest::sha256(b"blob")).await);
    let saw = |peer: &Peer| peer.seen().iter().any(|seen| plain_text(seen).contains("password-of-r"));
    (0..CAST.len()).filter(|peer| saw(&peers[*peer])).collect()
}

#[tokio::test]
async fn m034_m036_m037_a_token_service_sees_a_password_where_it_is_trusted() {
    for realm in [R, OTHER_PORT, SIBLING, VOUCHED] {
        assert_eq!(see(realm).await, [realm]);
    }
    for realm in [V, PLAIN, STRANGER, ADDRESS] {
        assert_eq!(see(realm).await, [] as [usize; 0], "{:?}", CAST[realm]);
    }
}
