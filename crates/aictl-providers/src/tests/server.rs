//! A server of this process on a real socket: what it sends is written down byte by byte.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use aictl_api::{endpoint::Endpoint, provider::Provider};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Key, Target};

/// A server that runs as long as this lives.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The heads of all requests so far.
    pub(super) requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server that hands each connection, with the head of its request, to `answer`.
    pub(super) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(String, TcpStream) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let heads = requests.clone();
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (heads, answer) = (heads.clone(), answer.clone());
                tokio::spawn(async move {
                    let head = head(&mut stream).await;
                    heads.lock().unwrap().push(head.clone());
                    answer(head, stream).await;
                });
            }
        });
        Self { address, requests, task }
    }

    /// A server that sends the same to everybody and closes.
    pub(super) async fn sending(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes: Arc<[u8]> = bytes.into().into();
        Self::start(move |_, mut stream| {
            let bytes = bytes.clone();
            async move {
                // The client may have had enough.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                drain(stream).await;
            }
        })
        .await
    }

    pub(super) fn endpoint(&self) -> Endpoint {
        Endpoint::parse(&format!("http://{}", self.address)).unwrap()
    }

    pub(super) fn target(&self, provider: Option<Provider>) -> Target {
        Target { provider, endpoint: self.endpoint(), key: None }
    }

    pub(super) fn keyed(&self, provider: Option<Provider>, key: &str) -> Target {
        Target { key: Some(Key::new(key).unwrap()), ..self.target(provider) }
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Reads the head of a request.
pub(super) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap_or_default()
}

/// The path of a request.
pub(super) fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// Waits until the client is gone, so that what was sent is not lost by a reset.
pub(super) async fn drain(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut rest = [0; 1024];
    while let Ok(1..) = stream.read(&mut rest).await {}
}

/// A whole answer.
pub(super) fn answer(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Words\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A port of this machine on which nobody listens.
pub(super) fn dead_port() -> u16 {
    let listener = std::net::TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).unwrap();
    listener.local_addr().unwrap().port()
}
