//! A token server for docker-registry: who asks with the right password gets what they ask for.

mod request;
mod signer;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
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
const LIFETIME_SECONDS: u64 = 300;

/// Listens on loopback until the process ends.
#[derive(Debug)]
pub(crate) struct TokenServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Scope>>>,
}

impl TokenServer {
    /// Starts listening, and writes the certificate that a registry must trust to `certificate`.
    pub(crate) fn start(certificate: &Path) -> Result<Self> {
        let signer = Signer::generate(certificate)?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::file("listen on", "127.0.0.1:0"))?;
        let address = listener.local_addr().map_err(Error::file("listen on", "127.0.0.1:0"))?;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &signer, &log);
            }
        });
        Ok(Self { address, asked })
    }

    /// The URL that a registry names in its challenge. By name: crane refuses a realm that is a loopback address.
    pub(crate) fn realm(&self) -> String {
        format!("http://localhost:{}/token", self.address.port())
    }

    /// The scopes asked for since the last call, in order.
    pub(crate) fn take_asked(&self) -> Vec<Scope> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One request on one connection. What a client sends wrongly is its own loss: it gets no answer.
fn answer(mut stream: TcpStream, signer: &Signer, log: &Mutex<Vec<Scope>>) {
    if stream.set_read_timeout(Some(Duration::from_secs(10))).is_err() {
        return;
    }
    let Ok(request) = Request::read(&mut stream) else { return };
    let scopes = request.scopes();
    log.lock().unwrap_or_else(PoisonError::into_inner).extend(scopes.iter().cloned());
    let (status, body) = token_for(&request, &scopes, signer);
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    // A client that has gone away needs no answer.
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}

/// Nobody in particular gets a token that allows nothing, as public registries do; a wrong password gets none.
fn token_for(request: &Request, scopes: &[Scope], signer: &Signer) -> (&'static str, String) {
    let granted = match request.basic() {
        None => &[],
        Some((user, password)) if user == USER && password == PASSWORD => scopes,
        Some(_) => return ("401 Unauthorized", json!({"details": "wrong user or password"}).to_string()),
    };
    match signer.token(granted, LIFETIME_SECONDS) {
        Ok(token) => ("200 OK", json!({"token": token, "expires_in": LIFETIME_SECONDS}).to_string()),
        Err(error) => ("500 Internal Server Error", json!({"details": error.to_string()}).to_string()),
    }
}
