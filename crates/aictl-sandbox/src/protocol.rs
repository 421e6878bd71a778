//! What sandboxd and its clients say to each other.
//!
//! One connection (unix(7), `SOCK_SEQPACKET`) carries one run. The client sends [`Request::Run`]
//! with the script as a sealed memfd, and the end of a stream for standard input if there is one:
//! a socket, of which nobody else has that end. sandboxd
//! answers with any number of [`Reply::Output`], then one [`Reply::Done`] or [`Reply::Rejected`].
//! [`Request::Cancel`], or the end of the connection, ends the run.
//!
//! Every message is one packet: two bytes of magic, a version, a kind, then the body: raw bytes
//! for output, JSON for all else. Nothing is trusted: sizes, counts, alphabets and versions are
//! checked, and unknown fields are refused.

use std::{fmt, fs::File, io};

use aictl_api::{
    limits::{LimitError, Limits, TIMEOUT},
    record::RunRecord,
    strict::Policy,
};
use serde::{Deserialize, Serialize};

use crate::interpreter::Runtime;

/// The largest message, header included, in bytes. A packet must fit into a socket's buffer,
/// 208 KiB by default.
pub const MAX_MESSAGE: usize = 160 * 1024;
/// The most output that one message carries, in bytes.
pub const MAX_CHUNK: usize = 64 * 1024;
/// The most descriptors that come with a message.
pub const MAX_FDS: usize = 3;
/// The most arguments of a script.
pub const MAX_ARGS: usize = 1024;
/// The most bytes of all arguments of a script together.
pub const MAX_ARGS_BYTES: usize = 64 * 1024;

const MAGIC: [u8; 2] = *b"ai";
/// The version of the message format; both sides must speak the same.
pub const VERSION: u8 = 1;
const HEADER: usize = 4;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Shorter than a header, or longer than [`MAX_MESSAGE`].
    Size(usize),
    /// Not of this protocol.
    Magic,
    /// Of another version.
    Version(u8),
    /// A kind of message that this side does not take.
    Kind(u8),
    /// The body does not parse.
    Body(String),
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => write!(f, "a message of {size} bytes"),
            Self::Magic => write!(f, "not a message of this protocol"),
            Self::Version(version) => {
                write!(f, "protocol version {version}, where {VERSION} is spoken")
            }
            Self::Kind(kind) => write!(f, "an unknown kind of message ({kind})"),
            Self::Body(error) => write!(f, "a malformed message: {error}"),
        }
    }
}

impl std::error::Error for ProtocolError {}

/// The file name that a script has inside the sandbox: 1 to 255 bytes of UTF-8, no slash, no
/// control character, neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScriptName(String);

impl ScriptName {
    /// The name of a script whose own name cannot be used.
    #[must_use]
    pub fn fallback() -> Self {
        Self("script".to_owned())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ScriptName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, &'static str> {
        if name.is_empty() || name.len() > 255 {
            return Err("a script's name has 1 to 255 bytes");
        }
        if name.contains('/') || name.chars().any(char::is_control) {
            return Err("a script's name has no slash and no control character");
        }
        if name == "." || name == ".." {
            return Err("a script's name is not a directory's");
        }
        Ok(Self(name))
    }
}

impl From<ScriptName> for String {
    fn from(name: ScriptName) -> Self {
        name.0
    }
}

/// The id of a request: 32 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(String);

impl RequestId {
    /// The id made of 16 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// An id that nobody can guess, from the kernel's random bytes, such as /dev/urandom gives.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn from_random(mut source: impl io::Read) -> io::Result<Self> {
        let mut bytes = [0; 16];
        source.read_exact(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }

    /// A new one, from /dev/urandom.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn random() -> io::Result<Self> {
        File::open("/dev/urandom").and_then(Self::from_random)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RequestId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, &'static str> {
        if id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(id))
        } else {
            Err("a request id has 32 lower-case hexadecimal digits")
        }
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

/// The arguments of a script, without NUL, within [`MAX_ARGS`] and [`MAX_ARGS_BYTES`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct ScriptArgs(Vec<String>);

impl ScriptArgs {
    /// The arguments in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl TryFrom<Vec<String>> for ScriptArgs {
    type Error = &'static str;

    fn try_from(args: Vec<String>) -> Result<Self, &'static str> {
        if args.len() > MAX_ARGS {
            return Err("more than 1024 arguments: let the script read them from standard input");
        }
        if args.iter().map(|arg| arg.len() + 1).sum::<usize>() > MAX_ARGS_BYTES {
            return Err(
                "the arguments are longer than 64 KiB together: let the script read them from \
                        standard input",
            );
        }
        if args.iter().any(|arg| arg.contains('\0')) {
            return Err("an argument holds a NUL");
        }
        Ok(Self(args))
    }
}

impl From<ScriptArgs> for Vec<String> {
    fn from(args: ScriptArgs) -> Self {
        args.0
    }
}

/// How strictly a run is isolated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Profile {
    /// Every layer of the kernel; the language is whole.
    #[default]
    Standard,
    /// The same layers; a Python script imports no other modules than these, and has no builtin
    /// function that turns text into code or into names. Before it runs, sandboxd checks it by
    /// this policy; who makes the sandbox himself has done so.
    Strict(Policy),
}

impl Profile {
    /// The profile's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Strict(_) => "strict",
        }
    }
}

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Id of the request that this run serves.
    pub request_id: RequestId,
    /// The script's file name.
    pub name: ScriptName,
    /// What runs it.
    pub runtime: Runtime,
    /// Its arguments.
    pub args: ScriptArgs,
    /// Its limits.
    pub limits: Limits,
    /// Its profile.
    pub profile: Profile,
    /// Whether the script's variable `result` is wanted.
    pub want_result: bool,
    /// Whether a second descriptor comes along: a stream to read standard input from.
    pub stdin: bool,
    /// Whose run it is, where there may be those of others: users share the CPU, and not runs.
    pub user: Option<u32>,
    /// Whether it has waited for others of its user's, and so may wait for others', too.
    pub patient: bool,
    /// Whether it may get an interpreter that was started before it came.
    pub warm: bool,
}

impl Job {
    /// A job that shows whether a sandbox can be made: in a new one, and not for long.
    ///
    /// # Errors
    /// None, while its time is within the range of that limit.
    pub fn trial(request_id: RequestId) -> Result<Self, LimitError> {
        /// How long the script may take, in milliseconds.
        const TRIAL_MS: u64 = 10_000;
        let mut limits = Limits::default();
        limits.set(&TIMEOUT, TRIAL_MS)?;
        Ok(Self {
            request_id,
            name: ScriptName::fallback(),
            runtime: Runtime::Python,
            args: ScriptArgs::default(),
            limits,
            profile: Profile::Standard,
            want_result: false,
            stdin: false,
            user: None,
            patient: false,
            warm: false,
        })
    }
}

/// One of the two streams of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Why sandboxd did not run a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RejectKind {
    /// The job breaks the rules: a descriptor of the wrong type, a script that is too large.
    Invalid,
    /// Too many runs at a time.
    LimitExceeded,
    /// The interpreter is not there.
    NoInterpreter,
    /// The sandbox could not be made on this machine.
    Unavailable,
}

/// Why sandboxd did not run a job, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The kind of reason.
    pub kind: RejectKind,
    /// What happened and what to do, for the user.
    pub message: String,
}

impl Rejection {
    /// A rejection in words.
    #[must_use]
    pub fn new(kind: RejectKind, message: impl ToString) -> Self {
        Self { kind, message: message.to_string() }
    }
}

/// From a client to sandboxd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Run this.
    Run(Box<Job>),
    /// End the run.
    Cancel,
}

/// From sandboxd to its client.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Output of the script, as it comes.
    Output(Stream, Vec<u8>),
    /// The run is over, and nothing of it is left. Of the times, sandboxd knows when the program was
    /// let start.
    Done(Box<RunRecord>),
    /// Nothing was run.
    Rejected(Rejection),
}

/// Kinds of messages, as they stand in the header.
mod kind {
    pub const RUN: u8 = 1;
    pub const CANCEL: u8 = 2;
    pub const STDOUT: u8 = 16;
    pub const STDERR: u8 = 17;
    pub const DONE: u8 = 18;
    pub const REJECTED: u8 = 19;
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend(MAGIC);
    bytes.extend([VERSION, kind]);
    bytes.extend(body);
    bytes
}

fn json<T: Serialize>(kind: u8, body: &T) -> Vec<u8> {
    // Serialising these types cannot fail: no maps with odd keys, no failing implementations.
    message(kind, &serde_json::to_vec(body).unwrap_or_default())
}

fn split(bytes: &[u8]) -> Result<(u8, &[u8]), ProtocolError> {
    if bytes.len() < HEADER || bytes.len() > MAX_MESSAGE {
        return Err(ProtocolError::Size(bytes.len()));
    }
    let (header, body) = bytes.split_at(HEADER);
    if header[..2] != MAGIC {
        return Err(ProtocolError::Magic);
    }
    if header[2] != VERSION {
        return Err(ProtocolError::Version(header[2]));
    }
    Ok((header[3], body))
}

fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, ProtocolError> {
    serde_json::from_slice(body).map_err(|error| ProtocolError::Body(error.to_string()))
}

impl Request {
    /// The request as one packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Run(job) => json(kind::RUN, job),
            Self::Cancel => message(kind::CANCEL, b""),
        }
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// If it is not a well-formed request of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProtocolError> {
        match split(bytes)? {
            (kind::RUN, body) => Ok(Self::Run(parse(body)?)),
            (kind::CANCEL, b"") => Ok(Self::Cancel),
            (kind::CANCEL, _) => Err(ProtocolError::Body("a cancel has no body".to_owned())),
            (kind, _) => Err(ProtocolError::Kind(kind)),
        }
    }
}

impl Reply {
    /// Output as one packet, without copying it twice.
    #[must_use]
    pub fn encode_output(stream: Stream, bytes: &[u8]) -> Vec<u8> {
        message(if stream == Stream::Stdout { kind::STDOUT } else { kind::STDERR }, bytes)
    }

    /// The reply as one packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Output(stream, bytes) => Self::encode_output(*stream, bytes),
            Self::Done(record) => json(kind::DONE, record),
            Self::Rejected(rejection) => json(kind::REJECTED, rejection),
        }
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// If it is not a well-formed reply of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProtocolError> {
        match split(bytes)? {
            (kind::STDOUT, body) => Ok(Self::Output(Stream::Stdout, body.to_vec())),
            (kind::STDERR, body) => Ok(Self::Output(Stream::Stderr, body.to_vec())),
            (kind::DONE, body) => Ok(Self::Done(parse(body)?)),
            (kind::REJECTED, body) => Ok(Self::Rejected(parse(body)?)),
            (kind, _) => Err(ProtocolError::Kind(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            request_id: RequestId::from_bytes([0xab; 16]),
            name: ScriptName::try_from("a.py".to_owned()).unwrap(),
            runtime: Runtime::Python,
            args: ScriptArgs::try_from(vec!["x".to_owned(), "ü\n".to_owned()]).unwrap(),
            limits: Limits::default(),
            profile: Profile::Standard,
            want_result: true,
            stdin: false,
            user: Some(1000),
            patient: true,
            warm: true,
        }
    }

    #[test]
    fn requests_and_replies_survive_a_round_trip() {
        let strict = Job { profile: Profile::Strict(Policy::default()), ..job() };
        for request in
            [Request::Run(Box::new(job())), Request::Run(Box::new(strict)), Request::Cancel]
        {
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
        let rejection =
            Rejection { kind: RejectKind::Unavailable, message: "no user namespaces".to_owned() };
        for reply in [
            Reply::Output(Stream::Stdout, b"\xff\0x".to_vec()),
            Reply::Output(Stream::Stderr, Vec::new()),
            Reply::Rejected(rejection),
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }

    /// With others, the fuzzer would begin at nothing; what it once found is among them.
    #[test]
    fn the_seeds_of_the_fuzzer_are_messages_that_can_be_said_again() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/frames");
        let (mut requests, mut replies) = (0, 0);
        for seed in std::fs::read_dir(seeds).unwrap() {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            match (Request::decode(&bytes), Reply::decode(&bytes)) {
                (Ok(request), _) => {
                    requests += 1;
                    assert_eq!(Request::decode(&request.encode()), Ok(request));
                }
                (_, Ok(reply)) => {
                    replies += 1;
                    assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
                }
                _ => panic!("{}", bytes.escape_ascii()),
            }
        }
        assert!(requests >= 2 && replies >= 3, "{requests} and {replies}");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let good = Request::Run(Box::new(job())).encode();
        let text = String::from_utf8(good[HEADER..].to_vec()).unwrap();
        let with = |from: &str, to: &str| {
            assert!(text.contains(from), "{from} in {text}");
            message(kind::RUN, text.replace(from, to).as_bytes())
        };
        let policy = |imports: &str, nodes: u64| {
            format!(r#"{{"strict":{{"imports":{imports},"source":1,"nodes":{nodes},"depth":1}}}}"#)
        };
        assert!(Request::decode(&with("\"standard\"", &policy("[]", 1))).is_ok());
        let cases: Vec<(&str, Vec<u8>)> = vec![
            ("empty", vec![]),
            ("short", good[..3].to_vec()),
            ("magic", [b"xx", &good[2..]].concat()),
            ("version", [b"ai\x02\x01", &good[4..]].concat()),
            ("a reply", Reply::encode_output(Stream::Stdout, b"x")),
            ("kind 0", b"ai\x01\x00".to_vec()),
            ("a cancel with a body", b"ai\x01\x02x".to_vec()),
            ("no body", b"ai\x01\x01".to_vec()),
            ("half a body", good[..good.len() - 1].to_vec()),
            ("two bodies", [&good[..], b"{}"].concat()),
            ("too large", [&good[..], &vec![b' '; MAX_MESSAGE]].concat()),
            ("unknown field", with("\"stdin\":false", "\"stdin\":false,\"root\":true")),
            ("missing field", with(",\"stdin\":false", "")),
            ("a user below 0", with("\"user\":1000", "\"user\":-1")),
            ("a path as name", with("a.py", "../a.py")),
            ("a control character in the name", with("a.py", "a\\n.py")),
            ("a directory as name", with("a.py", "..")),
            ("an empty name", with("a.py", "")),
            ("a long name", with("a.py", &"a".repeat(256))),
            ("a short id", with("abababab", "ab")),
            ("an id in capitals", with("abababab", "ABABABAB")),
            ("NUL in an argument", with("\"x\"", "\"x\\u0000\"")),
            ("an unknown runtime", with("\"python\"", "\"perl\"")),
            ("an unknown profile", with("\"standard\"", "\"none\"")),
            ("strict without modules", with("\"standard\"", "\"strict\"")),
            ("strict with no module's name", with("\"standard\"", &policy("[\"a b\"]", 1))),
            ("strict with a limit of 0", with("\"standard\"", &policy("[]", 0))),
            ("a limit of 0", with("\"processes\":64", "\"processes\":0")),
        ];
        for (what, bytes) in cases {
            assert!(Request::decode(&bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn arguments_are_bounded() {
        let many = |n: usize, size: usize| ScriptArgs::try_from(vec!["a".repeat(size); n]);
        assert!(many(MAX_ARGS, 1).is_ok());
        assert!(many(MAX_ARGS + 1, 1).is_err());
        assert!(many(1, MAX_ARGS_BYTES - 1).is_ok());
        assert!(many(1, MAX_ARGS_BYTES).is_err());
        let mut largest = job();
        largest.args = ScriptArgs::try_from(vec!["\u{1}".repeat(MAX_ARGS_BYTES - 1)]).unwrap();
        let bytes = Request::Run(Box::new(largest)).encode();
        assert!(Request::decode(&bytes).is_err() || bytes.len() <= MAX_MESSAGE);
    }
}
