//! convoy-agent.

fn main() {}
