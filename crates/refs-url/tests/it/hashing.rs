//! Digests computed from bytes.

use refs_url::{Algorithm, Digest, Hasher};

/// `printf abc | sha256sum`, `printf abc | sha512sum`.
const ABC_SHA256: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const ABC_SHA512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

#[track_caller]
fn check(pieces: &[&str], expect: &str) {
    let digest = Digest::parse(expect);
    let Some(mut hasher) = digest.as_ref().ok().and_then(Hasher::for_digest) else {
        panic!("`{expect}` is not computed")
    };
    pieces.iter().for_each(|piece| hasher.update(piece.as_bytes()));
    assert_eq!(Ok(hasher.finish()), digest);
}

#[test]
fn bytes_in_pieces_hash_as_one() {
    check(&["abc"], ABC_SHA256);
    check(&["a", "", "bc"], ABC_SHA256);
    check(&["ab", "c"], ABC_SHA512);
    assert_eq!(Digest::sha256(b"abc"), ABC_SHA256);
    assert_eq!(Hasher::sha256().finish(), Digest::sha256(b""));
}

#[test]
fn only_sha256_and_sha512_are_computed() {
    assert!(Hasher::new(Algorithm::Sha384).is_none());
    assert!(Hasher::new(Algorithm::Blake3).is_none());
    assert!(Hasher::new(Algorithm::Other).is_none());
}

#[test]
fn a_sha256_digest_is_its_32_bytes_and_back() {
    let digest = Digest::sha256(b"abc");
    let hash = digest.to_sha256().unwrap();
    assert_eq!(hash[..4], [0xba, 0x78, 0x16, 0xbf]);
    assert_eq!(Digest::from_sha256(hash), digest);
    assert_eq!(Digest::parse(ABC_SHA512).unwrap().to_sha256(), None);
}
