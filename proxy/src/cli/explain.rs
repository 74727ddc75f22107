//! `hopscope explain RESULT`.

use std::io;
use std::path::PathBuf;

use hopscope_explain::{Keep, READERS, Reading, Summary};
use hopscope_text::paint::Screen;
use serde::Serialize;

use super::Exit;
use super::output::{OutputError, to_stream};
use super::result::{ResultError, explain};

const EXAMPLES: &str = "\
A result is recognised by its content. Terminal colours, UTF-16, and what docker compose, kubectl logs, CI systems and mail
put before each line do not matter; several results in one file are read one by one.

Examples:
  hopscope explain summary.json
  k6 run script.js 2>&1 | tee k6.txt; hopscope explain k6.txt
  wrk -d10s --latency http://127.0.0.1:8080/ | hopscope explain -
  hopscope explain results.jtl --json";

/// What a load generator's result alone can and cannot say about whose fault the failures were
///
/// No proxy was there when it was made, so nothing is attributed: explain says what follows from the figures, under
/// which assumption, what does not follow, and the one test that would settle it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = forms())]
pub struct Args {
    /// The result file; `-` is standard input
    #[arg(
        value_name = "RESULT",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    result: Option<PathBuf>,

    /// The same, as run and report call it
    #[arg(long = "result", value_name = "FILE", hide = true)]
    file: Option<PathBuf>,

    /// Print the reading as JSON
    #[arg(long)]
    json: bool,
}

/// What is read, from the table of readers.
fn forms() -> String {
    let mut text = "It reads:\n".to_owned();
    let mut tools: Vec<_> = Vec::new();
    for reader in READERS {
        if !tools.contains(&reader.tool) {
            tools.push(reader.tool);
        }
    }
    tools.sort_by_key(|tool| tool.word().to_ascii_lowercase());
    for tool in tools {
        let forms: Vec<String> = READERS
            .iter()
            .filter(|reader| reader.tool == tool)
            .map(|reader| reader.form.replace('`', ""))
            .collect();
        let line = format!("  {:<11} {}\n", tool.word(), forms.join("; "));
        text.push_str(&line);
    }
    text.push('\n');
    text.push_str(EXAMPLES);
    text
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    summary: &'a Summary,
    reading: &'a Reading,
    /// Every result of the input, where it holds several; `summary` is the one with most failures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<Run<'a>>,
}

#[derive(Serialize)]
struct Run<'a> {
    summary: &'a Summary,
    reading: &'a Reading,
}

/// Reads the result and says what it says.
///
/// # Errors
/// When the result cannot be read or is none that is known, or standard output is gone.
pub fn execute(args: &Args) -> Result<Exit, ResultError> {
    let Some(path) = args.result.as_ref().or(args.file.as_ref()) else {
        return Ok(Exit::Usage);
    };
    let explained = explain(path, Keep::Counts)?;
    let text = match explained.chief() {
        Some((summary, reading)) if args.json => {
            let runs = explained.runs().iter();
            let runs: Vec<_> = runs.map(|(summary, reading)| Run { summary, reading }).collect();
            let document = Document {
                schema: "hopscope.explain/1",
                summary,
                reading,
                runs: if runs.len() > 1 { runs } else { Vec::new() },
            };
            serde_json::to_string_pretty(&document).map_err(OutputError::Json)? + "\n"
        }
        Some(_) | None => hopscope_explain::render(&explained, Screen::of_stdout()),
    };
    to_stream(io::stdout(), &text)?;
    Ok(Exit::Ran)
}
