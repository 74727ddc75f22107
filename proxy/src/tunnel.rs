//! `kubectl port-forward` as an object: run it, find it, watch it, read it.
