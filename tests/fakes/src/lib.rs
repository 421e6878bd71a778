//! What aictl speaks with on a real machine, made for tests: a message bus of one's own
//! ([`PrivateBus`]) and a systemd on it ([`FakeSystemd`]); and programs that can be started as soon as
//! they are written ([`shell_script`]).
//!
//! ```no_run
//! # async fn test() {
//! use aictl_fakes::{FakeSystemd, FakeUnit, PrivateBus};
//! use zbus::connection::Builder;
//!
//! let bus = PrivateBus::start();
//! let systemd = FakeSystemd::start(&bus, [FakeUnit::running("ollama.service")]).await;
//! let client = Builder::address(bus.address()).build().await.unwrap();
//! // … what is tested speaks over `client`; then:
//! assert_eq!(systemd.calls(), ["StartUnit ollama.service replace"]);
//! # }
//! ```
//!
//! A fake panics where the machine lacks what it needs, or where the test uses it in a wrong way.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::missing_panics_doc)]

mod bus;
mod program;
mod systemd;

pub use bus::PrivateBus;
pub use program::{copy_program, shell_script};
pub use systemd::{Act, FakeSystemd, FakeUnit};
