//! moto, which speaks S3 and keeps what it is given in memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::process::Server;
use super::servers::free_address;
use super::tools::Tools;
use crate::error::{Error, Result};

const BUCKET: &str = "mirror";
const PREFIX: &str = "cache/v1";
/// Whoever has a key may read; whether the signature is right is not looked at.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=interop/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
/// So long what is on its way may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with one bucket, which is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Moto {
    address: SocketAddr,
    _server: Server,
}

impl Moto {
    /// Starts it; what it says goes to a file in `dir`.
    pub(crate) fn start(tools: &Tools, dir: &Path) -> Result<Self> {
        let program = tools.moto.as_ref().ok_or(Error::MissingTool("moto_server"))?;
        let address = free_address()?;
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
        let mut server = Server::start("moto", &mut command, dir)?;
        server.wait_for(address)?;
        let moto = Self { address, _server: server };
        moto.request("PUT", "")?;
        Ok(moto)
    }

    /// Tells `command`, which is to serve, to share by the bucket, and how that is reached.
    pub(crate) fn share(&self, command: &mut Command) {
        command.args(["--bucket", &format!("s3://{BUCKET}/{PREFIX}")]);
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.address)).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_ACCESS_KEY_ID", "interop").env("AWS_SECRET_ACCESS_KEY", "interop");
        command.env("AWS_REGION", "us-east-1");
    }

    /// The names of what is in the bucket in `folder`.
    pub(crate) fn names(&self, folder: &str) -> Result<Vec<String>> {
        let listed = self.request("GET", &format!("?list-type=2&prefix={PREFIX}/{folder}/"))?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let keys = listed.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
        Ok(keys.map(|(key, _)| key.to_owned()).collect())
    }

    /// The bytes of what is called so.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<u8>> {
        self.request("GET", &format!("/{name}"))
    }

    /// Waits until these blobs are in the bucket.
    pub(crate) fn wait_for(&self, digests: &[String]) -> Result<()> {
        let start = Instant::now();
        loop {
            let names = self.names("blobs")?;
            let is_there = |digest: &String| {
                let name = digest.replace(':', "/");
                names.iter().any(|it| it.ends_with(&name))
            };
            if digests.iter().all(is_there) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                let (expected, found) = (digests.join(", "), names.join(", "));
                return Err(Error::Unexpected { what: "blobs in the bucket".to_owned(), expected, found });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn request(&self, method: &str, target: &str) -> Result<Vec<u8>> {
        let line = format!("{method} /{BUCKET}{target}");
        let answer = self.exchange(&line).map_err(Error::file("ask moto for", &line))?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        if head.split(' ').nth(1) != Some("200") {
            return Err(Error::Unexpected { what: line, expected: "200".to_owned(), found: head });
        }
        Ok(answer[(end + 4).min(answer.len())..].to_vec())
    }

    fn exchange(&self, line: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        let head =
            format!("Host: {}\r\nContent-Length: 0\r\nConnection: close\r\nAuthorization: {SIGNED}", self.address);
        write!(stream, "{line} HTTP/1.1\r\n{head}\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_bytes| answer)
    }
}
