//! A durable, bounded queue of frames on the agent's disk.
