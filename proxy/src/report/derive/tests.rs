//! Tests of `derive`.


