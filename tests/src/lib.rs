//! The harness: real processes, real sockets, real namespaces.
