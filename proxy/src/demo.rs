//! `hopscope demo`: a whole path in this process, with a fault in it.
