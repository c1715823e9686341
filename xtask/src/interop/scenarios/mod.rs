//! What is tried at each place.

mod bucket;
mod certificates;
mod completed;
mod copies;
mod credentials;
mod crowd;
mod delta;
mod long;
mod mirrored;
mod mistakes;
mod offline;
mod peers_both;
mod peers_read;
mod peers_write;
mod reference;
mod round_trip;

use super::Extent;
use super::bench::Bench;
use super::servers::PlaceKind;
use super::{images, long as interrupted};
use crate::error::Result;

/// One thing that must hold.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    at: At,
    pub(crate) run: fn(&Bench<'_>) -> Result<()>,
}

/// Where a scenario makes sense.
#[derive(Debug, Clone, Copy)]
enum At {
    Everywhere,
    /// Where other programs can come.
    Registries,
    /// Where a password is asked for.
    Guarded,
    /// Our own server.
    OwnServer,
    /// Our own server where it asks for a password.
    OwnGuarded,
    /// Where a certificate is asked for.
    Certified,
    /// Where a token server is.
    Tokens,
    /// Where no server is: the layer is a file.
    Layouts,
    /// At the plain docker-registry only, and everywhere in a long run.
    OnceUnlessLong,
    /// At the plain docker-registry only.
    Once,
    /// At the plain docker-registry, in a long run only.
    OnceAndLong,
    /// In a long run only, where nobody asks for a password: that adds nothing here.
    Long,
}

const ALL: &[Scenario] = &[
    Scenario { name: "push, resolve and tags agree", at: At::Everywhere, run: round_trip::push },
    Scenario { name: "list", at: At::Everywhere, run: round_trip::list },
    Scenario { name: "cat every file", at: At::Everywhere, run: round_trip::cat },
    Scenario { name: "pull", at: At::Everywhere, run: round_trip::pull },
    Scenario { name: "pull by glob", at: At::Everywhere, run: round_trip::pull_by_glob },
    Scenario { name: "pull over what is there with --force", at: At::Everywhere, run: round_trip::force },
    Scenario { name: "the repository's own sources", at: At::Everywhere, run: round_trip::sources },
    Scenario { name: "options of push", at: At::Everywhere, run: round_trip::options },
    Scenario { name: "9,000 small files", at: At::OnceUnlessLong, run: round_trip::many },
    Scenario { name: "push again after a kill", at: At::Long, run: long::push_killed },
    Scenario { name: "pull again after a kill", at: At::Long, run: long::pull_killed },
    Scenario { name: "eight pulls at once", at: At::Long, run: long::at_once },
    Scenario { name: "what is not there", at: At::Everywhere, run: mistakes::not_found },
    Scenario { name: "a destination in use", at: At::Everywhere, run: mistakes::destination },
    Scenario { name: "one byte more than a gibibyte", at: At::OnceUnlessLong, run: mistakes::too_much },
    Scenario { name: "a wrong password, and none", at: At::Guarded, run: credentials::refused },
    Scenario { name: "crane and oras use our login", at: At::Guarded, run: credentials::our_login },
    Scenario { name: "we use the logins of crane and oras", at: At::Guarded, run: credentials::their_logins },
    Scenario { name: "each program logs in", at: At::OwnGuarded, run: credentials::each_logs_in },
    Scenario { name: "no certificate, and a foreign one", at: At::Certified, run: certificates::refused },
    Scenario { name: "doctor finds TLS and HTTP/2", at: At::Certified, run: certificates::doctor },
    Scenario { name: "scopes asked for", at: At::Tokens, run: credentials::scopes },
    Scenario { name: "the reference verifies our push", at: At::Layouts, run: reference::pushed },
    Scenario { name: "the reference verifies what we write", at: At::Layouts, run: reference::written },
    Scenario { name: "crane validates our push", at: At::Registries, run: peers_read::crane_validate },
    Scenario { name: "crane reads our manifest", at: At::Registries, run: peers_read::crane_manifest },
    Scenario { name: "crane exports our files", at: At::Registries, run: peers_read::crane_export },
    Scenario { name: "oras reads our manifest and layer", at: At::Registries, run: peers_read::oras_layer },
    Scenario { name: "oras pulls and discovers", at: At::Registries, run: peers_read::oras_pull },
    Scenario { name: "we read crane's tar", at: At::Registries, run: peers_write::crane_tar },
    Scenario { name: "we read crane's tar.gz", at: At::Registries, run: peers_write::crane_tar_gzip },
    Scenario { name: "we read crane's layers in order", at: At::Registries, run: peers_write::crane_layers },
    Scenario { name: "we read what crane's layers delete", at: At::Registries, run: peers_write::crane_whiteout },
    Scenario { name: "we read oras' files", at: At::Registries, run: peers_write::oras_files },
    Scenario { name: "we read oras' directory", at: At::Registries, run: peers_write::oras_directory },
    Scenario { name: "we read a plain tar without a title", at: At::Registries, run: peers_write::oras_untitled },
    Scenario { name: "skopeo carries an image in and out", at: At::OwnServer, run: peers_both::skopeo },
    Scenario { name: "crane carries an image in and out", at: At::OwnServer, run: peers_both::crane },
    Scenario { name: "oras carries an image in and out", at: At::OwnServer, run: peers_both::oras },
    Scenario { name: "regctl carries an image in and out", at: At::OwnServer, run: peers_both::regctl },
    Scenario { name: "cp carries a graph to registries and back", at: At::Once, run: copies::between_registries },
    Scenario { name: "cp within a registry moves no blob", at: At::Once, run: copies::within_a_registry },
    Scenario { name: "a percent of 9,000 files is a percent of bytes", at: At::Once, run: delta::one_percent },
    Scenario { name: "offline opens no socket", at: At::Once, run: offline::no_socket },
    Scenario { name: "zsh completes what refs offers", at: At::Once, run: completed::zsh },
    Scenario { name: "fish completes what refs offers", at: At::Once, run: completed::fish },
    Scenario { name: "peers pull through our mirror", at: At::Once, run: mirrored::peers_pull },
    Scenario { name: "two mirrors share a bucket", at: At::Once, run: bucket::two_nodes },
    Scenario { name: "a mirror killed while it sends to a bucket", at: At::Once, run: bucket::killed_while_it_sends },
    Scenario { name: "we unpack crane's layers as umoci does", at: At::Once, run: images::appended_by_crane },
    Scenario { name: "we unpack docker's schema 2 as umoci does", at: At::Once, run: images::docker_schema_2 },
    Scenario { name: "we unpack Zstandard as umoci does", at: At::Once, run: images::zstd },
    Scenario { name: "we unpack the reference's eStargz as umoci does", at: At::Once, run: images::estargz },
    Scenario { name: "we unpack umoci's images as umoci does", at: At::Once, run: images::built_by_umoci },
    Scenario { name: "we unpack buildah's images as umoci does", at: At::Once, run: images::built_by_buildah },
    Scenario { name: "we unpack the platform asked for", at: At::Once, run: images::platforms },
    Scenario { name: "twenty unpack overlapping images", at: At::Once, run: crowd::unpack },
    Scenario { name: "unpack killed here and there", at: At::Once, run: interrupted::killed_here_and_there },
    Scenario { name: "pull killed at every call", at: At::OnceAndLong, run: interrupted::pull_killed_everywhere },
    Scenario { name: "push killed at every call", at: At::OnceAndLong, run: interrupted::push_killed_everywhere },
    Scenario { name: "unpack killed at every call", at: At::OnceAndLong, run: interrupted::unpack_killed_everywhere },
    Scenario { name: "pull with calls that fail", at: At::OnceAndLong, run: interrupted::pull_with_faults },
    Scenario { name: "push with calls that fail", at: At::OnceAndLong, run: interrupted::push_with_faults },
    Scenario { name: "unpack with calls that fail", at: At::OnceAndLong, run: interrupted::unpack_with_faults },
    Scenario { name: "pull to a full disk", at: At::OnceAndLong, run: interrupted::pull_without_room },
    Scenario { name: "push to a full disk", at: At::OnceAndLong, run: interrupted::push_without_room },
    Scenario { name: "unpack to a full disk", at: At::OnceAndLong, run: interrupted::unpack_without_room },
    Scenario { name: "pull to a disk without power", at: At::OnceAndLong, run: interrupted::pull_without_power },
    Scenario { name: "push to a disk without power", at: At::OnceAndLong, run: interrupted::push_without_power },
    Scenario { name: "unpack to a disk without power", at: At::OnceAndLong, run: interrupted::unpack_without_power },
    Scenario { name: "a thousand clients want a cold blob", at: At::OnceAndLong, run: interrupted::crowd_of_clients },
    Scenario { name: "the upstream of our mirror goes down", at: At::OnceAndLong, run: interrupted::upstream_down },
    Scenario { name: "our servers killed under load", at: At::OnceAndLong, run: interrupted::server_killed },
];

impl Scenario {
    /// What all of them are called.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|scenario| scenario.name)
    }

    /// Those that run at this kind of place.
    pub(crate) fn at(kind: PlaceKind, extent: Extent) -> impl Iterator<Item = &'static Self> {
        ALL.iter().filter(move |scenario| scenario.at.includes(kind, extent))
    }
}

impl At {
    fn includes(self, kind: PlaceKind, extent: Extent) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Registries => kind.is_open_to_peers(),
            Self::Guarded => kind.asks_for_credentials(),
            Self::Certified => kind == PlaceKind::MutualTls,
            Self::Layouts => kind == PlaceKind::Ocidir,
            Self::OwnServer => kind.is_our_own(),
            Self::OwnGuarded => kind.is_our_own() && kind.asks_for_credentials(),
            Self::Tokens => kind == PlaceKind::Token,
            Self::Once => kind == PlaceKind::Plain,
            Self::OnceAndLong => kind == PlaceKind::Plain && extent == Extent::Long,
            Self::OnceUnlessLong => kind == PlaceKind::Plain || extent == Extent::Long,
            Self::Long => extent == Extent::Long && !kind.asks_for_credentials(),
        }
    }
}
