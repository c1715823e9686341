//! How many requests may be under way.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::{StatusCode, header::RETRY_AFTER};

use crate::{Code, Refusal};

/// The places for requests under way: so many for all, and so many for each client.
#[derive(Debug)]
pub(crate) struct Places {
    all: usize,
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// The place of a request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    client: Option<IpAddr>,
}

impl Places {
    pub(crate) fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each, taken: Mutex::default() })
    }

    /// A place for a request of `client`.
    ///
    /// # Errors
    /// The refusal to answer with: 429 when this client has all that one may have, 503 when there are no more for anybody.
    pub(crate) fn enter(self: &Arc<Self>, client: Option<IpAddr>) -> Result<Place, Refusal> {
        let client = client.map(network);
        let mut taken = self.taken();
        let of_client = client.and_then(|client| taken.by.get(&client)).copied().unwrap_or_default();
        if of_client >= self.each {
            return Err(full(StatusCode::TOO_MANY_REQUESTS, "too many requests of this client are under way"));
        }
        if taken.all >= self.all {
            return Err(full(StatusCode::SERVICE_UNAVAILABLE, "too many requests are under way"));
        }
        taken.all += 1;
        client.into_iter().for_each(|client| *taken.by.entry(client).or_default() += 1);
        drop(taken);
        Ok(Place { places: Arc::clone(self), client })
    }

    /// The most that may wait for the same, so that there are places for others.
    pub(crate) fn most_of_one(&self) -> usize {
        (self.all / 4).max(1)
    }

    /// How many are taken.
    pub(crate) fn count(&self) -> usize {
        self.taken().all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.all -= 1;
        let Some(client) = self.client else { return };
        if let Some(count) = taken.by.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                taken.by.remove(&client);
            }
        }
    }
}

/// Whose an address is: a client has all of a `/64` of IPv6, and could come from another address of it each time.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

fn full(status: StatusCode, message: &'static str) -> Refusal {
    Refusal::new(status, Code::TooManyRequests, message).with(RETRY_AFTER, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who of `clients` gets a place, one after the other, while those before hold theirs: the status where not.
    #[track_caller]
    fn check(all: usize, each: usize, clients: &[&str], expect: &[u16]) {
        let places = Places::new(all, each);
        let mut held = Vec::new();
        let mut enter = |client: &&str| match places.enter(client.parse().ok()) {
            Ok(place) => {
                held.push(place);
                200
            }
            Err(refusal) => refusal.status.as_u16(),
        };
        let given: Vec<u16> = clients.iter().map(&mut enter).collect();
        assert_eq!(given, expect, "{clients:?}");
        assert_eq!(places.count(), held.len());
        drop(held);
        assert_eq!(places.count(), 0);
        assert!(places.taken().by.is_empty());
    }

    #[test]
    fn m159_places_are_bounded_for_all_and_for_each() {
        check(2, 9, &["10.0.0.1", "10.0.0.2", "10.0.0.3", ""], &[200, 200, 503, 503]);
        check(9, 2, &["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"], &[200, 200, 429, 200]);
        check(9, 1, &["", "", ""], &[200, 200, 200]);
        check(1, 1, &["10.0.0.1", "10.0.0.1"], &[200, 429]);
    }

    #[test]
    fn a_client_is_known_by_its_network() {
        check(9, 1, &["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"], &[200, 429, 200]);
        check(9, 1, &["::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.2"], &[200, 429, 200]);
    }
}
