//! The upload side of a registry, with the ways of real ones, and cuts where a test wants them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use refs_url::Digest;

use crate::peer::{Peer, Reply, Request};

/// Where a registry does otherwise than others. The default is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ways {
    /// The status of an accepted `PATCH`, if not 202.
    pub(crate) patched: Option<u16>,
    pub(crate) range: Told,
    /// `PATCH` with `Content-Range` and a longer body is refused with 416.
    pub(crate) longest_piece: Option<usize>,
    /// Any longer body is refused with 413.
    pub(crate) longest_body: Option<usize>,
    /// What refusals say; `LIMIT` becomes the number of bytes.
    pub(crate) words: &'static str,
    /// `OCI-Chunk-Min-Length`; a shorter piece is refused unless it is the last.
    pub(crate) least: Option<usize>,
    /// A session is not known before its first `PATCH`.
    pub(crate) is_patched_first: bool,
    /// After a cut, a session is unknown at its last location: distribution 2.8 is so.
    pub(crate) is_forgetful: bool,
    /// How much is taken of a `PATCH` with so many bytes, if not all.
    pub(crate) takes: Option<fn(usize) -> usize>,
    /// The status of the answer to a question about a session, which is none then.
    pub(crate) asked: Option<u16>,
    /// Of each of the first requests with a body, so much is taken before the connection is lost.
    pub(crate) cuts: Vec<Cut>,
}

/// What the `Range` of an answer tells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) enum Told {
    #[default]
    Truth,
    /// What the first piece had.
    Stuck,
    /// An eighth of what there is, until it is asked for.
    Late,
    Nothing,
}

/// What becomes of one request with a body.
#[derive(Debug, Clone)]
pub(crate) enum Cut {
    /// It is taken.
    None,
    /// So much of it is taken, and this is the answer.
    After(usize, Reply),
    /// So much of it is taken, and the answer tells so.
    Part(usize),
    /// The session is forgotten.
    Lost,
}

/// One session.
#[derive(Debug, Default)]
struct Session {
    bytes: Vec<u8>,
    /// How often it was answered; only the newest location is good.
    state: u32,
    first: Option<usize>,
    is_patched: bool,
    /// Whether a piece has been shorter than all have to be.
    is_short: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Kept {
    ways: Ways,
    begun: u32,
    sessions: HashMap<u32, Session>,
    pub(crate) blobs: Vec<Vec<u8>>,
}

pub(crate) type Shared = Arc<Mutex<Kept>>;

/// A registry with `ways`, and what it keeps.
pub(crate) async fn registry(ways: Ways) -> (Peer, Shared) {
    registry_seen(ways, |_| {}).await
}

/// The same, where `see` is shown each request before it is answered.
pub(crate) async fn registry_seen(ways: Ways, mut see: impl FnMut(&Request) + Send + 'static) -> (Peer, Shared) {
    let kept = Arc::new(Mutex::new(Kept { ways, ..Kept::default() }));
    let shared = kept.clone();
    let answer = move |request: &Request| {
        see(request);
        shared.lock().unwrap().answer(request)
    };
    (Peer::start(answer).await, kept)
}

impl Kept {
    pub(crate) fn open_sessions(&self) -> usize {
        self.sessions.len()
    }

    fn answer(&mut self, request: &Request) -> Reply {
        if request.is("HEAD") {
            let is_there = |blob: &&Vec<u8>| request.target.ends_with(Digest::sha256(blob).as_str());
            return self.blobs.iter().find(is_there).map_or_else(|| Reply::status(404), |blob| Reply::ok(blob.clone()));
        }
        if request.is("POST") {
            self.begun += 1;
            self.sessions.insert(self.begun, Session::default());
            let reply = self.told(self.begun, 202);
            let least = self.ways.least.map(|least| least.to_string());
            return least.into_iter().fold(reply, |reply, least| reply.header("oci-chunk-min-length", least));
        }
        let Some(id) = self.known(request) else { return Reply::status(404) };
        match request.method.as_str() {
            "GET" => self.ways.asked.map_or_else(|| self.told(id, 204), Reply::status),
            "DELETE" => {
                self.sessions.remove(&id);
                Reply::status(204)
            }
            _ => self.write(id, request),
        }
    }

    /// The session that a request is about, if its location is the newest.
    fn known(&self, request: &Request) -> Option<u32> {
        let (id, state) = request.target.strip_prefix("/up/")?.split_once("?_state=")?;
        let (id, state) = (id.parse().ok()?, state.split('&').next()?.parse::<u32>().ok()?);
        self.sessions.get(&id).filter(|session| session.state == state).map(|_| id)
    }

    /// Tells of a session, at a new location.
    fn told(&mut self, id: u32, status: u16) -> Reply {
        let told = self.ways.range;
        let session = self.sessions.get_mut(&id).unwrap();
        session.state += 1;
        let bytes = match told {
            Told::Stuck => session.first.unwrap_or(0),
            Told::Late if status != 204 => session.bytes.len() / 8,
            _ => session.bytes.len(),
        };
        let reply = Reply::status(status).header("location", format!("/up/{id}?_state={}", session.state));
        if told == Told::Nothing { reply } else { reply.header("range", format!("0-{}", bytes.saturating_sub(1))) }
    }

    fn write(&mut self, id: u32, request: &Request) -> Reply {
        if let Some(refusal) = self.refusal(id, request) {
            return refusal;
        }
        let cut =
            if request.body.is_empty() || self.ways.cuts.is_empty() { Cut::None } else { self.ways.cuts.remove(0) };
        let session = self.sessions.get_mut(&id).unwrap();
        session.is_patched = true;
        let is_short = self.ways.least.is_some_and(|least| request.is("PATCH") && request.body.len() < least);
        session.is_short |= is_short && matches!(cut, Cut::None);
        let taken = match &cut {
            Cut::None if request.is("PATCH") => self.ways.takes.map_or(request.body.len(), |of| of(request.body.len())),
            Cut::None | Cut::Lost => request.body.len(),
            Cut::After(taken, _) | Cut::Part(taken) => (*taken).min(request.body.len()),
        };
        session.bytes.extend(&request.body[..taken]);
        session.first.get_or_insert(taken);
        match cut {
            Cut::After(_, reply) => {
                session.state += u32::from(self.ways.is_forgetful);
                return reply;
            }
            Cut::Lost => {
                self.sessions.remove(&id);
                return Reply::status(404);
            }
            Cut::Part(_) if request.is("PUT") => return Reply::dropped(),
            Cut::None | Cut::Part(_) => {}
        }
        if request.is("PATCH") { self.told(id, self.ways.patched.unwrap_or(202)) } else { self.end(id, request) }
    }

    fn refusal(&self, id: u32, request: &Request) -> Option<Reply> {
        let words = self.ways.words;
        let len = request.body.len();
        let session = &self.sessions[&id];
        let (have, is_short) = (session.bytes.len(), session.is_short && len > 0);
        if self.ways.is_patched_first && request.is("PUT") && !session.is_patched {
            return Some(Reply::status(404));
        }
        let says = |longest: usize| words.replace("LIMIT", &longest.to_string());
        if let Some(longest) = self.ways.longest_body.filter(|longest| len > *longest) {
            return Some(Reply::status(413).body(says(longest)));
        }
        let range = request.header("content-range")?.to_owned();
        if is_short || self.ways.longest_piece.is_some_and(|longest| len > longest) {
            let said = self.ways.longest_piece.map(says).unwrap_or_default();
            return Some(Reply::status(416).body(said));
        }
        assert_eq!(request.header("content-length"), Some(len.to_string().as_str()));
        (range != format!("{have}-{}", have + len - 1)).then(|| Reply::status(416))
    }

    fn end(&mut self, id: u32, request: &Request) -> Reply {
        let session = self.sessions.remove(&id).unwrap();
        let digest = Digest::sha256(&session.bytes).as_str().replace(':', "%3A");
        if !request.target.ends_with(&format!("&digest={digest}")) {
            return Reply::status(400).body("the digest is another one");
        }
        self.blobs.push(session.bytes);
        Reply::status(201)
    }
}
