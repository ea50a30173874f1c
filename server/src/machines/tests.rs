//! The room against a real SQLite file.
