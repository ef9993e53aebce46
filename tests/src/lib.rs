//! Whole-system tests, simulations and benches over one harness.
