//! What each registry does otherwise than the traits promise at best. Whoever does more than is stated here fails, too: then
//! this is the place to say so.

use refs_testkit::conformance::{Capabilities, Listed, Referrers, Support, Unknown, Writers};

use super::SetUp;

pub(super) fn of(set_up: SetUp) -> Capabilities {
    match set_up {
        SetUp::Plain | SetUp::Htpasswd | SetUp::Token | SetUp::MutualTls => docker_registry(),
        SetUp::ReadOnly => Capabilities { writes: Support::Unsupported, ..docker_registry() },
        // Where its origin has no such manifest, it answers with 500.
        SetUp::PullThrough => {
            Capabilities { writes: Support::Unsupported, unknown_digest: Unknown::Failure, ..docker_registry() }
        }
        SetUp::Olareg => olareg(),
        SetUp::RefsServe => Capabilities::default(),
    }
}

/// Distribution 2.8: tags can't be deleted, and are listed whole, whatever is asked for; it keeps no referrers.
fn docker_registry() -> Capabilities {
    Capabilities {
        tag_deletion: Support::Unsupported,
        referrers: Referrers::Tag,
        tags_after: Listed::Whole,
        ..Capabilities::default()
    }
}

/// No catalog, blobs stay unless it is told otherwise, and of two referrers that come at once one may be forgotten.
fn olareg() -> Capabilities {
    Capabilities {
        catalog: Support::Unsupported,
        blob_deletion: Support::Unsupported,
        writers: Writers::Race,
        ..Capabilities::default()
    }
}
