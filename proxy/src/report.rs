//! A recording's diagnosis, for people and programs.
