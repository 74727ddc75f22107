//! The pure core of hopscope: evidence in, verdict out.
//!
//! Nothing here reads a clock, a file, a socket or the environment, and nothing waits: the same evidence gives the
//! same verdict on every machine. Suggested reading order: [`hop`] and [`cause`] (who can be charged, and with what),
//! [`evidence`] (what was seen, and what was not), [`verdict`] (what is concluded).
#![forbid(unsafe_code)]

pub mod cause;
pub mod evidence;
pub mod hop;
pub mod verdict;
