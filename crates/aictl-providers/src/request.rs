//! One question over a connection of its own.

use std::{io, pin::pin, sync::Arc};

use aictl_api::endpoint::Endpoint;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Method, Request, Response,
    body::{Body, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::Instant,
};
use tokio_rustls::TlsConnector;

use crate::{
    answers::{Answer, Ask, KeyUse, Size},
    key::Key,
    stream::{Seen, Watched},
    text::word,
    tls,
    trouble::{TlsTrouble, Trouble},
};

/// The most bytes of an answer's headers.
pub(crate) const MAX_HEADERS: usize = 64 << 10;
/// Who asks.
const USER_AGENT: &str = concat!("aictl/", env!("CARGO_PKG_VERSION"));

/// What all questions to a server have in common.
#[derive(Clone)]
pub(crate) struct Line {
    endpoint: Arc<Endpoint>,
    key: Option<Key>,
    /// For `https` only.
    tls: Option<TlsConnector>,
}

impl Line {
    /// A line to a server; nothing is connected yet.
    ///
    /// # Errors
    /// If TLS is to be spoken and cannot be set up.
    pub(crate) fn new(
        endpoint: &Endpoint,
        key: Option<&Key>,
        bundles: &[std::path::PathBuf],
    ) -> Result<Self, Trouble> {
        let tls = endpoint.is_tls().then(|| tls::connector(bundles)).transpose()?;
        Ok(Self { endpoint: Arc::new(endpoint.clone()), key: key.cloned(), tls })
    }

    /// Asks one question, and waits for all of its answer.
    ///
    /// # Errors
    /// If there is no whole answer by HTTP. Any HTTP status is an answer.
    pub(crate) async fn ask(&self, ask: Ask, seen: Seen) -> Result<Answer, Trouble> {
        let start = Instant::now();
        let request = self.request(ask)?;
        let mut answer = match self.endpoint.as_ref() {
            Endpoint::Unix(unix) => {
                let stream = UnixStream::connect(unix.socket()).await;
                let stream = stream.map_err(|error| connect_trouble(error.kind()))?;
                let may_have = |key: &Key| stream.peer_cred().is_ok_and(|p| key.may_go_to(p.uid()));
                if !self.key_for(ask).is_none_or(may_have) {
                    return Err(Trouble::Stranger);
                }
                exchange(stream, request, ask.size, &seen).await?
            }
            Endpoint::Tcp(tcp) => {
                let stream = connect(&self.endpoint).await?;
                self.check(&stream, ask)?;
                match &self.tls {
                    None => exchange(stream, request, ask.size, &seen).await?,
                    Some(connector) => {
                        let stream = connector.connect(tls::name(tcp.host())?, stream).await;
                        let stream = stream.map_err(|error| tls::handshake_trouble(&error))?;
                        exchange(stream, request, ask.size, &seen).await?
                    }
                }
            }
        };
        answer.took = start.elapsed();
        Ok(answer)
    }

    /// Whether the key, if this question takes it along, may go over this connection.
    fn check(&self, stream: &TcpStream, ask: Ask) -> Result<(), Trouble> {
        let Some(key) = self.key_for(ask) else { return Ok(()) };
        let ends = stream.local_addr().and_then(|own| Ok((own, stream.peer_addr()?)));
        match ends {
            Ok((own, server)) if key.may_go(own, server) => Ok(()),
            _ => Err(Trouble::Stranger),
        }
    }

    fn key_for(&self, ask: Ask) -> Option<&Key> {
        self.key.as_ref().filter(|_| ask.key != KeyUse::Never)
    }

    fn request(&self, ask: Ask) -> Result<Request<Empty<Bytes>>, Trouble> {
        let host = match self.endpoint.as_ref() {
            Endpoint::Tcp(tcp) => tcp.authority(),
            Endpoint::Unix(_) => "localhost".to_owned(),
        };
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}{}", self.endpoint.path(), ask.path))
            .header(header::HOST, host)
            .header(header::USER_AGENT, USER_AGENT)
            .header(header::ACCEPT, "application/json, text/plain, */*;q=0.5")
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close");
        if let Some(key) = self.key_for(ask) {
            request = request.header(header::AUTHORIZATION, key.header());
        }
        // An endpoint's path and ours are plain ASCII.
        request.body(Empty::new()).map_err(|_| Trouble::Io(io::ErrorKind::InvalidInput))
    }
}

/// Connects to the first address that lets us.
async fn connect(endpoint: &Endpoint) -> Result<TcpStream, Trouble> {
    let mut last = Trouble::Refused;
    for address in endpoint.addresses() {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // A hint only.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = connect_trouble(error.kind()),
        }
    }
    Err(last)
}

const fn connect_trouble(kind: io::ErrorKind) -> Trouble {
    match kind {
        // A unix socket that is not there is one where nobody listens.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Trouble::Refused,
        kind => Trouble::Io(kind),
    }
}

/// Sends a request over a connection, and reads the answer.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Empty<Bytes>>,
    size: Size,
    seen: &Seen,
) -> Result<Answer, Trouble> {
    let stream = TokioIo::new(Watched::new(stream, seen.clone()));
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEADERS);
    let (mut sender, connection) =
        builder.handshake(stream).await.map_err(|error| trouble(&error, seen))?;
    let answer = async {
        let response = sender.send_request(request).await;
        read(response.map_err(|error| trouble(&error, seen))?, size, seen).await
    };
    let mut answer = pin!(answer);
    let mut connection = pin!(connection);
    let mut is_open = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            // What went wrong, the answer tells.
            _ = &mut connection, if is_open => is_open = false,
        }
    }
}

/// Reads an answer's content.
async fn read(response: Response<Incoming>, size: Size, seen: &Seen) -> Result<Answer, Trouble> {
    let (head, mut body) = response.into_parts();
    let status = head.status.as_u16();
    let mut answer = Answer {
        status,
        server: header_word(&head.headers, &header::SERVER),
        content_type: content_type(&head.headers),
        redirect: redirect(&head.headers),
        body: Vec::new(),
        took: std::time::Duration::ZERO,
    };
    if head.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Trouble::BadBody("it is compressed, which was not asked for"));
    }
    let (Size::All(most) | Size::Beginning(most)) = size;
    if matches!(size, Size::All(_)) && body.size_hint().lower() > most as u64 {
        return Err(Trouble::TooLarge(most));
    }
    while let Some(frame) = body.frame().await {
        // Trailers say nothing that is asked for.
        let Ok(data) = frame.map_err(|error| trouble(&error, seen))?.into_data() else { continue };
        if answer.body.len() + data.len() > most {
            match size {
                Size::All(_) => return Err(Trouble::TooLarge(most)),
                Size::Beginning(_) => {
                    let rest = most - answer.body.len();
                    answer.body.extend_from_slice(&data[..rest]);
                    break;
                }
            }
        }
        answer.body.extend_from_slice(&data);
    }
    Ok(answer)
}

fn header_word(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    word(&String::from_utf8_lossy(headers.get(name)?.as_bytes()))
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = header_word(headers, &header::CONTENT_TYPE)?;
    let essence = text.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// The host of a redirect, and nothing else of it: what follows may be secret.
fn redirect(headers: &HeaderMap) -> Option<String> {
    let location = headers.get(header::LOCATION).map(HeaderValue::as_bytes)?;
    let location = String::from_utf8_lossy(location);
    let rest = match location.split_once("//") {
        Some(("" | "http:" | "https:" | "HTTP:" | "HTTPS:", rest)) => rest,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    word(authority.rsplit('@').next().unwrap_or_default())
}

/// What a failure of the HTTP library means.
fn trouble(error: &hyper::Error, seen: &Seen) -> Trouble {
    if error.is_parse() {
        // The library tells this one by a method only where its server is built in too.
        if error.to_string() == "message head is too large" {
            return Trouble::TooLarge(MAX_HEADERS);
        }
        return if seen.looks_like_tls() {
            Trouble::Tls(TlsTrouble::NeedsTls)
        } else {
            Trouble::NotHttp
        };
    }
    let cause =
        std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Trouble::NotHttp,
        Some(
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe,
        )
        | None => Trouble::Closed,
        Some(kind) => Trouble::Io(kind),
    }
}
