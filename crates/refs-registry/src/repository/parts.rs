//! Parts of blobs: exactly the bytes asked for, or an error.

use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderValue, StatusCode, header};
use refs_url::Digest;

use super::{
    Repository,
    blobs::{PROGRESS_BYTES, wrong_range},
    content_range::ContentRange,
};
use crate::{
    Error, Part, Result, Source,
    error::Wanted,
    transport::{Budget, Call, Failure, Incoming},
};

impl Repository {
    pub(super) async fn read_part(&self, digest: &Digest, range: Range<u64>) -> Result<Part> {
        if range.is_empty() {
            let total = self.stat_blob(digest).await?;
            let wanted = Wanted::Blob(digest.clone());
            let total = total.ok_or_else(|| Error::NotFound { wanted, at: self.place(), code: None })?;
            return Ok(Part { range, total, stream: futures_util::stream::empty().boxed() });
        }
        let mut budget = self.remote.budget();
        let (total, body) = loop {
            match self.open_part(digest, &range).await {
                Ok(opened) => break opened,
                Err(failure) => self.remote.pause(failure, &mut budget).await?,
            }
        };
        let reading = Reading {
            repository: self.clone(),
            digest: digest.clone(),
            rest: range.clone(),
            asked: range.end - range.start,
            total,
            body: Some(body),
            budget,
            progress: 0,
        };
        let stream = futures_util::stream::try_unfold(reading, |mut reading| async {
            Ok(reading.next().await?.map(|chunk| (chunk, reading)))
        });
        Ok(Part { range, total, stream: stream.boxed() })
    }

    /// Asks for `range`, and for nothing but it. Credentials go with it as with any request.
    async fn open_part(&self, digest: &Digest, range: &Range<u64>) -> Result<(u64, Incoming), Failure> {
        let wanted = Wanted::BlobPart(digest.clone());
        let bytes = HeaderValue::try_from(format!("bytes={}-{}", range.start, range.end - 1)).ok();
        let bytes = bytes.ok_or_else(|| Failure::last(Error::unsupported(wanted.clone(), self.place())))?;
        let call = self.reading(Call::get(self.blob_url(digest), wanted.clone()).header(header::RANGE, bytes));
        let answer = self.remote.once(&call).await?;
        if answer.status != StatusCode::PARTIAL_CONTENT {
            // The whole blob, which is not read: that would cost more than anyone asked for.
            return Err(Failure::last(Error::unsupported(wanted, self.place())));
        }
        match answer.header(&header::CONTENT_RANGE).and_then(ContentRange::parse) {
            Some(given) if given.range == *range => Ok((given.total, answer.body)),
            _ => Err(Failure::last(wrong_range(&answer))),
        }
    }
}

/// A part that is being read, over as many connections as it takes.
struct Reading {
    repository: Repository,
    digest: Digest,
    /// What has not come yet.
    rest: Range<u64>,
    asked: u64,
    /// The size of the blob, as the first answer had it: who tells of another one has another blob.
    total: u64,
    body: Option<Incoming>,
    budget: Budget,
    progress: u64,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.step().await {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => return self.take(chunk).map(Some),
                Ok(None) if self.rest.is_empty() => return Ok(None),
                Ok(None) => return Err(self.wrong_size(self.asked - self.left())),
                Err(failure) => {
                    self.body = None;
                    if std::mem::take(&mut self.progress) >= PROGRESS_BYTES {
                        self.budget.renew();
                    }
                    self.repository.remote.pause(failure, &mut self.budget).await?;
                }
            }
        }
    }

    fn take(&mut self, chunk: Bytes) -> Result<Bytes> {
        let len = chunk.len() as u64;
        let left = self.left();
        if len > left {
            return Err(self.wrong_size(self.asked - left + len));
        }
        self.rest.start += len;
        self.progress += len;
        Ok(chunk)
    }

    fn left(&self) -> u64 {
        self.rest.end - self.rest.start
    }

    fn wrong_size(&self, actual: u64) -> Error {
        Error::Size { wanted: Wanted::BlobPart(self.digest.clone()), expected: self.asked, actual }
    }

    async fn step(&mut self) -> Result<Option<Bytes>, Failure> {
        let body = match &mut self.body {
            Some(body) => body,
            // The end of the connection came after the last byte.
            None if self.rest.is_empty() => return Ok(None),
            None => {
                let (total, body) = self.repository.open_part(&self.digest, &self.rest).await?;
                if total != self.total {
                    let wanted = Wanted::Blob(self.digest.clone());
                    return Err(Failure::last(Error::Size { wanted, expected: self.total, actual: total }));
                }
                self.body.insert(body)
            }
        };
        match body.next().await? {
            None if !self.rest.is_empty() => body.ended_early().map_or(Ok(None), Err),
            next => Ok(next),
        }
    }
}
