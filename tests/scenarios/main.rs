//! The real binary against real parts. Needs root; `cargo xtask scenarios` plays them.

mod agent_across_hosts;
mod agent_connects;
mod agent_healthy;
mod agent_hops;
mod agent_image;
mod agent_ladder;
mod agent_older;
mod agent_privilege;
mod agent_queues;
mod agent_report;
mod agent_resets;
mod agent_scrape;
mod agent_silence;
mod agent_six;
mod agent_soak;
mod agent_stage;
mod command_line;
mod proxy_losses;
mod proxy_orders;
mod proxy_paths;
mod proxy_upstreams;
mod stage;
mod tunnel_faults;
mod tunnel_soak;
mod tunnel_stalls;
mod tunnel_starts;
