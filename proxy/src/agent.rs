//! The node agent: probes, metrics, evidence.
