//! Passwords, checked without giving the machine away to whoever tries many.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use http::{StatusCode, header::RETRY_AFTER};
use refs_registry::{Clock, auth::Secret};
use tokio::sync::Semaphore;

use super::{
    Htpasswd,
    htpasswd::Known,
    key::{Key, Mark},
};
use crate::{Code, Refusal};

/// How long a password that was right is taken for right without another look: the checks of one `docker pull`, which shows
/// it with each request, come down to one.
const REMEMBERED: Duration = Duration::from_secs(60);
/// The most passwords remembered at a time.
const MOST_REMEMBERED: usize = 4096;
/// The most requests that wait for their password to be checked; further ones are sent away.
const MOST_WAITING: usize = 256;

/// The users, and which passwords were right a moment ago.
pub(super) struct Passwords {
    users: Htpasswd,
    /// What is remembered is a mark by this key, which lives as long as the process. Without one nothing is remembered.
    key: Option<Key>,
    right: Mutex<HashMap<Mark, Instant>>,
    /// Some cores stay free for those who are in.
    turns: Arc<Semaphore>,
    queue: Semaphore,
    clock: Arc<dyn Clock>,
}

/// What came of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
}

impl Passwords {
    pub(super) fn new(users: Htpasswd, clock: Arc<dyn Clock>) -> Self {
        let turns = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        Self {
            users,
            key: Key::random().ok(),
            right: Mutex::default(),
            turns: Arc::new(Semaphore::new(turns)),
            queue: Semaphore::new(MOST_WAITING),
            clock,
        }
    }

    /// Whether `password` is the one of `user`. A wrong one takes as long whether there is such a user or not.
    ///
    /// # Errors
    /// 429 when too many wait for the answer to this.
    pub(super) async fn check(&self, user: &str, password: &Secret) -> Result<Verdict, Refusal> {
        let (known, hash) = self.users.hash(user);
        let parts = [user.as_bytes(), hash.as_bytes(), password.reveal().as_bytes()];
        let mark = self.key.as_ref().map(|key| key.mark("password", &parts));
        if self.remembers(mark.as_ref()) {
            return Ok(Verdict::Right);
        }
        let _waiting = self.queue.try_acquire().ok().ok_or_else(too_many)?;
        // Neither semaphore is ever closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        if self.remembers(mark.as_ref()) {
            // Another request of the same user was before this one.
            return Ok(Verdict::Right);
        }
        let password = password.clone();
        let matching = tokio::task::spawn_blocking(move || {
            // Held until the work is done, and not only until the client has left.
            let _turn = turn;
            bcrypt::verify(password.reveal(), &hash).unwrap_or(false)
        });
        match (known, matching.await) {
            (Known::User, Ok(true)) => {
                self.remember(mark);
                Ok(Verdict::Right)
            }
            _ => Ok(Verdict::Wrong),
        }
    }

    fn remembers(&self, mark: Option<&Mark>) -> bool {
        let right = self.right();
        mark.and_then(|mark| right.get(mark)).is_some_and(|until| self.clock.now() < *until)
    }

    fn remember(&self, mark: Option<Mark>) {
        let Some(mark) = mark else { return };
        let now = self.clock.now();
        let mut right = self.right();
        if right.len() >= MOST_REMEMBERED {
            right.retain(|_, until| now < *until);
        }
        if right.len() >= MOST_REMEMBERED {
            right.clear();
        }
        right.insert(mark, now + REMEMBERED);
    }

    fn right(&self) -> MutexGuard<'_, HashMap<Mark, Instant>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_many() -> Refusal {
    let message = "too many passwords wait to be checked";
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message).with(RETRY_AFTER, 1)
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("users", &self.users).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    #[derive(Debug)]
    struct Hand(Mutex<Instant>);

    #[async_trait]
    impl Clock for Hand {
        fn now(&self) -> Instant {
            *self.0.lock().unwrap()
        }

        async fn sleep(&self, _wait: Duration) {}
    }

    fn passwords() -> (Passwords, Arc<Hand>) {
        let clock = Arc::new(Hand(Mutex::new(Instant::now())));
        let hash = bcrypt::hash("right", 4).unwrap();
        let users = Htpasswd::parse(&format!("a:{hash}\nb:{hash}")).unwrap();
        (Passwords::new(users, Arc::clone(&clock) as _), clock)
    }

    async fn check(passwords: &Passwords, user: &str, password: &str, expect: Verdict) {
        assert_eq!(passwords.check(user, &password.into()).await, Ok(expect), "{user} {password}");
    }

    #[tokio::test]
    async fn a_password_is_the_one_of_its_user() {
        let (passwords, _) = passwords();
        check(&passwords, "a", "right", Verdict::Right).await;
        check(&passwords, "a", "wrong", Verdict::Wrong).await;
        check(&passwords, "a", "", Verdict::Wrong).await;
        check(&passwords, "A", "right", Verdict::Wrong).await;
        check(&passwords, "c", "right", Verdict::Wrong).await;
    }

    /// `python3 -c "import crypt; print(crypt.crypt(PASSWORD, '$2y$05$abcdefghijklmnopqrstuu'))"`, with libxcrypt 4.4.
    #[tokio::test]
    async fn hashes_of_other_programs_hold() {
        for (password, hash) in [
            ("correct horse".to_owned(), "HNbAKRhpaujgo33bRWs.NLUTJO3lOy2"),
            ("ä".repeat(40), "TRSHZmuydJWPjOCBk/ch5P57D9cdiM2"),
            ("x".repeat(80), "jf8SX2ahXLwp9w/B.Y5XdysS6yR576q"),
        ] {
            for kind in ["2y", "2b", "2a"] {
                let users = Htpasswd::parse(&format!("a:${kind}$05$abcdefghijklmnopqrstuu{hash}")).unwrap();
                let passwords = Passwords::new(users, Arc::new(refs_registry::SystemClock));
                check(&passwords, "a", &password, Verdict::Right).await;
                check(&passwords, "a", &password[10..], Verdict::Wrong).await;
            }
        }
    }

    #[tokio::test]
    async fn a_password_that_was_right_is_not_hashed_again_for_a_minute() {
        let (passwords, clock) = passwords();
        check(&passwords, "a", "right", Verdict::Right).await;
        check(&passwords, "a", "wrong", Verdict::Wrong).await;
        // Whoever has to have something hashed can't any more.
        let _nobody = passwords.queue.acquire_many(u32::try_from(MOST_WAITING).unwrap()).await.unwrap();
        check(&passwords, "a", "right", Verdict::Right).await;
        for (user, password) in [("a", "wrong"), ("b", "right"), ("c", "right")] {
            let refused = passwords.check(user, &password.into()).await.unwrap_err();
            assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{user} {password}");
        }
        *clock.0.lock().unwrap() += REMEMBERED;
        assert!(passwords.check("a", &"right".into()).await.is_err());
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (passwords, _) = passwords();
        for byte in 0..=MOST_REMEMBERED {
            let mut mark = Mark::default();
            mark[..8].copy_from_slice(&byte.to_le_bytes());
            passwords.remember(Some(mark));
        }
        assert_eq!(passwords.right().len(), 1);
    }
}
