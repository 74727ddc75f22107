//! `hopscope version`: which build this is, and what its documents are called.

use std::io;

use hopscope_text::figures::rfc3339;
use serde::Serialize;

use super::Exit;
use super::output::{OutputError, to_stream};

/// The commit that was built, where whoever built it said so (`cargo xtask` does). A build asks no git, so that the same
/// sources give the same bytes with and without a repository around them.
const COMMIT: Option<&str> = option_env!("HOPSCOPE_COMMIT");
/// When the sources were last changed, in seconds since 1970 (<https://reproducible-builds.org/specs/source-date-epoch/>).
const SOURCE_DATE: Option<&str> = option_env!("SOURCE_DATE_EPOCH");

/// What this build can do that a script may want to know before it relies on it.
const FEATURES: [&str; 9] = [
    "probes",
    "http1",
    "http2",
    "grpc",
    "websocket",
    "tls",
    "kubectl",
    "metrics",
    "agent",
];

const EXAMPLES: &str = "\
Examples:
  hopscope version
  hopscope version --json | jq -r .commit";

/// Which build this is: version, commit, date, features
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

/// One build.
#[derive(Debug, Serialize)]
struct Build {
    schema: &'static str,
    version: &'static str,
    /// `null` where the build was not told.
    commit: Option<&'static str>,
    /// The day of the sources, `null` where the build was not told.
    date: Option<String>,
    features: &'static [&'static str],
    /// The machine that it is for.
    platform: String,
    /// The documents that it writes.
    documents: Documents,
}

#[derive(Debug, Serialize)]
struct Documents {
    report: &'static str,
    explain: &'static str,
    doctor: &'static str,
}

impl Build {
    fn this() -> Self {
        Self {
            schema: "hopscope.version/1",
            version: env!("CARGO_PKG_VERSION"),
            commit: COMMIT.filter(|commit| !commit.is_empty()),
            date: SOURCE_DATE.and_then(day),
            features: &FEATURES,
            platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            documents: Documents {
                report: hopscope_report::model::SCHEMA,
                explain: super::explain::SCHEMA,
                doctor: crate::doctor::SCHEMA,
            },
        }
    }

    fn text(&self) -> String {
        let known = [self.commit, self.date.as_deref()];
        let known: Vec<&str> = known.into_iter().flatten().collect();
        let known = if known.is_empty() {
            String::new()
        } else {
            format!(" ({})", known.join(", "))
        };
        format!(
            "hopscope {}{known}\n{}: {}\n",
            self.version,
            self.platform,
            self.features.join(", ")
        )
    }
}

/// `2026-01-31` of seconds since 1970.
fn day(seconds: &str) -> Option<String> {
    let micros = seconds.trim().parse::<u64>().ok()?.checked_mul(1_000_000)?;
    Some(rfc3339(micros).chars().take("2026-01-31".len()).collect())
}

/// Prints it.
///
/// # Errors
/// When standard output is gone.
pub(super) fn execute(args: Args) -> Result<Exit, OutputError> {
    let build = Build::this();
    let text = if args.json {
        serde_json::to_string_pretty(&build).map_err(OutputError::Json)? + "\n"
    } else {
        build.text()
    };
    to_stream(io::stdout(), &text)?;
    Ok(Exit::Ran)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_was_told_nothing_says_so() {
        let build = Build {
            commit: None,
            date: None,
            ..Build::this()
        };
        let json = serde_json::to_value(&build).unwrap();
        assert!(json["commit"].is_null() && json["date"].is_null());
        assert_eq!(json["schema"], "hopscope.version/1");
        assert!(
            build
                .text()
                .starts_with(concat!("hopscope ", env!("CARGO_PKG_VERSION"), "\n"))
        );
    }

    #[test]
    fn the_date_is_the_day_of_the_sources() {
        assert_eq!(day("1700000000").as_deref(), Some("2023-11-14"));
        assert_eq!(day("yesterday"), None);
        assert_eq!(day("99999999999999999999"), None);
    }
}
