//! The real binary against real parts. Needs root; `cargo xtask scenarios` plays them.

mod agent_failures;
mod agent_hops;
mod agent_image;
mod agent_privilege;
mod agent_report;
mod agent_scrape;
mod command_line;
mod proxy_upstreams;
mod stage;
mod tunnel_faults;
mod tunnel_soak;
mod tunnel_stalls;
mod tunnel_starts;
