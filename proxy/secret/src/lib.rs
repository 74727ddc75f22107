//! What hopscope neither keeps nor shows: secrets in command lines, paths, addresses and other programs' words.
//!
//! Nobody marks a secret as one, so it is told by where it stands (behind `Authorization:`, in a query, in a variable that
//! is called `API_TOKEN`) and by its shape (a JWT, a run of random characters, an e-mail address). Where both are in
//! doubt the word goes: a report loses little by a word less, and a published token cannot be taken back.
//!
//! Everything here is pure, bounded by the length of its input, and safe on any bytes. [`shape`] judges one word,
//! [`text`] a line, [`address`] a URL, and [`command`] a command line.
#![forbid(unsafe_code)]

pub mod address;
pub mod command;
pub mod name;
pub mod shape;
mod shell;
mod takes;
pub mod text;

/// What stands in the place of a secret.
pub const MARK: &str = "***";
