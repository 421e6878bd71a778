//! The server's side of the handshake on a connection of our own socket (D-Bus specification,
//! "Authentication Protocol"): EXTERNAL only, since the kernel says who is there.
//!
//! zbus has one as well, but one for friends: a first byte of `\n` makes it panic, a line without
//! an end makes it grow, and descriptors sent along are counted wrongly.

use std::{future::poll_fn, io, mem, pin::pin, task::Poll};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most bytes of a line; the longest that is needed has the digits of a uid in hexadecimal.
const MAX_LINE: usize = 256;
/// The most lines; the chattiest client known sends six.
const MAX_LINES: usize = 16;

/// What a line of the client brings about.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// This answer.
    Answer(String),
    /// The end of the handshake: messages follow.
    Begin,
    /// The end of the connection.
    Close,
}

/// How far the client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It must say who it is.
    Auth,
    /// It has chosen EXTERNAL and must say who it is.
    Data,
    /// It is known.
    Known,
}

/// What has been agreed on.
#[derive(Debug)]
struct State<'a> {
    stage: Stage,
    uid: u32,
    guid: &'a str,
    descriptors: bool,
}

impl State<'_> {
    fn ok(&mut self) -> Turn {
        self.stage = Stage::Known;
        Turn::Answer(format!("OK {}", self.guid))
    }

    fn rejected(&mut self) -> Turn {
        self.stage = Stage::Auth;
        Turn::Answer("REJECTED EXTERNAL".to_owned())
    }

    /// An identity that the client claims: nothing, or the digits of its uid in hexadecimal.
    fn claim(&mut self, claim: &str) -> Turn {
        let digits = self.uid.to_string();
        let mine: String = digits.bytes().map(|byte| format!("{byte:02x}")).collect();
        if claim.is_empty() || claim == mine { self.ok() } else { self.rejected() }
    }

    fn line(&mut self, line: &str) -> Turn {
        let words: Vec<_> = line.split(' ').collect();
        match (self.stage, words.as_slice()) {
            (Stage::Auth, ["AUTH", "EXTERNAL"]) => {
                self.stage = Stage::Data;
                Turn::Answer("DATA".to_owned())
            }
            (Stage::Auth, ["AUTH", "EXTERNAL", claim]) => self.claim(claim),
            (Stage::Auth, ["AUTH", ..]) => self.rejected(),
            (Stage::Data, ["DATA"]) => self.claim(""),
            (Stage::Data, ["DATA", claim]) => self.claim(claim),
            (Stage::Known, ["NEGOTIATE_UNIX_FD"]) => {
                self.descriptors = true;
                Turn::Answer("AGREE_UNIX_FD".to_owned())
            }
            (Stage::Known, ["BEGIN"]) => Turn::Begin,
            (_, ["BEGIN", ..]) => Turn::Close,
            (_, ["CANCEL" | "ERROR", ..]) => self.rejected(),
            _ => Turn::Answer("ERROR".to_owned()),
        }
    }
}

/// What was agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// Whether the client takes descriptors.
    pub descriptors: bool,
}

/// Goes through the handshake, and reads not one byte more.
///
/// # Errors
/// If the client does not keep to the protocol, or goes.
pub async fn serve<S>(stream: &mut S, uid: u32, guid: &str) -> io::Result<Agreed>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    if stream.read_u8().await? != 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut state = State { stage: Stage::Auth, uid, guid, descriptors: false };
    // Who says several lines at once is answered once: each answer would wake him up.
    let mut answers = String::new();
    for _ in 0..MAX_LINES {
        let line = line(stream, &mut answers).await?;
        match state.line(&line) {
            Turn::Answer(answer) => answers.extend([&answer, "\r\n"]),
            Turn::Begin => {
                stream.write_all(answers.as_bytes()).await?;
                return Ok(Agreed { descriptors: state.descriptors });
            }
            Turn::Close => break,
        }
    }
    stream.write_all(answers.as_bytes()).await?;
    Err(io::ErrorKind::InvalidData.into())
}

/// Reads one line, byte by byte: what follows the last one is a message already.
async fn line<S>(stream: &mut S, answers: &mut String) -> io::Result<String>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let mut line = Vec::new();
    while line.len() < MAX_LINE {
        match byte(stream, answers).await? {
            b'\n' if line.pop() == Some(b'\r') => {
                return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Reads one byte; if none is there, the client may be waiting for the answers so far.
async fn byte<S>(stream: &mut S, answers: &mut String) -> io::Result<u8>
where
    S: AsyncReadExt + AsyncWriteExt + Unpin,
{
    let now = {
        let mut read = pin!(stream.read_u8());
        poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await
    };
    match now {
        Poll::Ready(Ok(byte)) => Ok(byte),
        end_or_none => {
            stream.write_all(mem::take(answers).as_bytes()).await?;
            match end_or_none {
                Poll::Ready(end) => end,
                Poll::Pending => stream.read_u8().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::net::UnixStream};

    use tokio::io::duplex;

    use super::*;

    /// What a client of uid 1000 that sends `sent` is answered, how that ended, and what of what
    /// it sent is left.
    async fn dialogue(sent: &[u8]) -> (String, Option<Agreed>, Vec<u8>) {
        let (mut client, mut server) = duplex(1 << 16);
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        let agreed = serve(&mut server, 1000, "guid").await.ok();
        let mut left = Vec::new();
        server.read_to_end(&mut left).await.unwrap();
        drop(server);
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        (answers, agreed, left)
    }

    #[tokio::test]
    async fn the_ways_of_known_clients() {
        let table: [(&str, &str, bool); 4] = [
            // zbus; libdbus and GDBus after being told what there is.
            (
                "\0AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
                "OK guid\r\nAGREE_UNIX_FD\r\n",
                true,
            ),
            ("\0AUTH EXTERNAL 31303030\r\nBEGIN\r\n", "OK guid\r\n", false),
            (
                "\0AUTH\r\nAUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
                "REJECTED EXTERNAL\r\nOK guid\r\nAGREE_UNIX_FD\r\n",
                true,
            ),
            // sd-bus.
            (
                "\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
                "DATA\r\nOK guid\r\nAGREE_UNIX_FD\r\n",
                true,
            ),
        ];
        for (sent, answers, descriptors) in table {
            let with_message = [sent.as_bytes(), b"l\x01message"].concat();
            let expected =
                (answers.to_owned(), Some(Agreed { descriptors }), b"l\x01message".to_vec());
            assert_eq!(dialogue(&with_message).await, expected, "{sent:?}");
        }
    }

    /// Each answer wakes up whoever waits for it, and each line may be waited with until it comes.
    #[tokio::test]
    async fn who_says_all_at_once_is_answered_at_once_and_who_waits_each_time() {
        let (mut client, server) = UnixStream::pair().unwrap();
        let (mut client, mut server) = {
            client.set_nonblocking(true).unwrap();
            server.set_nonblocking(true).unwrap();
            client.write_all(b"\0AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nBEG").unwrap();
            (tokio_stream(client), tokio_stream(server))
        };
        let served = tokio::spawn(async move { serve(&mut server, 1000, "guid").await });
        let mut answers = [0; 64];
        let length = client.read(&mut answers).await.unwrap();
        assert_eq!(&answers[..length], b"OK guid\r\nAGREE_UNIX_FD\r\n");
        client.write_all(b"IN\r\n").await.unwrap();
        assert!(served.await.unwrap().unwrap().descriptors);

        let (mut client, mut server) = duplex(64);
        let served = tokio::spawn(async move { serve(&mut server, 1000, "guid").await });
        for (said, answer) in [
            ("\0AUTH EXTERNAL 31303030\r\n", "OK guid\r\n"),
            ("NEGOTIATE_UNIX_FD\r\n", "AGREE_UNIX_FD\r\n"),
            ("CANCEL\r\n", "REJECTED EXTERNAL\r\n"),
        ] {
            client.write_all(said.as_bytes()).await.unwrap();
            let mut answered = vec![0; answer.len()];
            client.read_exact(&mut answered).await.unwrap();
            assert_eq!(answered, answer.as_bytes());
        }
        drop(client);
        assert!(served.await.unwrap().is_err());
    }

    fn tokio_stream(stream: UnixStream) -> tokio::net::UnixStream {
        tokio::net::UnixStream::from_std(stream).unwrap()
    }

    #[tokio::test]
    async fn who_does_not_keep_to_it_is_not_let_in() {
        let long = format!("\0AUTH EXTERNAL {}\r\n", "3".repeat(1 << 15));
        let endless = format!("\0{}", "AUTH\r\n".repeat(1000));
        for sent in [
            "\n",
            "",
            "\0",
            "\0\n",
            "\0\r\n",
            "AUTH EXTERNAL 31303030\r\nBEGIN\r\n",
            "\0BEGIN\r\n",
            "\0AUTH EXTERNAL\r\nBEGIN\r\n",
            // Another's uid: 0, and 1001.
            "\0AUTH EXTERNAL 30\r\nBEGIN\r\n",
            "\0AUTH EXTERNAL 31303031\r\nBEGIN\r\n",
            "\0AUTH EXTERNAL\r\nDATA 30\r\nBEGIN\r\n",
            "\0AUTH ANONYMOUS\r\nBEGIN\r\n",
            "\0AUTH ANONYMOUS 61\r\nBEGIN\r\n",
            "\0AUTH DBUS_COOKIE_SHA1 31303030\r\nBEGIN\r\n",
            "\0AUTH EXTERNAL 31303030\nBEGIN\r\n",
            "\0AUTH EXTERNAL 31303030 x\r\nBEGIN\r\n",
            "\0AUTH EXTERNAL 31303030\r\nCANCEL\r\nBEGIN\r\n",
            "\0NEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
            &long,
            &endless,
        ] {
            let (_, agreed, _) = dialogue(sent.as_bytes()).await;
            assert_eq!(agreed, None, "{sent:?}");
        }
        let (_, agreed, _) = dialogue(b"\0AUTH \xff\r\nBEGIN\r\n").await;
        assert_eq!(agreed, None);
    }
}
