//! Content by sha512
//! ([digests](https://github.com/opencontainers/image-spec/blob/main/descriptor.md#registered-algorithms)).

use bytes::Bytes;
use refs_registry::{Descriptor, ErrorKind, MediaType, Sink};
use refs_url::{Algorithm, Digest, Hasher};

use super::{
    Capabilities, Support,
    check::read,
    report::{Outcome, fails, same, same_bytes},
};

pub(super) async fn sha512_is_a_digest(sink: &dyn Sink, can: &Capabilities) -> Outcome {
    let content = "named by sha512";
    let digest = sha512(content.as_bytes());
    let blob = Descriptor::new(MediaType::OCI_LAYER, digest.clone(), content.len() as u64);
    let put = sink.put_blob(&blob, Bytes::from(content).into()).await;
    if can.sha512 == Support::Unsupported {
        fails("a blob by sha512", put, &[ErrorKind::Unsupported, ErrorKind::Protocol, ErrorKind::Digest])?;
        return Ok(());
    }
    put?;
    same("its size", &sink.stat_blob(&digest).await?, &Some(blob.size))?;
    same_bytes("a blob by sha512", &read(sink, &digest).await?, content.as_bytes())?;
    let wrong = Descriptor::new(MediaType::OCI_LAYER, sha512(b"others"), 6);
    let put = sink.put_blob(&wrong, Bytes::from("wrongs").into()).await;
    fails("other bytes by sha512", put, &[ErrorKind::Digest])
}

#[expect(clippy::expect_used, reason = "it is one of the two that are always built in")]
fn sha512(content: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha512).expect("sha512");
    hasher.update(content);
    hasher.finish()
}
