//! Control state: events in segments, projections in sled.
