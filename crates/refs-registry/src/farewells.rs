//! What registries are told when nobody waits for it any more.

use std::{
    fmt,
    future::{Future, pending},
    panic::resume_unwind,
};

use tokio::{runtime::Handle, sync::watch};

/// Sessions of uploads that were given up, and are being cancelled, and those of which it isn't known yet whether they were
/// begun: a future that is dropped can't wait for that. A program that is about to end waits here, within a bound of its own.
/// A clone is of the same farewells.
#[derive(Clone)]
pub struct Farewells(watch::Sender<usize>);

impl Farewells {
    /// Waits until all that were begun have been said, or have failed.
    pub async fn said(&self) {
        // It ends with an error when the sender is dropped, which is here.
        drop(self.0.subscribe().wait_for(|unsaid| *unsaid == 0).await);
    }

    /// Has `farewell` said, unless there is no runtime to say it.
    pub(crate) fn say(&self, farewell: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return };
        let unsaid = Unsaid::one_more(&self.0);
        runtime.spawn(async move {
            farewell.await;
            drop(unsaid);
        });
    }

    /// What `begun` ends with. It goes on when this is dropped, and what it ends with is dropped then: only who knows the
    /// answer to a request can undo what it did.
    pub(crate) async fn to_its_end<T: Send + 'static>(&self, begun: impl Future<Output = T> + Send + 'static) -> T {
        let unsaid = Unsaid::one_more(&self.0);
        match tokio::spawn(async move { (begun.await, unsaid) }).await {
            Ok((end, _said)) => end,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime is being shut down, and whoever waits here is dropped, too.
                Err(_shut_down) => pending().await,
            },
        }
    }
}

impl Default for Farewells {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl fmt::Debug for Farewells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Farewells").field(&*self.0.borrow()).finish()
    }
}

/// One farewell; dropped, it is no longer waited for, even if it was cut short.
struct Unsaid(watch::Sender<usize>);

impl Unsaid {
    fn one_more(unsaid: &watch::Sender<usize>) -> Self {
        unsaid.send_modify(|unsaid| *unsaid += 1);
        Self(unsaid.clone())
    }
}

impl Drop for Unsaid {
    fn drop(&mut self) {
        self.0.send_modify(|unsaid| *unsaid -= 1);
    }
}
