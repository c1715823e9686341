//! What a manifest leads to.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use refs_registry::{
    Descriptor, Error as RegistryError, Manifest, MediaType,
    error::Wanted,
    spec::{ArtifactManifest, Document},
};
use refs_url::{Digest, Target};

use crate::{Result, tree::Role};

/// What a manifest leads to, each digest once in each list, in the manifest's order. Its subject is not among them: that is
/// what it is about, and not a part of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Children {
    /// Configs and layers; of an index what it lists that is no manifest, as the indexes of build caches do.
    pub blobs: Vec<Descriptor>,
    /// Manifests and indexes.
    pub manifests: Vec<Descriptor>,
    /// Layers that are fetched from elsewhere or are not for everyone to pass on: by their URLs, or by their type, wherever
    /// they are listed. A registry need not have them.
    pub foreign: Vec<Descriptor>,
}

/// What the manifest `raw` of the type `media_type` leads to: of an image its config and layers, of an index what it lists,
/// of an artifact manifest its blobs; OCI's and Docker's types alike.
///
/// # Errors
/// `Registry` of the kind `Unsupported` for other types, Docker's schema 1 among them; of the kind `Protocol` when `raw` is
/// not what `media_type` says, or two readers could disagree about what it is; of the kind `Size` when it lists one digest
/// with two sizes.
pub fn manifest_digests(media_type: &MediaType, raw: &[u8]) -> Result<Children> {
    let manifest = Manifest::new(media_type.clone(), Bytes::copy_from_slice(raw));
    Ok(sorted(members(&manifest)?)?)
}

/// All that `manifest` lists, with what it is to it, in order.
///
/// # Errors
/// As [`manifest_digests`].
pub(crate) fn members(manifest: &Manifest) -> refs_registry::Result<Vec<(Role, Descriptor)>> {
    if manifest.descriptor.media_type.is_artifact() {
        let artifact = ArtifactManifest::parse(manifest)?;
        return Ok(artifact.blobs.into_iter().map(|blob| (Role::Layer, blob)).collect());
    }
    Ok(match manifest.parse()? {
        Document::Index(index) => index.manifests.into_iter().map(|listed| (role_in_index(&listed), listed)).collect(),
        Document::Image(image) => {
            let layers = image.layers.into_iter().map(|layer| (Role::Layer, layer));
            std::iter::once((Role::Config, image.config)).chain(layers).collect()
        }
    })
}

/// What `manifest` refers to.
///
/// # Errors
/// As [`manifest_digests`].
pub(crate) fn subject(manifest: &Manifest) -> refs_registry::Result<Option<Digest>> {
    let subject = if manifest.descriptor.media_type.is_artifact() {
        ArtifactManifest::parse(manifest)?.subject
    } else {
        match manifest.parse()? {
            Document::Index(index) => index.subject,
            Document::Image(image) => image.subject,
        }
    };
    Ok(subject.map(|subject| subject.digest))
}

/// By its type: a cache of BuildKit is an index of layers.
fn role_in_index(listed: &Descriptor) -> Role {
    if listed.media_type.is_manifest() { Role::Manifest } else { Role::Layer }
}

/// `members` by what has to be done to get them, each digest once. What is foreign in one place and a layer as all others in
/// another is such a layer.
///
/// # Errors
/// `Sizes`.
pub(crate) fn sorted(members: Vec<(Role, Descriptor)>) -> refs_registry::Result<Children> {
    let is_foreign = |role: Role, member: &Descriptor| role == Role::Layer && member.is_foreign();
    let own = members.iter().filter(|(role, member)| *role != Role::Manifest && !is_foreign(*role, member));
    let own: HashSet<Digest> = own.map(|(_, member)| member.digest.clone()).collect();
    let mut children = Children::default();
    let (mut seen, mut sizes) = (HashSet::new(), HashMap::new());
    for (role, member) in members {
        let size = *sizes.entry(member.digest.clone()).or_insert(member.size);
        if size != member.size {
            return Err(two_sizes(wanted(role, member.digest), size, member.size));
        }
        let list = match role {
            Role::Root | Role::Manifest | Role::Referrer => &mut children.manifests,
            Role::Layer if is_foreign(role, &member) => {
                if own.contains(&member.digest) {
                    continue;
                }
                &mut children.foreign
            }
            Role::Config | Role::Layer => &mut children.blobs,
        };
        if seen.insert((role == Role::Manifest, member.digest.clone())) {
            list.push(member);
        }
    }
    Ok(children)
}

/// The error about `wanted`, which is listed with two sizes: nobody could pull one of what lists it. It says the same
/// whichever comes first.
pub(crate) fn two_sizes(wanted: Wanted, one: u64, other: u64) -> RegistryError {
    RegistryError::Sizes { wanted, smaller: one.min(other), larger: one.max(other) }
}

fn wanted(role: Role, digest: Digest) -> Wanted {
    match role {
        Role::Root | Role::Manifest | Role::Referrer => Wanted::Manifest(Target::Digest(digest)),
        Role::Config | Role::Layer => Wanted::Blob(digest),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use refs_registry::ErrorKind;
    use serde_json::{Value, json};

    use super::*;
    use crate::Error;

    const OCI: &str = "application/vnd.oci.image.";
    const DOCKER: &str = "application/vnd.docker.";

    fn listed(media_type: &str, content: &str) -> Value {
        serde_json::to_value(Descriptor::of(MediaType::new(media_type), content.as_bytes())).unwrap()
    }

    fn names(found: &[Descriptor], of: &[&str]) -> String {
        let name = |found: &Descriptor| {
            of.iter().find(|name| Descriptor::of(MediaType::OCI_LAYER, name.as_bytes()).digest == found.digest).unwrap()
        };
        found.iter().map(|found| *name(found)).collect()
    }

    /// The names of blobs, manifests and foreign layers; all that is listed has one letter for its content.
    #[track_caller]
    fn check(media_type: &str, document: &Value, expect: (&str, &str, &str)) {
        let raw = document.to_string();
        let children = manifest_digests(&MediaType::new(media_type), raw.as_bytes()).unwrap();
        let all = ["a", "b", "c", "d", "e", "f"];
        let found = (names(&children.blobs, &all), names(&children.manifests, &all), names(&children.foreign, &all));
        assert_eq!((found.0.as_str(), found.1.as_str(), found.2.as_str()), expect, "{raw}");
    }

    #[track_caller]
    fn check_refused(media_type: &str, raw: &str, expect: ErrorKind) {
        match manifest_digests(&MediaType::new(media_type), raw.as_bytes()) {
            Err(Error::Registry(error)) => assert_eq!(error.kind(), expect, "{raw}"),
            other => panic!("{other:?} for {raw}"),
        }
    }

    #[test]
    fn images_lead_to_config_and_layers_each_once() {
        for (manifest, config, layer) in [
            (format!("{OCI}manifest.v1+json"), format!("{OCI}config.v1+json"), format!("{OCI}layer.v1.tar+gzip")),
            (
                format!("{DOCKER}distribution.manifest.v2+json"),
                format!("{DOCKER}container.image.v1+json"),
                format!("{DOCKER}image.rootfs.diff.tar.gzip"),
            ),
        ] {
            let layers = ["b", "c", "b", "a"].map(|name| listed(&layer, name));
            let subject = listed(&manifest, "f");
            let image =
                json!({ "schemaVersion": 2, "config": listed(&config, "a"), "layers": layers, "subject": subject });
            check(&manifest, &image, ("abc", "", ""));
        }
    }

    #[test]
    fn layers_from_elsewhere_are_foreign() {
        let mut linked = listed(&format!("{OCI}layer.v1.tar"), "b");
        linked["urls"] = json!(["https://example.com/b"]);
        let foreign = [
            linked,
            listed(&format!("{OCI}layer.nondistributable.v1.tar+gzip"), "c"),
            listed(&format!("{DOCKER}image.rootfs.foreign.diff.tar.gzip"), "d"),
            listed(&format!("{OCI}layer.v1.tar"), "e"),
        ];
        let config = listed(&format!("{OCI}config.v1+json"), "a");
        let image = json!({ "schemaVersion": 2, "config": config, "layers": foreign });
        check(&format!("{OCI}manifest.v1+json"), &image, ("ae", "", "bcd"));
    }

    #[test]
    fn a_layer_that_is_foreign_in_one_place_only_is_one_as_all_others() {
        let here = listed(&format!("{OCI}layer.v1.tar"), "b");
        let mut linked = here.clone();
        linked["urls"] = json!(["https://example.com/b"]);
        let typed = listed(&format!("{DOCKER}image.rootfs.foreign.diff.tar.gzip"), "b");
        let config = listed(&format!("{OCI}config.v1+json"), "a");
        for layers in [[&linked, &here], [&here, &linked], [&typed, &here], [&here, &typed]] {
            let image = json!({ "schemaVersion": 2, "config": config, "layers": layers });
            check(&format!("{OCI}manifest.v1+json"), &image, ("ab", "", ""));
        }
        let image = json!({ "schemaVersion": 2, "config": config, "layers": [linked, typed] });
        check(&format!("{OCI}manifest.v1+json"), &image, ("a", "", "b"));
        let mut config = config;
        config["urls"] = json!(["https://example.com/a"]);
        let image = json!({ "schemaVersion": 2, "config": config, "layers": [] });
        check(&format!("{OCI}manifest.v1+json"), &image, ("a", "", ""));
    }

    /// That a digest that is listed as `one` and with another size is refused, in either order.
    #[track_caller]
    fn check_two_sizes(media_type: &str, one: &Value, document: impl Fn(&Value, &Value) -> Value, expect: &str) {
        let mut other = one.clone();
        other["size"] = json!(99);
        for (first, second) in [(one, &other), (&other, one)] {
            let raw = document(first, second).to_string();
            check_refused(media_type, &raw, ErrorKind::Size);
            let refused = manifest_digests(&MediaType::new(media_type), raw.as_bytes()).unwrap_err();
            let digest = one["digest"].as_str().unwrap();
            assert_eq!(refused.to_string(), format!("{expect} `{digest}` is listed with 1 and with 99 bytes"));
        }
    }

    #[test]
    fn what_is_listed_with_two_sizes_is_refused_whichever_comes_first() {
        let (image, index) = (format!("{OCI}manifest.v1+json"), format!("{OCI}index.v1+json"));
        let artifact = "application/vnd.oci.artifact.manifest.v1+json";
        let config = listed(&format!("{OCI}config.v1+json"), "a");
        let layer = listed(&format!("{OCI}layer.v1.tar"), "b");
        let mut linked = layer.clone();
        linked["urls"] = json!(["https://example.com/b"]);
        for layer in [&layer, &linked] {
            let layers =
                |one: &Value, other: &Value| json!({ "schemaVersion": 2, "config": config, "layers": [one, other] });
            check_two_sizes(&image, layer, layers, "blob");
        }
        let both = |one: &Value, other: &Value| json!({ "schemaVersion": 2, "config": one, "layers": [other] });
        check_two_sizes(&image, &config, both, "blob");
        let manifests = |one: &Value, other: &Value| json!({ "schemaVersion": 2, "manifests": [one, other] });
        check_two_sizes(&index, &listed(&image, "c"), manifests, "manifest");
        check_two_sizes(&index, &layer, manifests, "blob");
        let blobs = |one: &Value, other: &Value| json!({ "mediaType": artifact, "blobs": [one, other] });
        check_two_sizes(artifact, &layer, blobs, "blob");
    }

    #[test]
    fn what_an_index_lists_is_told_apart_by_its_type() {
        let of = [
            listed(&format!("{OCI}manifest.v1+json"), "a"),
            listed(&format!("{OCI}layer.v1.tar+gzip"), "b"),
            listed(&format!("{OCI}index.v1+json"), "c"),
            listed("application/vnd.buildkit.cacheconfig.v0", "d"),
            listed("application/vnd.oci.artifact.manifest.v1+json", "e"),
            listed(&format!("{DOCKER}distribution.manifest.v1+prettyjws"), "f"),
            listed(&format!("{OCI}manifest.v1+json"), "a"),
        ];
        let index = json!({ "schemaVersion": 2, "manifests": of });
        check(&format!("{OCI}index.v1+json"), &index, ("bd", "acef", ""));
        check(&format!("{DOCKER}distribution.manifest.list.v2+json"), &index, ("bd", "acef", ""));
    }

    #[test]
    fn an_artifact_manifest_leads_to_its_blobs() {
        let artifact = "application/vnd.oci.artifact.manifest.v1+json";
        let blobs = json!([listed("text/plain", "a"), listed("text/plain", "b")]);
        let subject = listed(&format!("{OCI}manifest.v1+json"), "c");
        check(artifact, &json!({ "mediaType": artifact, "blobs": blobs, "subject": subject }), ("ab", "", ""));
        check(artifact, &json!({ "mediaType": artifact }), ("", "", ""));
        check_refused(artifact, r#"{"mediaType":"text/plain"}"#, ErrorKind::Protocol);
        check_refused(artifact, r#"{"blobs":[],"manifests":[]}"#, ErrorKind::Protocol);
    }

    #[test]
    fn types_that_nobody_knows_are_errors_of_their_own_kind() {
        check_refused("application/vnd.example+json", r#"{"schemaVersion":2}"#, ErrorKind::Unsupported);
        check_refused(
            &format!("{DOCKER}distribution.manifest.v1+json"),
            r#"{"schemaVersion":1}"#,
            ErrorKind::Unsupported,
        );
        check_refused(&format!("{OCI}manifest.v1+json"), "{", ErrorKind::Protocol);
        let both = r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#;
        check_refused(&format!("{OCI}index.v1+json"), both, ErrorKind::Protocol);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(raw in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_usize..6) {
            let types = [
                MediaType::OCI_MANIFEST, MediaType::OCI_INDEX, MediaType::DOCKER_MANIFEST, MediaType::DOCKER_INDEX,
                MediaType::OCI_ARTIFACT, MediaType::DOCKER_SCHEMA1,
            ];
            drop(manifest_digests(&types[kind], &raw));
        }

        #[test]
        fn lists_have_each_digest_once_in_order(picks in proptest::collection::vec(0_usize..6, 0..20)) {
            let layer = format!("{OCI}layer.v1.tar");
            let layers: Vec<_> = picks.iter().map(|pick| listed(&layer, &pick.to_string())).collect();
            let config = listed(&format!("{OCI}config.v1+json"), "config");
            let image = json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string();
            let children = manifest_digests(&MediaType::OCI_MANIFEST, image.as_bytes()).unwrap();
            let mut expect: Vec<usize> = Vec::new();
            picks.iter().for_each(|pick| if !expect.contains(pick) { expect.push(*pick) });
            let digest = |pick: &usize| Descriptor::of(MediaType::OCI_LAYER, pick.to_string().as_bytes()).digest;
            let found: Vec<_> = children.blobs[1..].iter().map(|blob| blob.digest.clone()).collect();
            prop_assert_eq!(found, expect.iter().map(digest).collect::<Vec<_>>());
        }
    }
}
