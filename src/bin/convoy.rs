//! convoy.

fn main() {}
