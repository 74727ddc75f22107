//! The lab's shop as a process of its own, for a score of real parts: its faults stand on the command line.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use hopscope_attribution::cause::Cause;
use hopscope_lab::draw::Latency;
use hopscope_lab::fault::{Fault, GroundTruth};
use hopscope_lab::service::{Misbehaviour, Service};
use tokio::io::AsyncReadExt as _;

/// Serves a shop on a free port of 127.0.0.1 until its standard input ends.
///
/// The first line on standard output is a JSON object with `addr`.
#[derive(Debug, Parser)]
struct Args {
    /// What it does to a share of its requests; may be repeated. KIND is status:CODE, slow:MS, silence, reset, close
    /// or truncate.
    #[arg(long, value_name = "KIND=SHARE", value_parser = fault)]
    fault: Vec<(Misbehaviour, f64)>,
    /// Only requests under this path are hit.
    #[arg(long, value_name = "PATH", default_value = "")]
    under: String,
    /// Median and 95th percentile of a healthy answer's latency, in milliseconds.
    #[arg(long, value_name = "MEDIAN:P95", default_value = "8:25", value_parser = latency)]
    latency: Latency,
    /// Requests a second that one address may ask.
    #[arg(long, value_name = "N")]
    rate_limit: Option<f64>,
    /// Of every choice that it makes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn fault(text: &str) -> Result<(Misbehaviour, f64)> {
    let (kind, share) = text.split_once('=').context("expected KIND=SHARE")?;
    let (word, number) = kind.split_once(':').unwrap_or((kind, "0"));
    let after = Latency::log_normal(5, 15);
    let kind = match word {
        "status" => Misbehaviour::Status {
            status: number.parse()?,
            after,
        },
        "slow" => Misbehaviour::Slow(Latency::fixed(number.parse()?)),
        "silence" => Misbehaviour::Silence,
        "reset" => Misbehaviour::Reset { after },
        "close" => Misbehaviour::CloseUnanswered,
        "truncate" => Misbehaviour::Truncate,
        _ => bail!("no fault is called {word}"),
    };
    Ok((kind, share.parse()?))
}

fn latency(text: &str) -> Result<Latency> {
    let (median, p95) = text.split_once(':').context("expected MEDIAN:P95")?;
    Ok(Latency::log_normal(median.parse()?, p95.parse()?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let mut shop = Service::new("shop", args.seed)
        .latency(args.latency)
        .body(1_500)
        .large("/export", 48 * 1024 * 1024)
        // Longer than any run: nobody meets a closed connection by chance.
        .idle_close(Duration::from_mins(10));
    if let Some(limit) = args.rate_limit {
        shop = shop.rate_limit(limit, limit / 2.0);
    }
    for (kind, share) in args.fault {
        // What it counts as is the player's to say.
        shop = shop.fault(
            Fault::new(kind, Cause::Undetermined)
                .share(share)
                .under(&args.under),
        );
    }
    let shop = shop
        .start(&GroundTruth::new())
        .context("the shop could not start")?;
    let mut out = tokio::io::stdout();
    let line = format!("{{\"addr\":\"{}\"}}\n", shop.address());
    tokio::io::AsyncWriteExt::write_all(&mut out, line.as_bytes()).await?;
    tokio::io::AsyncWriteExt::flush(&mut out).await?;
    let mut nothing = Vec::new();
    tokio::io::stdin().read_to_end(&mut nothing).await?;
    Ok(())
}
