//! Build, check, measure: `cargo xtask NAME`.

mod bench;
mod churn;
mod deploy;
mod ebpf;
mod endurance;
mod fuzz;
mod image;
mod kernels;
mod scenarios;
mod scorecard;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Build, check, measure")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Play the scenarios against the real binary: as root, with the real parts installed.
    Scenarios {
        /// Passed on to the test program: parts of scenario names.
        filter: Vec<String>,
    },
    /// Hold verdicts against injected truth: every lab scenario through the real binary. Writes docs/accuracy.md.
    Scorecard(scorecard::Args),
    /// Measure the proxy beside others, or check the tables made from that.
    Bench(bench::Args),
    /// Run at full rate for a long time: memory stays flat, the recording small, and nothing is unaccounted for.
    Endurance(endurance::Args),
    /// Feed the readers of foreign bytes with what libFuzzer invents, for a bounded time.
    Fuzz(fuzz::Args),
    /// Check the rules that neither the compiler nor clippy holds.
    Tidy,
    /// Render the manifests and hold them against the schemas, the image and the agent.
    Deploy,
    /// Build the probes into ebpf/probes.bpf.o, or check that the committed object is what the sources give.
    Ebpf(ebpf::Args),
    /// Make the root file system of the agent's image: one static binary.
    Image(image::Args),
    /// Measure what the probes cost the kernel, per connection.
    Churn(churn::Args),
    /// Boot other kernels under qemu, and compare what the agent tells there.
    Kernels(kernels::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Scenarios { filter } => scenarios::play(&workspace::root()?, &filter),
        Task::Scorecard(args) => scorecard::execute(&args),
        Task::Bench(args) => bench::execute(&args),
        Task::Endurance(args) => endurance::execute(&args),
        Task::Fuzz(args) => fuzz::execute(&args),
        Task::Tidy => tidy::check(&workspace::root()?),
        Task::Deploy => deploy::check(&workspace::root()?),
        Task::Ebpf(args) => ebpf::execute(&args),
        Task::Image(args) => image::execute(&args),
        Task::Churn(args) => churn::execute(&args),
        Task::Kernels(args) => kernels::execute(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn every_task_can_be_typed() {
        Cli::command().debug_assert();
    }
}
