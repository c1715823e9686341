//! Faults, seen from a raw socket.

use refs_testkit::{Close, FakeRegistry, Fault, On};

use crate::peer::{End, Heard, ask, ask_with, blob, listen, send};

const CONTENT: &str = "0123456789";

/// What a client hears of a blob of ten bytes when `fault` happens to it.
async fn hear(fault: Fault) -> (Heard, u64) {
    let registry = FakeRegistry::start().await;
    let path = blob(&registry, CONTENT).await;
    registry.fault(On::get("/blobs/"), fault);
    let heard = ask(&registry.host(), &format!("GET {path}\r\nrange: bytes=0-")).await;
    (heard, registry.requests()[0].sent)
}

#[tokio::test]
async fn a_body_is_cut_in_order() {
    let (heard, sent) = hear(Fault::Cut { after: 4, close: Close::Fin }).await;
    assert_eq!((heard.header("content-length"), heard.body(), heard.end), ("10", "0123", End::Fin));
    assert_eq!(sent, 4);
}

#[tokio::test]
async fn a_body_is_cut_with_a_reset() {
    let (heard, sent) = hear(Fault::Cut { after: 4, close: Close::Reset }).await;
    // A reset may overtake bytes that were sent before it, and never brings more.
    assert!("0123".starts_with(heard.body()));
    assert_eq!((heard.end, sent), (End::Reset, 4));
}

#[tokio::test]
async fn a_connection_ends_before_the_answer() {
    for (close, end) in [(Close::Fin, End::Fin), (Close::Reset, End::Reset)] {
        let (heard, sent) = hear(Fault::Drop(close)).await;
        assert_eq!((heard.text.as_str(), heard.end, sent), ("", end, 0));
    }
}

#[tokio::test]
async fn a_length_is_too_long() {
    let (heard, _) = hear(Fault::LongerBy(5)).await;
    assert_eq!((heard.header("content-length"), heard.body(), heard.end), ("15", CONTENT, End::Fin));
}

#[tokio::test]
async fn a_length_is_too_short() {
    let (heard, _) = hear(Fault::ShorterBy(3)).await;
    assert_eq!((heard.header("content-length"), heard.body(), heard.end), ("7", CONTENT, End::Fin));
}

#[tokio::test]
async fn a_byte_is_flipped() {
    let (heard, _) = hear(Fault::Flip { at: 3 }).await;
    assert_eq!((heard.header("content-length"), heard.body()), ("10", "0122456789"));
}

#[tokio::test]
async fn a_range_is_ignored() {
    let registry = FakeRegistry::start().await;
    let path = blob(&registry, CONTENT).await;
    registry.fault(On::get("/blobs/"), Fault::IgnoreRange);
    let request = format!("GET {path}\r\nrange: bytes=2-3");
    let heard = ask(&registry.host(), &request).await;
    assert_eq!((heard.status(), heard.body()), (200, CONTENT));
    let heard = ask(&registry.host(), &request).await;
    assert_eq!((heard.status(), heard.body()), (206, "23"));
    assert_eq!(registry.requests()[0].range.as_deref(), Some("bytes=2-3"));
}

#[tokio::test]
async fn a_range_is_another() {
    let (heard, _) = hear(Fault::ContentRange("bytes 3-9/10".to_owned())).await;
    assert_eq!((heard.status(), heard.header("content-range")), (206, "bytes 3-9/10"));
}

#[tokio::test]
async fn an_answer_stalls_and_its_connection_stays() {
    let registry = FakeRegistry::start().await;
    let path = blob(&registry, CONTENT).await;
    registry.fault(On::get("/blobs/"), Fault::Stall { after: 4 });
    let mut stream = send(&registry.host(), &format!("GET {path}"), "").await;
    let heard = listen(&mut stream, 4).await;
    assert_eq!((heard.body(), heard.end), ("0123", End::Open));
    assert_eq!(stream.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(registry.requests()[0].sent, 4);
}

#[tokio::test]
async fn a_status_is_answered_so_many_times_and_then_no_more() {
    let registry = FakeRegistry::start().await;
    let busy = Fault::Status { status: 429, headers: vec![("retry-after", "7".to_owned())] };
    registry.fault(On::any("/v2/").skip(1).times(2), busy);
    let mut heard = Vec::new();
    for _ in 0..4 {
        let answer = ask(&registry.host(), "GET /v2/").await;
        heard.push((answer.status(), answer.header("retry-after").to_owned()));
    }
    let rows = heard.iter().map(|(status, after)| (*status, after.as_str())).collect::<Vec<_>>();
    assert_eq!(rows, [(200, ""), (429, "7"), (429, "7"), (200, "")]);
}

#[tokio::test]
async fn an_upload_is_cut_and_keeps_what_came() {
    let registry = FakeRegistry::start().await;
    let host = registry.host();
    let begun = ask_with(&host, "POST /v2/o/r/blobs/uploads/", "").await;
    let location = begun.header("location").to_owned();
    registry.fault(On::new(http::Method::PATCH, ""), Fault::CutRequest { after: 4, close: Close::Fin });
    let cut = ask_with(&host, &format!("PATCH {location}"), CONTENT).await;
    assert_eq!(cut.text, "");
    let progress = ask(&host, &format!("GET {location}")).await;
    assert_eq!((progress.status(), progress.header("range")), (204, "0-3"));
    let [_, patch, _] = &registry.requests()[..] else { panic!() };
    assert_eq!((patch.received, patch.to_string().as_str()), (4, "PATCH /v2/o/r/blobs/uploads/ID"));
}

#[tokio::test]
async fn faults_hit_the_requests_they_are_for() {
    let registry = FakeRegistry::start().await;
    let path = blob(&registry, CONTENT).await;
    registry.fault(On::new(http::Method::HEAD, "/blobs/"), Fault::Drop(Close::Fin));
    registry.fault(On::get("/manifests/"), Fault::Drop(Close::Fin));
    assert_eq!(ask(&registry.host(), &format!("GET {path}")).await.status(), 200);
    registry.clear_faults();
    assert_eq!(ask(&registry.host(), "GET /v2/o/r/manifests/v1").await.status(), 404);
}
