//! Questions for the sizes of blobs that upstreams have not answered yet.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use refs_registry::Result;
use refs_store::Origin;
use refs_url::Digest;
use tokio::sync::OnceCell;

/// One question, and what came of it.
type Head = OnceCell<Result<Option<u64>>>;

/// The questions that are under way, by repository and blob: many who ask at a time cost one request. Its answer is for those
/// who wait for it alone, and is not remembered.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<HashMap<(Origin, Digest), Weak<Head>>>);

impl Heads {
    /// What `ask` comes to, or what comes of the question of another that is under way. Where whoever asks leaves before there
    /// is an answer, another does who waits.
    pub(super) async fn answer(
        &self,
        origin: &Origin,
        digest: &Digest,
        ask: impl Future<Output = Result<Option<u64>>>,
    ) -> Result<Option<u64>> {
        let head = self.under_way(origin, digest);
        head.get_or_init(|| ask).await.clone()
    }

    fn under_way(&self, origin: &Origin, digest: &Digest) -> Arc<Head> {
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (origin.clone(), digest.clone());
        if let Some(head) = heads.get(&key).and_then(Weak::upgrade).filter(|head| !head.initialized()) {
            return head;
        }
        heads.retain(|_, head| head.strong_count() > 0);
        let head = Arc::<Head>::default();
        heads.insert(key, Arc::downgrade(&head));
        head
    }
}
