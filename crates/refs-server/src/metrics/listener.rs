//! The listener for whoever looks after the server.

use std::{convert::Infallible, time::Duration};

use http::{
    Method, Request, Response,
    header::{ALLOW, CONTENT_TYPE},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet};

use super::Metrics;
use crate::{
    Body, Refusal, Server,
    accepting::{self, Failures},
    answer::{self, Outcome, Reply},
    health,
};

const PATH: &str = "/metrics";
/// Whoever collects figures has a connection or two.
const CONNECTIONS: usize = 16;

/// Gives the figures of `server` at `/metrics`, and its health at `/healthz`, to whoever connects to `listener`, until this
/// future is dropped.
///
/// # Security
/// It asks for no credentials: `listener` is to be reached by those alone who may know.
pub async fn serve_metrics(listener: TcpListener, metrics: Metrics, server: Server) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let mut failures = Failures::default();
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() >= CONNECTIONS {
            tasks.join_next().await;
        }
        let (stream, _) = accepting::next(&listener, &mut failures).await;
        let (metrics, server) = (metrics.clone(), server.clone());
        let service = service_fn(move |request| {
            let (metrics, server) = (metrics.clone(), server.clone());
            async move { Ok::<_, Infallible>(answered(&metrics, &server, &request).await) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), service);
        tasks.spawn(async move {
            // Whoever looks after the server sees that it has no figures.
            drop(connection.await);
        });
    }
}

async fn answered(metrics: &Metrics, server: &Server, request: &Request<Incoming>) -> Response<Body> {
    match request.uri().path() {
        health::PATH => server.health().await.answer(request.method()),
        PATH => answer::finish(figures(metrics, server, request.method())),
        _ => answer::finish(Err(Refusal::no_such_page())),
    }
}

fn figures(metrics: &Metrics, server: &Server, method: &Method) -> Outcome {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    if method != Method::GET {
        return Err(Refusal::unsupported("this path only tells").with(ALLOW, "GET"));
    }
    // Nothing but memory is written to.
    let text = metrics.text(&server.load()).unwrap_or_default();
    Ok(Reply::new(http::StatusCode::OK).with(CONTENT_TYPE, FORMAT).with_bytes(text.into()))
}
