use std::{sync::Arc, time::Duration};

use refs_registry::{
    Error, Registries, Source,
    auth::Anonymous,
    hosts::{HostSettings, Hosts, Origin, Scope, Set},
};
use refs_url::{Digest, Host};

use crate::{
    peer::{Peer, Reply},
    setup::{TestClock, anonymous, name, options, repository, tag},
};

/// What comes of `stat_blob` where the first requests are answered with `replies` and all later ones with success: how
/// many requests were made, and the waits between them.
async fn stat(replies: Vec<Reply>) -> (Result<Option<u64>, Error>, usize, Vec<Duration>) {
    let mut replies = replies.into_iter();
    let peer = Peer::start(move |_| replies.next().unwrap_or_else(|| Reply::ok("blob"))).await;
    let clock = TestClock::new();
    let registries = Registries::new(options(&clock, vec![Arc::new(Anonymous)]));
    let size = repository(&registries, &peer).stat_blob(&Digest::sha256(b"blob")).await;
    (size, peer.seen().len(), clock.waits())
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    for status in [408, 425, 429, 499, 500, 502, 503, 504, 522] {
        let (size, requests, waits) = stat(vec![Reply::status(status); 4]).await;
        assert_eq!((size.unwrap(), requests, waits.len()), (Some(4), 5, 4), "{status}");
        let bounds = [250, 500, 1000, 2000].map(Duration::from_millis);
        assert!(waits.iter().zip(bounds).all(|(wait, bound)| *wait <= bound), "{waits:?}");
    }
    let (size, requests, _) = stat(vec![Reply::dropped(); 3]).await;
    assert_eq!((size.unwrap(), requests), (Some(4), 4));
}

#[tokio::test]
async fn five_attempts_are_made_and_no_more() {
    let (size, requests, _) = stat(vec![Reply::status(503); 9]).await;
    assert!(matches!(size, Err(Error::Refused { status: 503, .. })), "{size:?}");
    assert_eq!(requests, 5);
}

#[tokio::test]
async fn what_does_not_pass_is_not_repeated() {
    for status in [400, 402, 404, 405, 409, 413, 418, 451, 505] {
        let (_, requests, waits) = stat(vec![Reply::status(status); 2]).await;
        // Where `HEAD` is not known, `GET` is asked.
        assert_eq!((requests, waits.len()), (if status == 405 { 2 } else { 1 }, 0), "{status}");
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_in_both_forms_up_to_a_minute() {
    let later = |reply: Reply, hint: &str| reply.header("retry-after", hint);
    let seconds = |seconds| Duration::from_secs(seconds);
    let (_, _, waits) = stat(vec![later(Reply::status(429), "7")]).await;
    assert_eq!(waits, [seconds(7)]);
    let dated =
        later(Reply::status(503), "Sun, 06 Nov 1994 08:50:07 GMT").header("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let (_, _, waits) = stat(vec![dated]).await;
    assert_eq!(waits, [seconds(30)]);
    let (_, _, waits) = stat(vec![later(Reply::status(429), "1.889377ms, allowed: 2000/minute")]).await;
    assert!(waits[0] <= Duration::from_millis(250));
    let (size, requests, waits) = stat(vec![later(Reply::status(429), "61")]).await;
    assert!(matches!(size, Err(Error::RateLimited { retry_after: Some(wait), .. }) if wait == seconds(61)), "{size:?}");
    assert_eq!((requests, waits.len()), (1, 0));
    let (size, ..) = stat(vec![later(Reply::status(503), "3600")]).await;
    let is_told = |wait: &Option<Duration>| *wait == Some(seconds(3600));
    assert!(matches!(&size, Err(Error::Refused { status: 503, retry_after, .. }) if is_told(retry_after)), "{size:?}");
}

#[tokio::test]
async fn m011_a_host_that_is_not_there_is_named() {
    // No peer of another test ever gets a port this low.
    let gone = Host::parse("127.0.0.1:1").unwrap();
    let clock = TestClock::new();
    let registries = Registries::new(options(&clock, vec![Arc::new(Anonymous)]));
    let error = registries.repository(&gone, &name()).unwrap().manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { host, .. } if *host == gone), "{error:?}");
    assert_eq!(error.to_string(), format!("cannot reach {gone}"));
    assert_eq!(clock.waits().len(), 4);
}

#[tokio::test]
async fn a_silent_peer_is_given_up() {
    let clock = TestClock::new();
    let passing = clock.clone();
    let peer = Peer::start(move |_| {
        passing.pass_deadline();
        Reply::ok("blob").header("x", "y".repeat(9)).stall_at(0)
    })
    .await;
    let registries = Registries::new(options(&clock, vec![Arc::new(Anonymous)]));
    let error = repository(&registries, &peer).manifest(&tag("v1")).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert_eq!(peer.seen().len(), 5);
}

#[tokio::test]
async fn a_host_that_a_url_reads_as_another_is_refused() {
    let host = Host::parse("2130706433").unwrap();
    let error = anonymous().registry(&host).unwrap_err();
    assert_eq!(error.to_string(), "cannot use the host `2130706433`");
}

#[tokio::test]
async fn settings_that_cannot_be_used_show_at_the_first_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
    let peer = Peer::start(|_| Reply::ok("blob")).await;
    for path in [file, folder.path().join("absent.pem")] {
        let ca = vec![Set { value: path.clone(), from: Origin::Given("the test") }];
        let hosts = Hosts::default().with(Scope::Every, HostSettings { ca, ..HostSettings::default() });
        let options = refs_registry::Options { hosts, ..options(&TestClock::new(), Vec::new()) };
        let error = repository(&Registries::new(options), &peer).manifest(&tag("v1")).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot use the certificates in `{}`", path.display()));
        assert!(peer.seen().is_empty());
    }
}
