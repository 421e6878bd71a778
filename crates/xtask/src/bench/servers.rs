//! Stand-ins for AI servers, on addresses of their own of this machine, that know how long they
//! were asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a server answers: path, type of the content, content. All else is "not found".
pub type Answers = &'static [(&'static str, &'static str, &'static str)];

/// What a server does with those who ask.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// It takes this long for each answer.
    After(Duration),
    /// It never answers.
    Never,
}

/// When a server was asked first, and when it had answered last.
type Span = Option<(Instant, Instant)>;

/// A server. It ends with this process.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    span: Arc<Mutex<Span>>,
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// What the system says, if there is no address to be had.
    pub fn start(answers: Answers, manner: Manner) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (address, span) = (listener.local_addr()?, Arc::new(Mutex::new(None)));
        let seen = Arc::clone(&span);
        thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let asked = Instant::now();
                match manner {
                    Manner::Never => silent.push(stream),
                    Manner::After(delay) => {
                        let seen = Arc::clone(&seen);
                        // A client that goes away is no matter.
                        thread::spawn(move || serve(&stream, answers, delay, asked, &seen));
                    }
                }
            }
        });
        Ok(Self { address, span })
    }

    /// How long it was busy with those who asked since this was called last.
    pub fn take_busy(&self) -> Option<Duration> {
        let span = self.span.lock().unwrap_or_else(PoisonError::into_inner).take();
        span.map(|(first, last)| last.duration_since(first))
    }
}

/// Answers the requests of one connection, until it ends.
fn serve(
    stream: &TcpStream,
    answers: Answers,
    delay: Duration,
    asked: Instant,
    span: &Mutex<Span>,
) -> std::io::Result<()> {
    // Small answers are not to wait for more.
    stream.set_nodelay(true)?;
    let (mut lines, mut out) = (BufReader::new(stream), stream);
    loop {
        let mut request = String::new();
        if lines.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while lines.read_line(&mut header)? > 2 {
            header.clear();
        }
        thread::sleep(delay);
        out.write_all(answer(&request, answers).as_bytes())?;
        let mut span = span.lock().unwrap_or_else(PoisonError::into_inner);
        let first = span.map_or(asked, |(first, _)| first.min(asked));
        *span = Some((first, Instant::now()));
    }
}

/// The answer to a request's first line.
fn answer(request: &str, answers: Answers) -> String {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let found = answers.iter().find(|(of, ..)| *of == path);
    let (status, kind, body) = match found {
        Some((_, kind, body)) => ("200 OK", *kind, *body),
        None => ("404 Not Found", "text/plain", "not found"),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn ask(server: &Server, requests: &str) -> String {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn it_answers_each_request_of_a_connection_and_knows_how_long_it_took() {
        let delay = Duration::from_millis(2);
        let server = Server::start(&[("/a", "text/plain", "one")], Manner::After(delay)).unwrap();
        assert_eq!(server.take_busy(), None);
        let text = ask(&server, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
        assert!(text.contains("200 OK\r\n") && text.contains("\r\n\r\none"), "{text}");
        assert!(text.contains("404 Not Found\r\n"), "{text}");
        // Twice the delay, at the least.
        assert!(server.take_busy().is_some_and(|busy| busy >= 2 * delay));
        assert_eq!(server.take_busy(), None);
    }
}
