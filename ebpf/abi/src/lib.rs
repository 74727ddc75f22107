//! What crosses the boundary between the probes and user space.
#![no_std]
