//! Manifests that refer to others.

use futures_util::future::try_join_all;
use refs_registry::{Descriptor, Error, ErrorKind, Sink};
use refs_url::Target;

use super::{
    Capabilities, Support, Writers,
    check::{referrers, tagged},
    fixture::push_referrer,
    report::{Outcome, fails, same},
};
use crate::Image;

/// What the answer says of the subject, and who is listed before and after one is deleted.
pub(super) async fn referrers_come_and_go(sink: &dyn Sink, can: &Capabilities) -> Outcome {
    let subject = Image::new().file("subject", "subject").push(sink, &["subject"]).await?.descriptor;
    let (first, second) = ("application/first", "application/second");
    let one = push_referrer(sink, &subject, first).await?;
    let other = push_referrer(sink, &subject, second).await?;
    let again = sink.put_manifest(&sink.manifest(&Target::Digest(one.digest.clone())).await?, &[]).await?;
    same("the subject of what was stored", &again.subject, &Some(subject.digest.clone()))?;
    same("referrers of one type", &referrers(sink, &subject.digest, Some(first)).await?, &vec![one.clone()])?;
    same("referrers", &referrers(sink, &subject.digest, None).await?, &sorted(vec![one.clone(), other.clone()]))?;
    if can.manifest_deletion == Support::Supported {
        sink.delete_manifest(&Target::Digest(one.digest)).await?;
        same("referrers that are left", &referrers(sink, &subject.digest, None).await?, &[other])?;
    }
    same("the subject", &sink.resolve(&tagged("subject")).await?, &subject)
}

/// The subject need not be there yet: whoever signs may push first.
pub(super) async fn a_subject_may_come_later(sink: &dyn Sink) -> Outcome {
    let image = Image::new().file("later", "later");
    let subject = image.manifest()?.descriptor;
    fails("a subject before it is there", sink.resolve(&Target::Digest(subject.digest.clone())).await, NOT_FOUND)?;
    let early = push_referrer(sink, &subject, "application/early").await?;
    image.push(sink, &[]).await?;
    same("what referred to it before", &referrers(sink, &subject.digest, None).await?, &[early])
}

/// `sinks` are the same repository, each through a client of its own.
pub(super) async fn two_writers_lose_nothing(sinks: [&dyn Sink; 2], can: &Capabilities) -> Outcome {
    let subject = Image::new().file("shared", "shared").push(sinks[0], &[]).await?.descriptor;
    // What every artifact needs is there before, so that they differ in their manifests only.
    push_referrer(sinks[0], &subject, "application/vnd.example.first").await?;
    let kinds: Vec<String> = (0..WRITES).map(|number| format!("application/vnd.example.n{number}")).collect();
    let writer = |number: usize| {
        let (kinds, subject) = (&kinds, &subject);
        async move {
            for kind in kinds.iter().skip(number).step_by(sinks.len()) {
                push_referrer(sinks[number], subject, kind).await?;
            }
            Ok::<(), Error>(())
        }
    };
    try_join_all((0..sinks.len()).map(writer)).await?;
    if can.writers == Writers::Race {
        for number in 0..sinks.len() {
            writer(number).await?;
        }
    }
    same("referrers by two writers", &referrers(sinks[1], &subject.digest, None).await?.len(), &(WRITES + 1))
}

/// So many are written by two writers together.
const WRITES: usize = 8;
const NOT_FOUND: &[ErrorKind] = &[ErrorKind::NotFound];

fn sorted(mut listed: Vec<Descriptor>) -> Vec<Descriptor> {
    listed.sort_by(|one, other| one.digest.cmp(&other.digest));
    listed
}
