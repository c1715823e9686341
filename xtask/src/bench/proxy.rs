//! Counts what crosses the wire.

use std::io::{BufRead, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde::Serialize;

use crate::error::{Error, Result};

/// Forwards every connection to a registry, and counts. It ends with the program.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    counters: Arc<Counters>,
}

/// What a command exchanged with its registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Traffic {
    pub(crate) requests: u64,
    /// To the registry, headers included.
    pub(crate) sent_bytes: u64,
    /// From the registry, headers included.
    pub(crate) received_bytes: u64,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// The end of the first line of a request. A body that holds it, eleven given bytes, is not to be feared: bodies are compressed.
const LINE_END: &[u8] = b" HTTP/1.1\r\n";

impl Proxy {
    /// Listens on a free port for the registry at `HOST:PORT`.
    pub(crate) fn start(registry: &str) -> Result<Self> {
        let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(Error::file("listen on", "127.0.0.1:0"))?;
        let counters = Arc::new(Counters::default());
        let (shared, registry) = (counters.clone(), registry.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (counters, registry) = (shared.clone(), registry.clone());
                thread::spawn(move || forward(client, &registry, &counters));
            }
        });
        Ok(Self { address, counters })
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// What has crossed since the last call.
    pub(crate) fn take(&self) -> Traffic {
        let Counters { requests, sent, received } = &*self.counters;
        let [requests, sent_bytes, received_bytes] = [requests, sent, received].map(|n| n.swap(0, Ordering::Relaxed));
        Traffic { requests, sent_bytes, received_bytes }
    }
}

/// A connection that breaks is the client's own affair: it sees the same end.
fn forward(client: TcpStream, registry: &str, counters: &Arc<Counters>) {
    let Ok(server) = TcpStream::connect(registry) else { return };
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    let shared = counters.clone();
    let up = thread::spawn(move || {
        let mut lines = RequestLines::default();
        copy(from_client, to_server, |bytes| {
            shared.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            shared.requests.fetch_add(lines.count(bytes), Ordering::Relaxed);
        });
    });
    copy(server, client, |bytes| {
        counters.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    });
    // It fails only by a panic, of which there is none to pass on.
    let _ = up.join();
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut saw: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        saw(&buffer[..len]);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    // The other side may have closed it already.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// Counts first lines in a stream that comes in pieces.
#[derive(Debug, Default)]
struct RequestLines {
    /// The end of the pieces before, as much as may belong to a line's end.
    before: Vec<u8>,
}

impl RequestLines {
    fn count(&mut self, bytes: &[u8]) -> u64 {
        let (mut found, mut start) = (0, self.before.len());
        self.before.extend_from_slice(bytes);
        // Whole lines at a time, as the standard library searches faster than a loop of an unoptimised build.
        while let Ok(len @ 1..) = (&self.before[start..]).skip_until(b'\n') {
            start += len;
            found += u64::from(self.before[..start].ends_with(LINE_END));
        }
        self.before.drain(..self.before.len().saturating_sub(LINE_END.len() - 1));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], expect: u64) {
        let mut lines = RequestLines::default();
        assert_eq!(pieces.iter().map(|piece| lines.count(piece.as_bytes())).sum::<u64>(), expect);
    }

    #[test]
    fn request_lines_are_counted_across_pieces() {
        check(&["GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n"], 1);
        check(&["GET /v2/ HT", "TP/1.1\r\n\r\nHEAD /v2/ HTTP/1.1", "\r", "\n\r\n"], 2);
        check(&["GET /a  HTTP/1.1\r\n", "HTTP/1.1 HTTP/1.0\r\n"], 1);
    }

    #[test]
    fn traffic_is_that_of_the_registry() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(&server.local_addr().unwrap().to_string()).unwrap();
        let answering = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut request = [0; 20];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(b"answer").unwrap();
        });
        let mut client = TcpStream::connect(proxy.host()).unwrap();
        client.write_all(b"GET /v2/ HTTP/1.1\r\n\r").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answering.join().unwrap();
        assert_eq!(answer, "answer");
        assert_eq!(proxy.take(), Traffic { requests: 1, sent_bytes: 20, received_bytes: 6 });
        assert_eq!(proxy.take(), Traffic::default());
    }
}
