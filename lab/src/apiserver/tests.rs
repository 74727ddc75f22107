//! Tests of `apiserver`.
