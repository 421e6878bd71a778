//! Servers of AI models that answer what the test tells them to, on a port of their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(dead_code, reason = "every test file uses its own part")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Barrier, Mutex},
    thread,
};

use nix::unistd::{Uid, setfsuid};

/// An answer: its status, and its body.
type Answer = (u16, &'static str);
/// What the server answers to a path, asked with the right key or not; `None` for nothing at all.
type Answers = fn(&str, bool) -> Option<Answer>;

/// A server, for as long as the test runs.
pub struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A question: its path, and the key that came with it.
type Seen = (String, Option<String>);

impl Server {
    /// Ollama 0.12.6, which has one model, and holds it in a GPU.
    pub fn ollama() -> Self {
        Self::start(listener(), None, ollama)
    }

    /// The same, which says that it runs when all others of its company are asked that too.
    pub fn ollama_in(company: &Arc<Barrier>) -> Self {
        Self::begin(listener(), None, ollama, Some(Arc::clone(company)))
    }

    /// One that takes connections, and says nothing.
    pub fn silent() -> Self {
        Self::start(listener(), None, |_, _| None)
    }

    /// One that fails at everything.
    pub fn failing() -> Self {
        Self::start(listener(), None, |_, _| Some((500, "{}")))
    }

    /// vLLM with this key.
    pub fn keyed(key: &'static str) -> Self {
        Self::start(listener(), Some(key), vllm)
    }

    /// The same, whose socket is of a user whom nobody knows; only root can make it.
    pub fn of_another_user(key: &'static str) -> Self {
        let before = setfsuid(Uid::from_raw(64_321));
        let listener = listener();
        setfsuid(before);
        Self::start(listener, Some(key), vllm)
    }

    fn start(listener: TcpListener, key: Option<&'static str>, answers: Answers) -> Self {
        Self::begin(listener, key, answers, None)
    }

    fn begin(
        listener: TcpListener,
        key: Option<&'static str>,
        answers: Answers,
        company: Option<Arc<Barrier>>,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let notes = Arc::clone(&seen);
        // It ends with the test's program.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (connection, notes) = (connection.unwrap(), Arc::clone(&notes));
                let company = company.clone();
                thread::spawn(move || serve(connection, key, answers, &notes, company.as_deref()));
            }
        });
        Self { port, seen }
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The keys that came, as they stood in the header.
    pub fn keys(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().filter_map(|(_, key)| key.clone()).collect()
    }

    /// Whether anything was asked.
    pub fn was_asked(&self) -> bool {
        !self.seen.lock().unwrap().is_empty()
    }
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn ollama(path: &str, _: bool) -> Option<Answer> {
    Some(match path {
        "/" => (200, "Ollama is running"),
        "/api/version" => (200, r#"{"version":"0.12.6"}"#),
        "/api/tags" => {
            (200, r#"{"models":[{"name":"tiny:latest","model":"tiny:latest","size":115712}]}"#)
        }
        "/api/ps" => (
            200,
            r#"{"models":[{"name":"tiny:latest","size":115712,"size_vram":115712,
                "expires_at":"2318-03-04T12:00:00Z"}]}"#,
        ),
        _ => (404, "404 page not found"),
    })
}

fn vllm(path: &str, has_key: bool) -> Option<Answer> {
    Some(match path {
        "/health" => (200, ""),
        "/version" => (200, r#"{"version":"0.11.0"}"#),
        "/metrics" => (200, "vllm:num_requests_running{model_name=\"tiny\"} 0.0\n"),
        "/v1/models" if has_key => {
            (200, r#"{"object":"list","data":[{"id":"tiny","object":"model","owned_by":"vllm"}]}"#)
        }
        "/v1/models" => (401, r#"{"error":"Unauthorized"}"#),
        _ => (404, r#"{"detail":"Not Found"}"#),
    })
}

fn serve(
    mut connection: TcpStream,
    key: Option<&str>,
    answers: Answers,
    notes: &Mutex<Vec<Seen>>,
    company: Option<&Barrier>,
) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let sent = headers.iter().find_map(|header| {
        let (name, value) = header.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
    });
    let has_key = key.is_none_or(|key| sent.as_deref() == Some(&format!("Bearer {key}")));
    notes.lock().unwrap().push((path.clone(), sent));
    if let Some(company) = company.filter(|_| path == "/") {
        company.wait();
    }
    let Some((status, body)) = answers(&path, has_key) else {
        // Until the other side has had enough.
        let _gone = lines.next();
        return;
    };
    let answer = format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nContent-Type: application/json\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    // Who asked may be gone.
    let _gone = connection.write_all(answer.as_bytes());
}
