//! What the MySQL sink promises beyond the laws.
