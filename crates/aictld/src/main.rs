//! The program `aictld`: started by systemd when it is called (aictld.service, aictld.socket).

use std::{
    fmt,
    io::{self, Write},
    os::{fd::OwnedFd, unix::net::UnixListener as StdListener},
    process::ExitCode,
};

use aictl_core::config_files::{self, Trust};
use aictl_sandbox::activation;
use aictld::{
    lifetime::{Life, LifeError, Order, Settings},
    porter,
};
use nix::{
    sys::socket::{SockType, getsockopt, sockopt},
    unistd::{geteuid, getuid},
};
use tokio::{
    net::UnixListener,
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// The name that aictld.socket gives its socket.
const SOCKET_NAME: &str = "bus";

const HELP: &str = "\
aictld acts on AI services for those whom polkit lets, over the system bus.
It is started by systemd (aictld.service) when it is called, not by hand: see aictl(1).

Usage: aictld

  --help, --version
";

/// Why the program ends other than it should.
#[derive(Debug)]
enum Failure {
    /// An argument that there is not.
    Usage(String),
    /// Started by root.
    Root,
    /// The machine does not give what every program needs.
    System(&'static str, io::Error),
    Life(LifeError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(argument) => write!(f, "unknown argument {argument:?}; see aictld --help"),
            Self::Root => f.write_str(
                "not made to run as root: it has all it needs as user aictl, as aictld.service \
                 starts it",
            ),
            Self::System(what, error) => write!(f, "{what}: {error}"),
            Self::Life(error) => error.fmt(f),
        }
    }
}

impl Failure {
    /// The exit code: 2 for a wrong command line, as for `aictl`.
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Root | Self::System(..) | Self::Life(_) => 1,
        }
    }
}

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        None => serve(),
        Some("--help" | "-h") => return print(HELP),
        Some("--version" | "-V") => {
            return print(concat!("aictld ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Some(other) => Err(Failure::Usage(other.to_owned())),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _closed = writeln!(io::stderr(), "aictld: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Prints text; a reader that is gone is no error.
fn print(text: &str) -> ExitCode {
    let _closed = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn serve() -> Result<(), Failure> {
    if getuid().is_root() || geteuid().is_root() {
        return Err(Failure::Root);
    }
    let sockets = activation::take_sockets().map_err(|e| Failure::System("LISTEN_FDS", e))?;
    porter::start();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::System("the runtime", error))?;
    runtime.block_on(async {
        let listener = listener(sockets).map_err(|error| Failure::System("the socket", error))?;
        let orders = orders().map_err(|error| Failure::System("signals", error))?;
        let load = || config_files::load(None, Trust::RootOnly).map_err(|error| error.to_string());
        let life =
            Life::start(Settings::system(Box::new(load), listener)).await.map_err(Failure::Life)?;
        life.run(orders).await.map_err(Failure::Life)
    })
}

/// Our own socket, if systemd passed it.
fn listener(sockets: Vec<(String, OwnedFd)>) -> io::Result<Option<UnixListener>> {
    let Some((_, socket)) = sockets.into_iter().find(|(name, _)| name == SOCKET_NAME) else {
        return Ok(None);
    };
    let listens = getsockopt(&socket, sockopt::AcceptConn)?
        && getsockopt(&socket, sockopt::SockType)? == SockType::Stream;
    if !listens {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let listener = StdListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener).map(Some)
}

/// What systemd tells by signals.
fn orders() -> io::Result<mpsc::Receiver<Order>> {
    let (sender, receiver) = mpsc::channel(1);
    for (kind, order) in [
        (SignalKind::hangup(), Order::Reload),
        (SignalKind::terminate(), Order::End),
        (SignalKind::interrupt(), Order::End),
    ] {
        let (mut signals, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // Several of one kind that nobody has heard yet are one.
                let _full = sender.send(order).await;
            }
        });
    }
    Ok(receiver)
}
