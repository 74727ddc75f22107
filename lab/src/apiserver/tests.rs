//! Tests of `apiserver`.


