//! A client at the level of sockets.

use refs_testkit::FakeRegistry;
use refs_url::{Digest, Host};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What came until the connection ended or `until` bytes were there, and how it ended.
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) end: End,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    Fin,
    Reset,
    Open,
}

impl Heard {
    pub(crate) fn head(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(head, _)| head)
    }

    pub(crate) fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub(crate) fn status(&self) -> u16 {
        self.text.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
    }

    /// The value of a header, empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head().lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or_default()
    }
}

/// Sends `request` (its line and headers, without `Host`), and listens until the other side ends the connection.
pub(crate) async fn ask(host: &Host, request: &str) -> Heard {
    let mut stream = send(host, &format!("{request}\r\nconnection: close"), "").await;
    listen(&mut stream, usize::MAX).await
}

/// As `ask`, with a body.
pub(crate) async fn ask_with(host: &Host, request: &str, body: &str) -> Heard {
    let request = format!("{request}\r\nconnection: close\r\ncontent-length: {}", body.len());
    let mut stream = send(host, &request, body).await;
    listen(&mut stream, usize::MAX).await
}

pub(crate) async fn send(host: &Host, request: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host.as_str()).await.unwrap();
    let (line, headers) = request.split_once("\r\n").unwrap_or((request, ""));
    let headers = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
    let message = format!("{line} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n{body}");
    stream.write_all(message.as_bytes()).await.unwrap();
    stream
}

/// Listens until `until` bytes of a body have come, or the connection ends.
pub(crate) async fn listen(stream: &mut TcpStream, until: usize) -> Heard {
    let mut heard = Vec::new();
    let end = loop {
        let text = String::from_utf8_lossy(&heard);
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() >= until) {
            break End::Open;
        }
        match stream.read_buf(&mut heard).await {
            Ok(0) => break End::Fin,
            Ok(_) => {}
            Err(_) => break End::Reset,
        }
    };
    Heard { text: String::from_utf8(heard).unwrap(), end }
}

/// Stores `content` in `o/r`, and gives the path that it is read at.
pub(crate) async fn blob(registry: &FakeRegistry, content: &'static str) -> String {
    let digest = Digest::sha256(content.as_bytes());
    let descriptor = refs_registry::Descriptor::of(refs_registry::MediaType::OCI_LAYER, content.as_bytes());
    registry.repository("o/r").put_blob(&descriptor, bytes::Bytes::from(content).into()).await.unwrap();
    format!("/v2/o/r/blobs/{digest}")
}
