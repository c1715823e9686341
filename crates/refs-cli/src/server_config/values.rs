//! Values that are written as text.

use std::{fmt, num::NonZeroUsize, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};

use crate::{duration, listen_args, size};

/// A time, as flags have it: `90s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Duration);

/// A time that may be none at all: `0s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeOrNone(pub(super) Duration);

/// How many bytes, as flags have it: `40GiB`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size(pub(super) u64);

/// How many may be at once: one at least.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) NonZeroUsize);

/// Where to listen: a host and a port.
#[derive(Debug, Clone)]
pub(super) struct Address(pub(super) String);

/// A text that may be a secret: it is in no message, whatever is wrong with it.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) String);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        duration::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TimeOrNone {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        duration::parse_or_none(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        size::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_i64(Number)
    }
}

/// What takes a number of one or more.
struct Number;

impl Visitor<'_> for Number {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of 1 or more")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Count, E> {
        let count = usize::try_from(number).ok().and_then(NonZeroUsize::new).map(Count);
        count.ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        listen_args::parse(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Text)
    }
}

/// What takes a text, and quotes nothing else that is there.
struct Text;

impl Text {
    fn refused<T, E: Error>() -> Result<T, E> {
        Err(E::custom("expected a text in quotes"))
    }
}

impl Visitor<'_> for Text {
    type Value = Hidden;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Hidden, E> {
        Ok(Hidden(text.to_owned()))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Hidden, E> {
        Self::refused()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Hidden, E> {
        Self::refused()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
