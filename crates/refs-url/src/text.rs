//! What every value that is a checked piece of text can do.

/// Gives `$Type(Arc<str>)` its constructor, conversions and serde, all through one check of the grammar.
macro_rules! checked_text {
    ($Type:ident, $check:path, $errors:literal) => {
        impl $Type {
            /// Parses the whole of `text`; nothing is trimmed, decoded or changed.
            ///
            /// # Errors
            ///
            #[doc = concat!($errors, " See [`ParseErrorKind`](crate::ParseErrorKind).")]
            pub fn parse(text: &str) -> Result<Self, $crate::ParseError> {
                match $check(text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(fault) => Err($crate::ParseError::new(text, fault)),
                }
            }

            /// The text as it was parsed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $Type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $Type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $Type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $Type {
            fn eq(&self, other: &str) -> bool {
                *self.0 == *other
            }
        }

        impl PartialEq<&str> for $Type {
            fn eq(&self, other: &&str) -> bool {
                *self.0 == **other
            }
        }

        impl std::str::FromStr for $Type {
            type Err = $crate::ParseError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        serde_as_text!($Type);
    };
}

/// Serialises `$Type` through `Display` and deserialises it through `FromStr`.
#[cfg(feature = "serde")]
macro_rules! serde_as_text {
    ($Type:ident) => {
        impl serde::Serialize for $Type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $Type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::text::FromText(std::marker::PhantomData))
            }
        }
    };
}

#[cfg(not(feature = "serde"))]
macro_rules! serde_as_text {
    ($Type:ident) => {};
}

/// Reads any string a format offers, borrowed or owned, without a copy of its own.
#[cfg(feature = "serde")]
pub(crate) struct FromText<T>(pub(crate) std::marker::PhantomData<T>);

#[cfg(feature = "serde")]
impl<T> serde::de::Visitor<'_> for FromText<T>
where
    T: std::str::FromStr<Err = crate::ParseError>,
{
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}
