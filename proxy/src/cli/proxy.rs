//! `hopscope proxy`: the proxy alone, until Ctrl-C, then the diagnosis.

use std::net::SocketAddr;

use super::Exit;
use super::conduct::{ConductError, Load, conduct};
use super::result::ResultOptions;
use super::session::SessionOptions;

const EXAMPLES: &str = "\
Examples:
  hopscope proxy --via tunnel=127.0.0.1:3000
      in front of a port-forward that already runs; point the generator at 127.0.0.1:8080, end with Ctrl-C
  hopscope proxy --listen 127.0.0.1:9000 --via lb=https://shop.example.com --json report.json
  hopscope proxy --via tunnel=127.0.0.1:3000 --via direct=10.0.0.7:3000 --weights 1,1
      the same load over two paths, to see whether the path makes the difference
  hopscope proxy --via tunnel=127.0.0.1:3000 --metrics 127.0.0.1:9090 --fail-on 'tunnel>0.5%'";

/// Relay and observe until Ctrl-C, then print the diagnosis.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the generator connects to
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    #[command(flatten)]
    options: SessionOptions,
}

/// Runs the proxy until it is told to stop.
///
/// # Errors
/// When it could not begin, or its outcome could not be kept.
pub fn execute(args: &Args) -> Result<Exit, ConductError> {
    Ok(conduct(
        &args.options,
        args.listen,
        &Load::Elsewhere,
        &ResultOptions::default(),
    )?
    .exit)
}
