//! Tests of `connection`.


