//! A client of HTTP/1.1 that sees when a byte comes and how a body ends, which a client for use hides.

use std::io;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is read in one go.
const BUFFER_BYTES: usize = 64 << 10;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A connection, which is used for one request after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
    /// What of the buffer has come and is not given yet.
    here: std::ops::Range<usize>,
    /// How many bytes of the body are still to come.
    left: u64,
}

/// The beginning of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// How many bytes its body is said to have.
    pub(crate) length: u64,
    lines: String,
}

impl Head {
    /// The value of the header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.lines.lines().find(named)?.split_once(':').map(|(_, value)| value.trim())
    }

    fn parse(lines: String) -> io::Result<Self> {
        let status = lines.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or_else(|| amiss("an answer has no status"))?;
        let mut head = Self { status, length: 0, lines };
        if head.header("transfer-encoding").is_some() {
            return Err(amiss("a body does not say how long it is"));
        }
        head.length = head.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        Ok(head)
    }
}

impl Connection {
    /// Connects to `HOST:PORT`.
    pub(crate) async fn open(host: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host: host.to_owned(), buffer: vec![0; BUFFER_BYTES], here: 0..0, left: 0 })
    }

    /// Asks for `path`; its body is read by [`piece`](Self::piece).
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<Head> {
        self.send("GET", path, "", &[]).await
    }

    /// Sends a request with these headers, each with its line end, and reads the head of the answer. It accepts manifests
    /// by their type, too: docker-registry finds none for `*/*`.
    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Head> {
        let Self { host, .. } = self;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\naccept: {MANIFEST}, */*\r\n{headers}\r\n"
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        let head = self.head().await?;
        let has_body = method != "HEAD" && !matches!(head.status, 204 | 304);
        self.left = if has_body { head.length } else { 0 };
        Ok(head)
    }

    /// The next bytes of the body; nothing at its end. One that ends too early is an error.
    pub(crate) async fn piece(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        if self.here.is_empty() {
            self.here = 0..self.stream.read(&mut self.buffer).await?;
        }
        if self.here.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let len = self.here.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let piece = self.here.start..self.here.start + len;
        self.left -= len as u64;
        self.here.start = piece.end;
        Ok(&self.buffer[piece])
    }

    /// Reads the body to its end, and says how many bytes it had.
    pub(crate) async fn rest(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            match self.piece().await?.len() {
                0 => return Ok(bytes),
                len => bytes += len as u64,
            }
        }
    }

    /// The rest of the body.
    pub(crate) async fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match self.piece().await? {
                [] => return Ok(body),
                piece => body.extend_from_slice(piece),
            }
        }
    }

    async fn head(&mut self) -> io::Result<Head> {
        let mut lines = Vec::new();
        loop {
            if self.here.is_empty() {
                self.here = 0..self.stream.read(&mut self.buffer).await?;
            }
            if self.here.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The end may come in two pieces.
            let searched = lines.len().saturating_sub(3);
            lines.extend_from_slice(&self.buffer[self.here.clone()]);
            let end = lines[searched..].windows(4).position(|bytes| bytes == b"\r\n\r\n");
            let Some(end) = end.map(|at| searched + at + 4) else {
                self.here.start = self.here.end;
                continue;
            };
            self.here.start = self.here.end - (lines.len() - end);
            lines.truncate(end);
            return Head::parse(String::from_utf8_lossy(&lines).into_owned());
        }
    }
}

/// Pushes a blob in one piece.
pub(crate) async fn push_blob(host: &str, repository: &str, digest: &str, bytes: &[u8]) -> io::Result<()> {
    let mut connection = Connection::open(host).await?;
    let begun = connection.send("POST", &format!("/v2/{repository}/blobs/uploads/"), "", &[]).await?;
    connection.rest().await?;
    let location = begun.header("location").ok_or_else(|| amiss("an upload has no location"))?;
    let path = location.find("/v2/").map_or(location, |at| &location[at..]);
    let joint = if path.contains('?') { '&' } else { '?' };
    let kind = "content-type: application/octet-stream\r\n";
    let pushed = connection.send("PUT", &format!("{path}{joint}digest={digest}"), kind, bytes).await?;
    connection.rest().await?;
    if pushed.status == 201 { Ok(()) } else { Err(amiss("a blob was not taken")) }
}

/// Pushes a manifest of the media type `kind` to its path.
pub(crate) async fn push_manifest(host: &str, path: &str, kind: &str, manifest: &[u8]) -> io::Result<()> {
    let mut connection = Connection::open(host).await?;
    let pushed = connection.send("PUT", path, &format!("content-type: {kind}\r\n"), manifest).await?;
    if pushed.status == 201 { Ok(()) } else { Err(amiss("a manifest was not taken")) }
}

/// A manifest of the one blob `digest` of so many bytes, and its media type.
pub(crate) fn manifest_of(digest: &str, bytes: usize) -> (&'static str, String) {
    let described = json!({"mediaType": "application/octet-stream", "digest": digest, "size": bytes});
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": [described]});
    (MANIFEST, manifest.to_string())
}

/// A manifest of an image with this config and this layer, each by its digest and its size in bytes, and its media type.
pub(crate) fn image_of(config: (&str, usize), layer: (&str, usize)) -> (&'static str, String) {
    let described = |kind: &str, (digest, bytes): (&str, usize)| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": bytes});
    let (config, layer) = (described("config.v1+json", config), described("layer.v1.tar", layer));
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    (MANIFEST, manifest.to_string())
}

fn amiss(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &str, expected: Option<(u16, u64)>) {
        let head = Head::parse(lines.to_owned()).ok();
        assert_eq!(head.map(|head| (head.status, head.length)), expected, "{lines}");
    }

    #[test]
    fn a_head_says_how_much_follows() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", Some((200, 12)));
        check("HTTP/1.1 404 Not Found\r\n\r\n", Some((404, 0)));
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", None);
        check("\r\n\r\n", None);
    }
}
