//! A port on loopback, and who answers there.

use std::{fmt, future::Future, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{self, Runtime},
};

/// A port that is listened on by a thread of its own, until it is dropped.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Port {
    /// A free port, at which each connection is served by `serve`.
    ///
    /// # Panics
    /// When the machine has no port or thread left.
    #[expect(clippy::expect_used, reason = "a test without a port can only fail")]
    pub(crate) fn open<F: Future + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F::Output: Send,
    {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a bound socket has an address");
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a socket that does not block");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { address, runtime: Some(runtime) }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.address)
    }
}
