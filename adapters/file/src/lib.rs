//! Drop folders and log files as a source, files as a sink.
