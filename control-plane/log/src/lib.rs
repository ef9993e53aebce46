//! The region's append-only event log.
