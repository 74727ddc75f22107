//! What a run leaves behind: one SQLite file.
