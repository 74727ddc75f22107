//! `hopscope run`: the proxy, the load generator as a child, and the diagnosis when it ends.

use std::net::SocketAddr;

use super::Exit;
use super::conduct::{ConductError, Load, conduct};
use super::result::ResultOptions;
use super::session::SessionOptions;

const EXAMPLES: &str = "\
In COMMAND's arguments {url} becomes http://HOST:PORT, {addr} HOST:PORT, {host} HOST and {port} PORT of hopscope's own
address; HOPSCOPE_URL is set as well. In a terminal, COMMAND runs as a shell would run it: it has the terminal, and Ctrl-C
and Ctrl-Z are its own.

Examples:
  hopscope run --via tunnel=127.0.0.1:3000 -- k6 run -e BASE_URL={url} test.js
  hopscope run --via lb=http://shop.example.com -- wrk -t2 -c64 -d30s {url}/products
  hopscope run --via tunnel=kubectl:shop/svc/api-gateway:3000 --markdown verdict.md -- k6 run test.js
  hopscope run --via lb=http://shop.example.com -- locust --headless -u 50 -t 1m --host {url}
  hopscope run --via direct=127.0.0.1:3000 --fail-on 'any>1%' -- oha -z 10s {url}
  hopscope run --via direct=127.0.0.1:3000 --result points.json -- k6 run --out json=points.json test.js
      joins what k6 wrote, failure by failure
  hopscope run --front https --via lb=https://shop.example.com -- k6 run -e BASE_URL={url} test.js
      speaks TLS, and HTTP/2 where the target does, on both sides of hopscope
  hopscope run --front proxy --via lb=https://shop.example.com -- k6 run test.js
      is k6's HTTP proxy: the script keeps its own URLs
  hopscope run --via lb=https://shop.example.com --pass-exit-code -- k6 run test.js
      ends with k6's own exit code, such as 99 for a threshold that was crossed";

/// Run a load generator through the proxy and print the diagnosis when it ends.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Where the generator connects to; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// End with COMMAND's exit code (128 and its number for a signal), unless a --fail-on condition holds (1) or
    /// hopscope itself could not run (2, 3). Without this, COMMAND's exit code is in the report only
    #[arg(long)]
    pass_exit_code: bool,

    #[command(flatten)]
    options: SessionOptions,

    #[command(flatten)]
    generator: ResultOptions,
    /// Keep COMMAND in the recording and the reports as it was typed. Without this, values of headers, credentials,
    /// cookies, bodies, queries and secret variables are replaced by ***
    #[arg(long)]
    keep_command: bool,

    /// The load generator and its arguments, behind `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the generator to its end.
///
/// # Errors
/// When it could not begin, or its outcome could not be kept.
pub fn execute(args: Args) -> Result<Exit, ConductError> {
    let load = Load::Command {
        words: args.command,
        keep: args.keep_command,
    };
    let ended = conduct(&args.options, args.listen, &load, &args.generator)?;
    Ok(match (ended.exit, ended.generator) {
        (Exit::Ran, Some(code)) if args.pass_exit_code => {
            // An exit code has eight bits (exit(3)), so it always fits.
            u8::try_from(code).map_or(Exit::Ran, Exit::AsGenerator)
        }
        (exit, _) => exit,
    })
}
