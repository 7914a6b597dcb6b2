//! convoy-cp.

fn main() {}
