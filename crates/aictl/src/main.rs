//! aictl.
fn main() {}
