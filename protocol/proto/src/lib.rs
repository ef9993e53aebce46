//! The messages of the link and of enrolment, generated from .proto files.
