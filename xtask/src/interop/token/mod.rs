//! A token server for docker-registry: who asks with the right password gets what they ask for.

mod request;
mod signer;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::error::{Error, Result};
use request::{Request, Scope};
use signer::Signer;

pub(crate) const USER: &str = "interop";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const SERVICE: &str = "interop-registry";
pub(crate) const ISSUER: &str = "interop-token-server";
/// Tokens live this many seconds. Clients must not take less than 60 for granted.
const LIFETIME_SECONDS: i64 = 300;
/// docker-registry takes a token for this many seconds after its end.
const LEEWAY_SECONDS: i64 = 60;

/// Listens on loopback until the process ends.
#[derive(Debug)]
pub(crate) struct TokenServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Scope>>>,
    /// How many seconds a token lives in truth, whatever it is said to.
    seconds: Arc<AtomicI64>,
}

impl TokenServer {
    /// Starts listening, and writes the certificate that a registry must trust to `certificate`.
    pub(crate) fn start(certificate: &Path) -> Result<Self> {
        let signer = Signer::generate(certificate)?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::file("listen on", "127.0.0.1:0"))?;
        let address = listener.local_addr().map_err(Error::file("listen on", "127.0.0.1:0"))?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seconds = Arc::new(AtomicI64::new(LIFETIME_SECONDS));
        let (log, lifetime) = (Arc::clone(&asked), Arc::clone(&seconds));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &signer, &log, lifetime.load(Ordering::Relaxed));
            }
        });
        Ok(Self { address, asked, seconds })
    }

    /// The URL that a registry names in its challenge. By name: crane refuses a realm that is a loopback address.
    pub(crate) fn realm(&self) -> String {
        format!("http://localhost:{}/token", self.address.port())
    }

    /// Gives tokens from now on that docker-registry takes for so many seconds only, and that claim to live longer.
    pub(crate) fn give_short_ones(&self, seconds: i64) {
        self.seconds.store(seconds - LEEWAY_SECONDS, Ordering::Relaxed);
    }

    /// Gives tokens from now on that live as long as they say.
    pub(crate) fn give_honest_ones(&self) {
        self.seconds.store(LIFETIME_SECONDS, Ordering::Relaxed);
    }

    /// The scopes asked for since the last call, in order.
    pub(crate) fn take_asked(&self) -> Vec<Scope> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One request on one connection. What a client sends wrongly is its own loss: it gets no answer.
fn answer(mut stream: TcpStream, signer: &Signer, log: &Mutex<Vec<Scope>>, seconds: i64) {
    if stream.set_read_timeout(Some(Duration::from_secs(60))).is_err() {
        return;
    }
    let Ok(request) = Request::read(&mut stream) else { return };
    let scopes = request.scopes();
    log.lock().unwrap_or_else(PoisonError::into_inner).extend(scopes.iter().cloned());
    let (status, body) = token_for(&request, &scopes, signer, seconds);
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    // A client that has gone away needs no answer.
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}

/// Nobody in particular gets a token that allows nothing, as public registries do; a wrong password gets none.
fn token_for(request: &Request, scopes: &[Scope], signer: &Signer, seconds: i64) -> (&'static str, String) {
    let granted = match request.basic() {
        None => &[],
        Some((user, password)) if user == USER && password == PASSWORD => scopes,
        Some(_) => return ("401 Unauthorized", json!({"details": "wrong user or password"}).to_string()),
    };
    match signer.token(granted, seconds) {
        Ok(token) => ("200 OK", json!({"token": token, "expires_in": LIFETIME_SECONDS}).to_string()),
        Err(error) => ("500 Internal Server Error", json!({"details": error.to_string()}).to_string()),
    }
}
