//! Tests of all parts together.

mod certificates;
mod hostile;
mod recorded;
mod server;
mod shapes;
mod tls;
