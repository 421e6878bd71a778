//! Tests of all parts together.

mod certificates;
mod hostile;
mod real;
mod recorded;
mod server;
mod shapes;
mod tls;
