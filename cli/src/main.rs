//! turnleaf command.
fn main() {}
