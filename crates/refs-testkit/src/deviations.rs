//! Quirks at work: requests and answers bent to the ways of a registry.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};
use refs_server::{Body, Call, Read, Start, Write};
use refs_url::{Host, Target};

use crate::{
    Quirks,
    listener::{set, status},
    quirks::{
        DigestHeader, Head, Location, Mount, Pages, Patch, Ranges, Referrers, SinglePost, TagDeletion, TagParameter,
    },
};

/// The quirks of one registry, with what they have to remember.
#[derive(Debug, Default)]
pub(crate) struct Deviations {
    quirks: Quirks,
    /// The range of the first chunk of each upload, by path.
    first_ranges: Mutex<HashMap<String, HeaderValue>>,
}

const STATE: &str = "_state=kept";

impl Deviations {
    pub(crate) fn new(quirks: Quirks) -> Self {
        Self { quirks, first_ranges: Mutex::default() }
    }

    /// Makes the request one that the registry would understand; or refuses it.
    pub(crate) fn before(&self, head: &mut request::Parts, call: Option<&Call>) -> Option<Response<Body>> {
        let quirks = &self.quirks;
        match call? {
            _ if head.method == Method::HEAD && quirks.head == Head::Missing => return refuse(405),
            Call::Read(_, Read::Blob(_)) if quirks.ranges == Ranges::Ignored => {
                drop(head.headers.remove(header::RANGE))
            }
            Call::Read(_, Read::Tags(_)) | Call::Catalog(_) => self.page(head),
            Call::Read(_, Read::Referrers(..)) => match quirks.referrers {
                Referrers::Listed => {}
                Referrers::Missing => return refuse(404),
                Referrers::Elsewhere => return Some(elsewhere()),
            },
            Call::Write(_, Write::Upload(Start::Whole(_))) if quirks.single_post == SinglePost::Session => {
                set_query(head, None);
            }
            Call::Write(_, Write::Upload(Start::Mount { .. })) => match quirks.mount {
                Mount::Mounted => {}
                Mount::Session => set_query(head, None),
                Mount::Missing => return refuse(404),
                Mount::Claimed => return Some(status(StatusCode::CREATED)),
            },
            Call::Write(_, Write::Manifest { .. }) if quirks.tag_parameter == TagParameter::Ignored => {
                set_query(head, None);
            }
            Call::Write(_, Write::Append(_)) if self.is_too_large(head) => return refuse(416),
            Call::Write(_, Write::Append(_) | Write::Finish(..) | Write::Progress(_) | Write::Cancel(_))
                if quirks.location == Location::AbsoluteWithState
                    && !head.uri.query().unwrap_or_default().contains(STATE) =>
            {
                return refuse(404);
            }
            Call::Write(_, Write::DeleteManifest(Target::Tag(_)))
                if quirks.tag_deletion == TagDeletion::Unsupported =>
            {
                return refuse(405);
            }
            _ => {}
        }
        None
    }

    /// Makes the answer one of the quirky registry.
    pub(crate) fn after(&self, head: &request::Parts, host: &Host, mut response: Response<Body>) -> Response<Body> {
        let quirks = &self.quirks;
        let headers = response.headers_mut();
        let is_manifest_get = head.method == Method::GET && head.uri.path().contains("/manifests/");
        if quirks.digest_header == DigestHeader::Never
            || quirks.digest_header == DigestHeader::OnHead && is_manifest_get
        {
            headers.remove(DIGEST);
            headers.remove(header::ETAG);
        }
        if quirks.referrers != Referrers::Listed {
            headers.remove("oci-subject");
        }
        if quirks.ranges == Ranges::Ignored {
            headers.remove(header::ACCEPT_RANGES);
        }
        if let Location::AbsoluteWithState = quirks.location {
            add_state(headers, host);
        }
        if head.method == Method::PATCH && response.status() == StatusCode::ACCEPTED {
            self.patched(head, &mut response);
        }
        response
    }

    fn patched(&self, head: &request::Parts, response: &mut Response<Body>) {
        match self.quirks.patch {
            Patch::Accepted | Patch::AtMost(_) => {}
            Patch::NoContent => {
                *response.status_mut() = StatusCode::NO_CONTENT;
                response.headers_mut().remove(header::CONTENT_LENGTH);
            }
            Patch::StuckRange => {
                *response.status_mut() = StatusCode::CREATED;
                let Some(range) = response.headers().get(header::RANGE).cloned() else { return };
                let mut ranges = self.first_ranges.lock().unwrap_or_else(PoisonError::into_inner);
                let first = ranges.entry(head.uri.path().to_owned()).or_insert(range).clone();
                response.headers_mut().insert(header::RANGE, first);
            }
        }
    }

    fn page(&self, head: &mut request::Parts) {
        match self.quirks.pages {
            Pages::Honoured => {}
            Pages::Ignored => set_query(head, Some(format!("n={}", usize::MAX))),
            Pages::AtMost(most) => {
                let query = head.uri.query().unwrap_or_default();
                let asked = pairs(query).find(|(key, _)| *key == "n").and_then(|(_, n)| n.parse().ok());
                let kept = pairs(query).filter(|(key, _)| *key != "n").map(|(key, value)| format!("&{key}={value}"));
                let query = format!("n={}{}", asked.unwrap_or(most).min(most), kept.collect::<String>());
                set_query(head, Some(query));
            }
        }
    }

    fn is_too_large(&self, head: &request::Parts) -> bool {
        let Patch::AtMost(most) = self.quirks.patch else { return false };
        let length =
            head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        head.headers.contains_key(header::CONTENT_RANGE) && length.is_none_or(|length| length > most)
    }
}

const DIGEST: &str = "docker-content-digest";

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}

fn set_query(head: &mut request::Parts, query: Option<String>) {
    let path = head.uri.path();
    let uri = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    if let Ok(uri) = uri.parse() {
        head.uri = uri;
    }
}

fn add_state(headers: &mut HeaderMap, host: &Host) {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    if let Some(path) = location.filter(|path| path.contains("/blobs/uploads/")) {
        let url = format!("http://{host}{path}?{STATE}");
        set(headers, header::LOCATION, &url);
    }
}

fn elsewhere() -> Response<Body> {
    let mut response = status(StatusCode::SEE_OTHER);
    set(response.headers_mut(), header::LOCATION, "https://registry.example/a/page/for/people");
    response
}

fn refuse(code: u16) -> Option<Response<Body>> {
    Some(status(StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)))
}
