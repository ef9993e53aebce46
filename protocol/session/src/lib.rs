//! The link as sans-IO state machines: agent side, cell side, credit and timers.
