//! Waiting for what others bring about.

use std::time::{Duration, Instant};

/// Waits until `is_so`, giving way to other tasks in between.
///
/// # Panics
/// When it hasn't come about after a minute: a test that waits for ever says nothing of what it waits for.
pub async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "what the test waits for has not come about");
        tokio::task::yield_now().await;
    }
}
