//! Bytes on their way into a store, and aside where it does not take them.

use std::sync::Arc;

use bytes::Bytes;
use refs_registry::{ByteStream, Error, Resume};
use refs_url::Digest;

use super::{
    aside::{Aside, Turning},
    shared::{Shared, is_damage},
};
use crate::{flight::Flight, growing::Growing, store::Fill};

/// Bytes on their way into the store, as long as it takes them.
pub(super) struct Keeping {
    shared: Arc<Shared>,
    digest: Digest,
    fill: Option<Box<dyn Fill>>,
    /// Where they go when the store does not take them any more.
    aside: Option<Turning>,
}

/// The beginning of content, and the way for the rest into the store.
pub(super) struct Beginning {
    pub(super) total: u64,
    pub(super) resume: Resume,
    pub(super) stream: ByteStream,
    pub(super) keeping: Keeping,
}

impl Beginning {
    /// See [`Keeping::holding`].
    pub(super) fn holding(self, flight: Option<Flight>) -> Self {
        Self { keeping: self.keeping.holding(flight), ..self }
    }
}

impl Keeping {
    pub(super) fn new(shared: Arc<Shared>, digest: &Digest, fill: Option<Box<dyn Fill>>) -> Self {
        Self { shared, digest: digest.clone(), fill, aside: None }
    }

    /// Lets go of `flight` when nothing more comes, and not before that shows.
    pub(super) fn holding(mut self, flight: Option<Flight>) -> Self {
        if let (Some(fill), Some(flight)) = (&mut self.fill, flight) {
            fill.hold(flight);
        }
        self
    }

    /// What comes, to be read as it does.
    pub(super) fn growing(&self) -> Option<Growing> {
        self.fill.as_ref()?.growing()
    }

    /// Keeps in `aside` what the store does not take of the content, which has `size` bytes.
    pub(super) async fn or_aside(mut self, aside: &Arc<Aside>, size: u64) -> Self {
        let mut turning = Turning::new(aside, size);
        if self.fill.is_none() {
            turning.take_over(None).await;
        }
        self.aside = Some(turning);
        self
    }

    pub(super) async fn write(&mut self, chunk: &Bytes) {
        if let Some(fill) = &mut self.fill {
            let Err(error) = fill.write(chunk.clone()).await else { return };
            self.shared.taken::<()>(Err(error));
            let fill = self.fill.take();
            if let Some(turning) = &mut self.aside {
                turning.take_over(fill).await;
            }
        }
        if let Some(turning) = &mut self.aside {
            turning.write(chunk.clone()).await;
        }
    }

    /// Takes note of why no more bytes come. Those that were found to be wrong are not kept for another time.
    pub(super) async fn broken_off(self, error: &Error) {
        if is_damage(error) {
            self.discard().await;
        }
    }

    /// Keeps nothing of it.
    pub(super) async fn discard(self) {
        if let Some(fill) = self.fill {
            fill.discard().await;
        }
    }

    /// Lets the bytes show, and notes that the origin has them: before that, as those who wait for them look at once.
    pub(super) async fn finish(mut self) {
        if let Some(mut fill) = self.fill.take() {
            self.shared.add_member(&self.digest).await;
            self.shared.taken(fill.commit().await);
            if let Some(turning) = &mut self.aside {
                turning.hold(&self.digest, fill).await;
            }
        }
        if let Some(turning) = self.aside {
            turning.finish(&self.digest);
        }
    }
}
