//! cargo x: test, deps, tidy, lint, bench, sim, demo.

fn main() {}
