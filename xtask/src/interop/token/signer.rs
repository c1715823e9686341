//! Signs tokens as docker-registry checks them: a JWT by ES256 that brings its certificate along.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use super::request::Scope;
use super::{ISSUER, SERVICE, USER};
use crate::error::{Error, Result};
use crate::interop::trees::write;

/// A key made for one run, and its certificate.
pub(crate) struct Signer {
    key: EcdsaKeyPair,
    certificate: String,
    random: SystemRandom,
}

impl Signer {
    /// Makes a key, and writes its self-signed certificate to `path` as PEM.
    pub(crate) fn generate(path: &Path) -> Result<Self> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::Certificate)?;
        let params = CertificateParams::new(vec![ISSUER.to_owned()]).map_err(Error::Certificate)?;
        let certificate = params.self_signed(&pair).map_err(Error::Certificate)?;
        write(path, certificate.pem().as_bytes())?;
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der(), &random)
            .map_err(|source| Error::Signature(source.to_string()))?;
        Ok(Self { key, certificate: STANDARD.encode(certificate.der()), random })
    }

    /// A token for these scopes that lives `seconds` from now; a negative number has let it end before.
    pub(crate) fn token(&self, scopes: &[Scope], seconds: i64) -> Result<String> {
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let signed = format!("{}.{}", part(&header), part(&claims(scopes, seconds)));
        let signature = self.key.sign(&self.random, signed.as_bytes());
        let signature = signature.map_err(|source| Error::Signature(source.to_string()))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn claims(scopes: &[Scope], seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let access = scopes.iter().map(|scope| json!({"type": scope.kind, "name": scope.name, "actions": scope.actions}));
    json!({
        "iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": now.to_string(),
        "iat": now, "nbf": now.saturating_sub(10), "exp": now.saturating_add_signed(seconds),
        "access": access.collect::<Vec<_>>(),
    })
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
