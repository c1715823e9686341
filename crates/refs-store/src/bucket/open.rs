//! Buckets of providers, by their URLs.

use object_store::parse_url_opts;
use url::Url;

use super::place::Bucket;

/// What is read or sent may take long, so that no request is bounded as a whole, as it is unless something is said: how long
/// one may stand still, and how long each that moves little may take, is for [`BucketOptions`](super::BucketOptions). The
/// second is the last resort for one whose answer never begins, and leaves a piece of an upload its time.
const UNBOUNDED: [(&str, &str); 2] = [("timeout", "10000 days"), ("read_timeout", "10 minutes")];

/// Why there is no such bucket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoBucket {
    /// It is no URL.
    #[error("expected SCHEME://NAME/PREFIX, such as s3://mirror/cache")]
    Url(#[source] url::ParseError),
    /// No bucket can be reached by that, or the settings say something else.
    #[error("no bucket can be reached by that URL and these settings")]
    Settings(#[source] object_store::Error),
}

impl Bucket {
    /// The bucket at `url`, such as `s3://NAME/PREFIX`. The settings are those of the provider's own tools, by the names of
    /// their variables: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`. What is not known is passed by. Nothing is
    /// asked of the bucket before it is needed.
    ///
    /// Requests to it are encrypted by rustls with ring, which becomes the process's own choice if it has none.
    ///
    /// # Errors
    /// As [`NoBucket`] says.
    pub fn open(url: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, NoBucket> {
        // Whoever has chosen another before has it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let url = Url::parse(url).map_err(NoBucket::Url)?;
        let unbounded = UNBOUNDED.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = settings.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let settings = unbounded.into_iter().chain(settings);
        let (store, prefix) = parse_url_opts(&url, settings).map_err(NoBucket::Settings)?;
        Ok(Self { store: store.into(), prefix })
    }
}

#[cfg(all(test, feature = "aws"))]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_and_its_keys_are_not() {
        let keys = [("AWS_ACCESS_KEY_ID", "AKIAKEY"), ("AWS_SECRET_ACCESS_KEY", "hunter2"), ("AWS_OTHER", "other")];
        let keys = keys.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let bucket = Bucket::open("s3://mirror/a/b", keys.clone()).unwrap();
        assert_eq!(format!("{bucket:?}"), "Bucket(AmazonS3(mirror)/a/b)");
        for url in ["mirror", "s3:", "ftp://mirror"] {
            let error = Bucket::open(url, keys.clone()).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
