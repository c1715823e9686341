//! What was asked and what came of it, for a log.

use std::fmt;

use http::{Method, Response, header, request};

use crate::Body;

/// One request and its answer, as far as the head of the answer tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The method.
    pub method: Method,
    /// The path and query, as they were sent.
    pub target: String,
    /// The `Range` header.
    pub range: Option<String>,
    /// The status of the answer.
    pub status: u16,
    /// The size of the answer's body in bytes, where it is known beforehand; none for `HEAD`, which has no body.
    pub bytes: Option<u64>,
}

impl Answered {
    pub(crate) fn new(asked: &request::Parts, answer: &Response<Body>) -> Self {
        let has_body = asked.method != Method::HEAD;
        let length = answer.headers().get(header::CONTENT_LENGTH).filter(|_| has_body);
        let range = asked.headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        Self {
            method: asked.method.clone(),
            target: asked.uri.to_string(),
            range: range.map(str::to_owned),
            status: answer.status().as_u16(),
            bytes: length.and_then(|length| length.to_str().ok()?.parse().ok()),
        }
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        if let Some(range) = &self.range {
            write!(f, " [{range}]")?;
        }
        write!(f, " {}", self.status)
    }
}
