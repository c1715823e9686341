//! How many requests a registry still allows.

use std::time::Duration;

use http::HeaderMap;

use crate::error::Detail;

/// The figures of a registry that limits how much is pulled, as its last answer had them.
///
/// Docker Hub counts a `GET` of a manifest, and no `HEAD`
/// ([its own words](https://docs.docker.com/docker-hub/usage/pulls/)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests are allowed within the window.
    pub limit: u64,
    /// How many of them are left, where the registry tells.
    pub remaining: Option<u64>,
    /// How long the window is, where the registry tells.
    pub window: Option<Duration>,
    /// Whom it counts for, in the registry's words: an address, or the number of an account. Control characters are
    /// escaped.
    pub source: Option<String>,
}

impl RateLimit {
    /// The figures in `headers`; `None` when there are none that can be read.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let (limit, window) = quota(text("ratelimit-limit")?)?;
        let remaining = text("ratelimit-remaining").and_then(quota);
        let window = window.or_else(|| remaining?.1);
        let source = text("docker-ratelimit-source").and_then(|source| Detail::new(source).words().map(str::to_owned));
        Some(Self { limit, remaining: remaining.map(|(count, _)| count), window, source })
    }
}

/// A number of requests and, where it follows as `;w=SECONDS`, the window. Of a list, the first is meant.
fn quota(value: &str) -> Option<(u64, Option<Duration>)> {
    let mut parts = value.split(',').next()?.split(';').map(str::trim);
    let count = parts.next()?.parse().ok()?;
    let window = parts.find_map(|part| part.strip_prefix("w=")?.trim().parse().ok());
    Some((count, window.map(Duration::from_secs)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(headers: &[(&'static str, &'static str)], expect: Option<(u64, Option<u64>, Option<u64>)>) {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
        let figures = RateLimit::of(&headers)
            .map(|found| (found.limit, found.remaining, found.window.map(|window| window.as_secs())));
        assert_eq!(figures, expect, "{headers:?}");
    }

    #[test]
    fn figures_are_read_in_the_forms_that_registries_give_them() {
        let limit = ("ratelimit-limit", "100;w=21600");
        check(&[limit, ("ratelimit-remaining", "76;w=21600")], Some((100, Some(76), Some(21_600))));
        check(&[limit], Some((100, None, Some(21_600))));
        check(&[("ratelimit-limit", " 10 ")], Some((10, None, None)));
        check(&[("ratelimit-limit", "10"), ("ratelimit-remaining", "0 ; w=60")], Some((10, Some(0), Some(60))));
        check(&[("ratelimit-limit", "10;w=1, 50;w=60")], Some((10, None, Some(1))));
        check(&[limit, ("ratelimit-remaining", "many")], Some((100, None, Some(21_600))));
    }

    #[test]
    fn what_is_no_figure_is_none() {
        check(&[], None);
        check(&[("ratelimit-remaining", "1")], None);
        for junk in ["", ";", "-1", "1e9", "99999999999999999999999", "unlimited;w=60"] {
            check(&[("ratelimit-limit", junk)], None);
        }
        check(&[("ratelimit-limit", "5;w=soon;w=7")], Some((5, None, Some(7))));
    }
}
