//! HTTP/1 read from passing bytes, never rewritten.
