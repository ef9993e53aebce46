//! The suite that every registered adapter passes.
