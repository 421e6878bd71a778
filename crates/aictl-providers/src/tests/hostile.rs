//! Servers on real sockets that do not answer as they should: each is told for what it is, in time,
//! and none costs more than its share.

use std::{
    io,
    time::{Duration, Instant},
};

use aictl_api::{endpoint::Endpoint, provider::Provider};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    recorded,
    server::{Server, answer, dead_port, drain, head, path},
};
use crate::{Fact, GapReason, Key, Reach, Target, TlsTrouble, Trouble, probe};

/// More than any test takes: who reaches it hangs.
const LONG: Duration = Duration::from_secs(60);
/// For tests that must run into the end of the time.
const SHORT: Duration = Duration::from_millis(300);
/// One whose answer for its health has content that is looked at.
const EXPECTED: Option<Provider> = Some(Provider::ComfyUi);

fn trouble(what: Trouble) -> Reach {
    Reach::Trouble(what)
}

/// What comes of a server that sends the same bytes to everybody.
async fn reach_of(bytes: impl Into<Vec<u8>>) -> Reach {
    let server = Server::sending(bytes).await;
    let report = probe(&server.target(EXPECTED), LONG).await;
    assert_eq!((report.version, report.models, report.loaded), (None, None, None));
    report.reach
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[tokio::test]
async fn answers_that_are_none() {
    let not_http = || trouble(Trouble::NotHttp);
    let closed = || trouble(Trouble::Closed);
    let too_large = |most| trouble(Trouble::TooLarge(most));
    let bad = |what| trouble(Trouble::BadBody(what));
    let endless_header = format!("X-Long: {}\r\n", "x".repeat(200_000));
    let many_headers = "X-Many: y\r\n".repeat(20_000);
    let json = "Content-Type: application/json\r\n";
    let deep = format!("{{\"system\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let table: Vec<(&str, Vec<u8>, Reach)> = vec![
        ("closes at once", vec![], closed()),
        ("closes in the head", b"HTTP/1.1 200 OK\r\nContent-".to_vec(), closed()),
        ("garbage", b"\x00\xff\xfe garbage \r\n\r\n".to_vec(), not_http()),
        ("HTTP/0.9", b"<html>hello</html>".to_vec(), not_http()),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), not_http()),
        ("invalid status", b"HTTP/1.1 abc OK\r\n\r\n".to_vec(), not_http()),
        ("HTTP/3.0", b"HTTP/3.0 200 OK\r\n\r\n".to_vec(), not_http()),
        ("control in header", ok("X: a\x01b\r\n", b"{}"), not_http()),
        ("two lengths", ok("Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"), not_http()),
        ("negative length", ok("Content-Length: -1\r\n", b"{}"), not_http()),
        ("length too long", ok("Content-Length: 10\r\n", b"{}"), closed()),
        ("length too short", ok("Content-Length: 1\r\n", b"{}"), bad("the JSON ends too early")),
        (
            "length beyond all bounds",
            ok("Content-Length: 1073741824\r\n", b"{}"),
            too_large(256 << 10),
        ),
        ("chunked nonsense", ok("Transfer-Encoding: chunked\r\n", b"zz\r\n{}"), not_http()),
        (
            "chunk size beyond all numbers",
            ok("Transfer-Encoding: chunked\r\n", b"fffffffffffffffff\r\n{}"),
            not_http(),
        ),
        ("chunks without an end", ok("Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n"), closed()),
        ("endless header", ok(&endless_header, b"{}"), too_large(64 << 10)),
        ("many headers", ok(&many_headers, b"{}"), too_large(64 << 10)),
        ("HTML", answer(200, "text/html", "<html>It works!</html>"), Reach::Other(None)),
        ("HTML as JSON", answer(200, "application/json", "<html>"), bad("it is a page for people")),
        ("empty", answer(200, "application/json", ""), bad("it is empty")),
        ("broken", answer(200, "application/json", "{]"), bad("it is not valid JSON")),
        ("cut off", answer(200, "application/json", "{\"a\":"), bad("the JSON ends too early")),
        (
            "wrong types",
            answer(200, "application/json", r#"{"system":[],"devices":{}}"#),
            bad("the JSON is of another shape"),
        ),
        ("deep", answer(200, "application/json", &deep), bad("the JSON is of another shape")),
        (
            "no UTF-8",
            ok(json, b"{\"system\":{\"python_version\":\"\xff\xfe\"},\"devices\":[]}"),
            Reach::Ready,
        ),
        (
            "compressed",
            ok("Content-Encoding: gzip\r\n", b"\x1f\x8b\x08"),
            bad("it is compressed, which was not asked for"),
        ),
        ("failure", answer(500, "text/plain", "no"), trouble(Trouble::Status(500))),
        ("odd status", answer(999, "text/plain", "no"), trouble(Trouble::Status(999))),
        ("key needed", answer(401, "text/plain", "no"), Reach::KeyNeeded),
        ("forbidden", answer(403, "text/plain", "no"), Reach::KeyNeeded),
        ("not found", answer(404, "text/plain", "no"), Reach::Other(None)),
        (
            "switches protocols",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_vec(),
            trouble(Trouble::Status(101)),
        ),
        ("TLS alert", vec![0x15, 3, 3, 0, 2, 2, 70], trouble(Trouble::Tls(TlsTrouble::NeedsTls))),
    ];
    for (name, bytes, reach) in table {
        assert_eq!(reach_of(bytes).await, reach, "{name}");
    }
}

#[tokio::test]
async fn redirects_are_told_and_not_followed() {
    let table = [
        ("http://169.254.169.254/latest/?token=x", Some("169.254.169.254")),
        ("https://user:secret@example.org:8443/path", Some("example.org:8443")),
        ("//example.org", Some("example.org")),
        ("/ui", None),
        ("", None),
        ("file:///etc/passwd", None),
        ("http://a\u{202e}b/", Some("ab")),
    ];
    for (location, to) in table {
        let bytes = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n");
        let to = to.map(str::to_owned);
        assert_eq!(reach_of(bytes).await, trouble(Trouble::Redirect { to }), "{location}");
    }
    // A redirect to a server that would answer.
    let there = Server::sending(answer(200, "application/json", "{}")).await;
    let location = format!("HTTP/1.1 307 Found\r\nLocation: http://{}/\r\n\r\n", there.address);
    let to = Some(there.address.to_string());
    assert_eq!(reach_of(location).await, trouble(Trouble::Redirect { to }));
    assert_eq!(there.heads(), [""; 0]);
}

#[tokio::test]
async fn nobody_is_there() {
    let port = dead_port();
    for endpoint in [
        format!("http://127.0.0.1:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
        "unix:/nonexistent/server.sock".to_owned(),
    ] {
        for provider in [None, EXPECTED] {
            let target =
                Target { provider, endpoint: Endpoint::parse(&endpoint).unwrap(), key: None };
            let report = probe(&target, LONG).await;
            // Without the system's certificates, nobody is even asked by TLS.
            let is_bare = report.reach == trouble(Trouble::Tls(TlsTrouble::NoRoots));
            assert!(report.reach == trouble(Trouble::Refused) || is_bare, "{endpoint}: {report:?}");
        }
    }
}

#[tokio::test]
async fn a_silent_server_is_left_at_the_end_of_the_time() {
    let server = Server::start(|_, stream| async move { drain(stream).await }).await;
    for provider in [None, EXPECTED] {
        let report = probe(&server.target(provider), SHORT).await;
        assert_eq!(report.reach, trouble(Trouble::NoAnswer(SHORT)));
    }
}

#[tokio::test]
async fn a_server_that_does_not_even_accept_is_left_too() {
    // A full queue: connections hang.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    for _ in 0..8 {
        queue.push(tokio::spawn(TcpStream::connect(address)));
    }
    tokio::task::yield_now().await;
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    let report = probe(&Target { provider: EXPECTED, endpoint, key: None }, SHORT).await;
    assert_eq!(report.reach, trouble(Trouble::NoAnswer(SHORT)));
    drop(listener);
}

#[tokio::test]
async fn a_server_that_drips_is_too_slow() {
    // One byte, then nothing: of the head, or of the content.
    for sent in [&b"H"[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"] {
        let server = Server::start(move |_, mut stream| async move {
            stream.write_all(sent).await.unwrap();
            drain(stream).await;
        })
        .await;
        let report = probe(&server.target(EXPECTED), SHORT).await;
        assert_eq!(report.reach, trouble(Trouble::TooSlow(SHORT)));
    }
    // Bytes that never end, one by one.
    let server = Server::start(|_, mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let report = probe(&server.target(EXPECTED), SHORT).await;
    assert_eq!(report.reach, trouble(Trouble::TooSlow(SHORT)));
}

/// Sends a beginning, and then the same again and again for as long as the client takes it. Returns
/// how many bytes the client took.
async fn flood(mut stream: TcpStream, beginning: &[u8], again: &[u8]) -> usize {
    let mut sent = 0;
    let block = again.repeat(1 + 65_536 / again.len());
    let _ = stream.write_all(beginning).await;
    while sent < 1 << 30 {
        match stream.write_all(&block).await {
            Ok(()) => sent += block.len(),
            Err(_) => break,
        }
    }
    sent
}

#[tokio::test]
async fn endless_answers_end_early() {
    let head = b"HTTP/1.1 200 OK\r\n";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk: &'static [u8] = format!("400\r\n{}\r\n", " ".repeat(0x400)).into_bytes().leak();
    let table: [(&'static [u8], &'static [u8], usize); 4] = [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b"[[[[", 256 << 10),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n", b" ", 256 << 10),
        (chunked, chunk, 256 << 10),
        (head, b"X-Endless: yes\r\n", 64 << 10),
    ];
    for (beginning, again, most) in table {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let server = Server::start(move |_, stream| {
            let tell = tell.clone();
            async move {
                let _ = tell.send(flood(stream, beginning, again).await);
            }
        })
        .await;
        let report = probe(&server.target(EXPECTED), LONG).await;
        assert_eq!(report.reach, trouble(Trouble::TooLarge(most)), "{again:?}");
        // What is in the sockets' buffers comes on top.
        let taken = told.recv().await.unwrap();
        assert!(taken < 64 << 20, "the client took {taken} bytes of {again:?}");
    }
}

#[tokio::test]
async fn a_flood_of_interim_answers_ends_with_the_time() {
    let server = Server::start(|_, stream| async move {
        flood(stream, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n").await;
    })
    .await;
    let start = Instant::now();
    let report = probe(&server.target(EXPECTED), SHORT).await;
    assert_eq!(report.reach, trouble(Trouble::TooSlow(SHORT)));
    // Not a measurement: a client that does not look at the clock would take a gigabyte first.
    assert!(start.elapsed() < LONG);
}

/// A recorded server on a real socket, some of whose paths are served by `other`.
async fn recorded_server<F, A>(
    server: &'static recorded::Recorded,
    path_of: &'static str,
    other: F,
) -> Server
where
    F: Fn(TcpStream) -> A + Send + Sync + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let other = std::sync::Arc::new(other);
    Server::start(move |head, mut stream| {
        let other = other.clone();
        async move {
            if path(&head) == path_of {
                return other(stream).await;
            }
            let route = server.routes.iter().find(|(route, ..)| *route == path(&head));
            let (_, status, content_type, body) = route.unwrap_or(&server.otherwise);
            let name = server.server.map(|name| format!("\r\nServer: {name}"));
            let headers = format!("{content_type}{}", name.unwrap_or_default());
            let _ = stream.write_all(&answer(*status, &headers, body)).await;
            drain(stream).await;
        }
    })
    .await
}

#[tokio::test]
async fn one_slow_path_does_not_take_the_others_along() {
    let server = recorded_server(&recorded::VLLM, "/metrics", drain).await;
    let report = probe(&server.target(Some(Provider::Vllm)), SHORT).await;
    assert_eq!(report.reach, Reach::Ready);
    assert_eq!(report.version.as_deref(), Some("0.11.0"));
    assert_eq!(report.models.unwrap(), ["Qwen/Qwen3-8B"]);
    assert!(report.latency.is_some());
    assert_eq!(report.requests_running, None);
    let gap = &report.gaps[0];
    let reason = GapReason::Trouble(Trouble::NoAnswer(SHORT));
    assert_eq!((gap.what, &gap.why), (Fact::Requests, &reason));
}

#[tokio::test]
async fn every_recorded_server_is_read_over_a_socket() {
    for server in &recorded::ALL {
        let socket = recorded_server(server, "/none", drain).await;
        for expected in [Some(server.provider), None] {
            let report = probe(&socket.target(expected), LONG).await;
            assert_eq!(report.reach, Reach::Ready, "{:?}", server.provider);
            assert_eq!(report.provider, Some(server.provider));
            assert!(report.latency.is_some(), "{:?}", server.provider);
        }
    }
}

#[tokio::test]
async fn all_questions_are_asked_at_once() {
    // Nobody is answered before all are there.
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(4));
    let server = Server::start(move |head, mut stream| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            let routes = recorded::OLLAMA.routes.iter();
            let route = routes.clone().find(|(route, ..)| *route == path(&head));
            let (_, status, content_type, body) = route.unwrap();
            let _ = stream.write_all(&answer(*status, content_type, body)).await;
            drain(stream).await;
        }
    })
    .await;
    let report = probe(&server.target(Some(Provider::Ollama)), LONG).await;
    assert_eq!(report.reach, Reach::Ready);
    assert_eq!(server.heads().len(), 4);
}

#[tokio::test]
async fn a_key_goes_where_it_is_needed_and_shows_nowhere() {
    let server = recorded_server(&recorded::VLLM, "/none", drain).await;
    let target = server.keyed(Some(Provider::Vllm), "sk-very-secret");
    let report = probe(&target, LONG).await;
    assert_eq!(report.reach, Reach::Ready);
    for request in server.heads() {
        let has_key = request.contains("\r\nauthorization: Bearer sk-very-secret\r\n");
        assert_eq!(has_key, path(&request) == "/v1/models", "{request}");
        assert!(request.starts_with("GET /"), "{request}");
        assert!(request.contains(&format!("\r\nhost: {}\r\n", server.address)), "{request}");
        assert!(request.contains("\r\nuser-agent: aictl/"), "{request}");
    }
    assert!(!format!("{target:?} {report:?}").contains("secret"));

    let refuses = Server::sending(answer(401, "text/plain", "sk-very-secret is wrong")).await;
    let report = probe(&refuses.keyed(Some(Provider::Vllm), "sk-very-secret"), LONG).await;
    assert_eq!(report.reach, Reach::KeyRefused);
    assert!(!format!("{report:?}").contains("secret"));
}

#[tokio::test]
async fn a_guarded_key_goes_over_no_connection_that_its_guard_refuses() {
    for allowed in [true, false] {
        let server = recorded_server(&recorded::VLLM, "/none", drain).await;
        let mut target = server.keyed(Some(Provider::Vllm), "sk-very-secret");
        let address = server.address;
        target.key = target.key.map(|key| {
            key.guarded(move |own, to| allowed && to == address && own.ip() == address.ip())
        });
        let report = probe(&target, LONG).await;
        let went = server.heads().iter().any(|head| head.contains("sk-very-secret"));
        assert_eq!(went, allowed, "{report:?}");
        assert_eq!(report.models.is_some(), allowed, "{report:?}");
        // Of what needs no key, nothing is lost.
        assert!(report.version.is_some(), "{report:?}");
        assert_eq!(format!("{report:?}").contains("Stranger"), !allowed, "{report:?}");
    }
}

#[tokio::test]
async fn a_prefix_stands_before_every_path() {
    let server = Server::sending(answer(404, "text/plain", "")).await;
    let endpoint = Endpoint::parse(&format!("http://{}/llm/a", server.address)).unwrap();
    probe(&Target { provider: None, endpoint, key: None }, LONG).await;
    let heads = server.heads();
    assert!(heads.iter().all(|head| path(head).starts_with("/llm/a/")), "{heads:?}");
    assert!(heads.iter().any(|head| path(head) == "/llm/a/v1/models"), "{heads:?}");
}

#[tokio::test]
async fn a_unix_socket_is_asked_too() {
    let directory = std::env::temp_dir().join(format!("aictl-providers-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let socket = directory.join("server.sock");
    let _ = std::fs::remove_file(&socket);
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let head = head(&mut stream).await;
                let routes = recorded::OLLAMA.routes.iter();
                let route = routes.clone().find(|(route, ..)| *route == path(&head));
                let (_, status, content_type, body) = route.unwrap();
                let _ = stream.write_all(&answer(*status, content_type, body)).await;
                drain(stream).await;
            });
        }
    });
    let endpoint = Endpoint::parse(&format!("unix:{}", socket.display())).unwrap();
    let target = Target { provider: Some(Provider::Ollama), endpoint, key: None };
    let report = probe(&target, LONG).await;
    task.abort();
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(report.reach, Reach::Ready);
    assert_eq!(report.version.as_deref(), Some("0.12.6"));
}

#[tokio::test]
async fn a_second_address_is_tried_where_the_first_refuses() {
    // `localhost` is 127.0.0.1 first, and this one listens on ::1 only.
    let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
        // A machine without IPv6 has no second address.
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                head(&mut stream).await;
                let _ = stream.write_all(&answer(200, "text/plain", "Ollama is running")).await;
                drain(stream).await;
            });
        }
    });
    let endpoint = Endpoint::parse(&format!("http://localhost:{port}")).unwrap();
    let target = Target { provider: Some(Provider::Ollama), endpoint, key: None };
    let report = probe(&target, LONG).await;
    task.abort();
    assert_eq!(report.reach, Reach::Ready);
}

#[tokio::test]
async fn a_socket_that_may_not_be_used_is_told() {
    let trouble = Trouble::Io(io::ErrorKind::PermissionDenied);
    assert_eq!(trouble.to_string(), "this user may not connect to its socket");
    assert_eq!(Key::new("").unwrap_err().to_string(), crate::InvalidKey.to_string());
}

#[tokio::test]
async fn answers_that_take_long_to_read_do_not_outlast_the_time() {
    let items = "{},".repeat((1 << 20) / 3 - 100);
    let body = format!("{{\"data\":[{items}{{}}]}}");
    let server = Server::sending(answer(200, "application/json", &body)).await;
    let start = Instant::now();
    let target = server.target(None);
    let reports = tokio::join!(probe(&target, SHORT), probe(&target, SHORT), probe(&target, SHORT));
    assert!(start.elapsed() < SHORT * 2, "{:?}: {reports:?}", start.elapsed());
}
