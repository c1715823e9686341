//! A directory as one layer, as a program on top of oci-client would do it: the crate itself knows no files.

use std::error::Error;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::{Client, Reference, manifest::OciDescriptor, secrets::RegistryAuth};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Blocks in flight between the network and the decompressor.
const BLOCKS: usize = 16;

pub fn push(directory: &Path, reference: &str) -> Outcome {
    let reference: Reference = reference.parse()?;
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::new(6)));
    archive.follow_symlinks(false);
    archive.append_dir_all(".", directory)?;
    let layer = ImageLayer::oci_v1_gzip(archive.into_inner()?.finish()?, None);
    let config = Config::oci_v1(b"{}".as_slice(), None);
    runtime()?.block_on(client().push(&reference, &[layer], config, &RegistryAuth::Anonymous, None))?;
    Ok(())
}

pub fn pull(reference: &str, directory: &Path) -> Outcome {
    let reference: Reference = reference.parse()?;
    let (runtime, client) = (runtime()?, client());
    let (manifest, _) = runtime.block_on(client.pull_image_manifest(&reference, &RegistryAuth::Anonymous))?;
    let layer = manifest.layers.into_iter().next().ok_or("the manifest has no layer")?;
    let (sender, blocks) = mpsc::sync_channel(BLOCKS);
    let download = runtime.spawn(async move { send(&client, &reference, &layer, &sender).await });
    // An eStargz layer is many gzip members in a row.
    tar::Archive::new(MultiGzDecoder::new(Blocks { blocks, block: Bytes::new() })).unpack(directory)?;
    Ok(runtime.block_on(download)??)
}

async fn send(
    client: &Client,
    reference: &Reference,
    layer: &OciDescriptor,
    blocks: &mpsc::SyncSender<io::Result<Bytes>>,
) -> Result<(), String> {
    let opened = client.pull_blob_stream(reference, layer).await;
    let mut stream = opened.map_err(|error| error.to_string())?;
    while let Some(block) = stream.next().await {
        // The archive has ended when nobody takes blocks any more; the rest is read for the digest.
        let failure = block.as_ref().err().map(ToString::to_string);
        let _ = blocks.send(block);
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    Ok(())
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn client() -> Client {
    // Only one provider is ever offered, so that this can fail for a second call alone.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

/// The blocks as one file.
struct Blocks {
    blocks: Receiver<io::Result<Bytes>>,
    block: Bytes,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() {
            match self.blocks.recv() {
                Ok(block) => self.block = block?,
                Err(_) => return Ok(0),
            }
        }
        let len = buffer.len().min(self.block.len());
        buffer[..len].copy_from_slice(&self.block.split_to(len));
        Ok(len)
    }
}
