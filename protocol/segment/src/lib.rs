//! Append-only checksummed segment files with recovery: under the spool, the region log and the catalog.
