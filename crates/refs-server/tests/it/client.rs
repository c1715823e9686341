//! A plain HTTP client, and answers that a test compares at a glance.

use refs_testkit::FakeRegistry;
use refs_url::Digest;
use reqwest::{Client, Method, Response};

/// A registry, and a client of it that follows no redirects.
pub(crate) struct Peer {
    pub(crate) registry: FakeRegistry,
    pub(crate) client: Client,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        Self::of(FakeRegistry::start().await)
    }

    pub(crate) fn of(registry: FakeRegistry) -> Self {
        // Whoever came first has installed it; the tests share one process.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { registry, client }
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), self.registry.url(path))
    }

    pub(crate) async fn send(&self, method: &str, path: &str) -> Response {
        self.ask(method, path).send().await.unwrap()
    }

    /// Sends `body`, with `headers`.
    pub(crate) async fn put(
        &self,
        line: (&str, &str),
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let request = self.ask(line.0, line.1).body(body);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
    }

    /// Stores `content` in `o/r`.
    pub(crate) async fn blob(&self, content: &'static str) -> Digest {
        let digest = digest(content);
        let response = self.put(("POST", &format!("/v2/o/r/blobs/uploads/?digest={digest}")), &[], content).await;
        assert_eq!(response.status(), 201);
        digest
    }
}

pub(crate) fn digest(content: &str) -> Digest {
    Digest::sha256(content.as_bytes())
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// `404 NAME_UNKNOWN`, or the status alone where the body has no code.
pub(crate) async fn refusal(response: Response) -> String {
    let status = response.status().as_u16();
    let json: serde_json::Value = serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default();
    match json["errors"][0]["code"].as_str() {
        Some(code) => format!("{status} {code}"),
        None => status.to_string(),
    }
}
