//! Prometheus metrics of the proxy, and the server that shows them.
