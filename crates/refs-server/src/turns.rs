//! Turns at the manifests of repositories.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use refs_url::RepoName;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// Who writes manifests to which repository: many at a time, or one alone, of whose write a condition has to hold.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<RepoName, Weak<RwLock<()>>>>);

/// The turn of a write, until it is dropped.
#[derive(Debug)]
pub(crate) enum Turn {
    Beside(#[expect(dead_code, reason = "it is held")] OwnedRwLockReadGuard<()>),
    Alone(#[expect(dead_code, reason = "it is held")] OwnedRwLockWriteGuard<()>),
}

impl Turns {
    /// A turn beside others, once nobody is alone in `repository`.
    pub(crate) async fn beside(&self, repository: &RepoName) -> Turn {
        Turn::Beside(self.of(repository).read_owned().await)
    }

    /// A turn alone in `repository`. Who comes later waits for it.
    pub(crate) async fn alone(&self, repository: &RepoName) -> Turn {
        Turn::Alone(self.of(repository).write_owned().await)
    }

    fn of(&self, repository: &RepoName) -> Arc<RwLock<()>> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = taken.get(repository).and_then(Weak::upgrade) {
            return turns;
        }
        taken.retain(|_, turns| turns.strong_count() > 0);
        let turns = Arc::default();
        taken.insert(repository.clone(), Arc::downgrade(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whoever_is_alone_is_alone_in_a_repository() {
        let turns = Turns::default();
        let [a, b] = ["a", "b"].map(|name| RepoName::parse(name).unwrap());
        let beside = [(); 2].map(|()| turns.beside(&a).now_or_never().expect("nobody is alone"));
        assert!(turns.alone(&a).now_or_never().is_none(), "others write");
        let elsewhere = turns.alone(&b).now_or_never().expect("nobody writes there");
        drop(beside);
        let alone = turns.alone(&a).now_or_never().expect("the others are done");
        assert!(turns.beside(&a).now_or_never().is_none(), "one is alone");
        drop((alone, elsewhere));
        assert!(turns.beside(&a).now_or_never().is_some(), "it is done");
        assert_eq!(turns.0.lock().unwrap().len(), 1, "of those that nobody writes to, nothing is left");
    }
}
