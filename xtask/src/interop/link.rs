//! A link to a registry that stalls and breaks.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};

/// Forwards every connection to a registry as its [`Rule`] says, and counts. It ends with the program.
#[derive(Debug)]
pub(crate) struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    Open,
    /// After so many bytes from the registry nothing comes through any more.
    StallAfter(u64),
    /// A connection closes after so many bytes from the registry.
    CutAfter(u64),
    /// After so many bytes from the registry every connection closes, and no other is taken.
    DownAfter(u64),
    /// So many pieces of an upload come through, and nothing of the next.
    StallAfterPieces(usize),
}

#[derive(Debug)]
struct Shared {
    rule: Mutex<Rule>,
    sent: AtomicU64,
    received: AtomicU64,
    pieces: AtomicUsize,
    broken: AtomicUsize,
}

impl Link {
    /// Listens on a free port for the registry at `HOST:PORT`.
    pub(crate) fn start(registry: &str) -> Result<Self> {
        let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) = bound.map_err(Error::file("listen on", "127.0.0.1:0"))?;
        let shared = Arc::new(Shared {
            rule: Mutex::new(Rule::Open),
            sent: AtomicU64::default(),
            received: AtomicU64::default(),
            pieces: AtomicUsize::default(),
            broken: AtomicUsize::default(),
        });
        let (held, registry) = (shared.clone(), registry.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if held.is_down() {
                    continue;
                }
                let (shared, registry) = (held.clone(), registry.clone());
                thread::spawn(move || forward(client, &registry, &shared));
            }
        });
        Ok(Self { address, shared })
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Goes by `rule` from now on, and counts from zero.
    pub(crate) fn set(&self, rule: Rule) {
        *self.shared.rule.lock().unwrap_or_else(PoisonError::into_inner) = rule;
        self.shared.sent.store(0, Ordering::Relaxed);
        self.shared.received.store(0, Ordering::Relaxed);
        self.shared.pieces.store(0, Ordering::Relaxed);
        self.shared.broken.store(0, Ordering::Relaxed);
    }

    /// The bytes to the registry, headers included.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// The bytes from the registry, headers included.
    pub(crate) fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    /// How many connections have stalled or were cut.
    pub(crate) fn broken(&self) -> usize {
        self.shared.broken.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn rule(&self) -> Rule {
        *self.rule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_down(&self) -> bool {
        matches!(self.rule(), Rule::DownAfter(most) if self.received.load(Ordering::Relaxed) >= most)
    }

    /// Holds a connection until the rule is another one.
    fn stall(&self, rule: Rule) {
        self.broken.fetch_add(1, Ordering::Relaxed);
        while self.rule() == rule {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A connection that breaks is the client's own affair: it sees the same end.
fn forward(client: TcpStream, registry: &str, shared: &Arc<Shared>) {
    let Ok(server) = TcpStream::connect(registry) else { return };
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    let held = shared.clone();
    let up = thread::spawn(move || send(from_client, to_server, &held));
    receive(server, client, shared);
    // It fails only by a panic, of which there is none to pass on.
    let _ = up.join();
}

fn send(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        // Our client does not begin a request before the last one was answered, so that each begins what is read.
        if buffer[..len].starts_with(b"PATCH /") {
            let before = shared.pieces.fetch_add(1, Ordering::Relaxed);
            let rule = shared.rule();
            if rule == Rule::StallAfterPieces(before) {
                shared.stall(rule);
                break;
            }
        }
        shared.sent.fetch_add(len as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    close(&from, &to);
}

fn receive(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let (mut buffer, mut here) = (vec![0; 64 * 1024], 0);
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        here += len as u64;
        let rule = shared.rule();
        match rule {
            Rule::StallAfter(most) if shared.received.load(Ordering::Relaxed) >= most => {
                shared.stall(rule);
                break;
            }
            Rule::DownAfter(_) if shared.is_down() => {
                shared.broken.fetch_add(1, Ordering::Relaxed);
                break;
            }
            Rule::CutAfter(most) if here > most => {
                shared.broken.fetch_add(1, Ordering::Relaxed);
                break;
            }
            _ => {}
        }
        shared.received.fetch_add(len as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    close(&from, &to);
}

fn close(one: &TcpStream, other: &TcpStream) {
    // Either side may have closed it already.
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}
