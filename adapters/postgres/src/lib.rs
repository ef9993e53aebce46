//! PostgreSQL tables as a sink.
