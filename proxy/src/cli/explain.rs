//! `hopscope explain RESULT`.

use std::io;
use std::path::PathBuf;

use hopscope_attribution::catalogue;
use hopscope_attribution::cause::Cause;
use hopscope_explain::{Keep, READERS, Reading, Summary};
use hopscope_text::near;
use serde::Serialize;

use super::Exit;
use super::manner;
use super::output::{OutputError, to_stream};
use super::result::{ResultError, explain};

/// What the reading is called as JSON.
pub(super) const SCHEMA: &str = "hopscope.explain/1";

const EXAMPLES: &str = "\
A result is recognised by its content. Terminal colours, UTF-16, and what docker compose, kubectl logs, CI systems and mail
put before each line do not matter; several results in one file are read one by one.

Examples:
  hopscope explain summary.json
  k6 run script.js 2>&1 | tee k6.txt; hopscope explain k6.txt
  wrk -d10s --latency http://127.0.0.1:8080/ | hopscope explain -
  hopscope explain results.jtl --json
  hopscope explain --cause backend-refused";

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
        required_unless_present_any = ["file", "cause"],
        conflicts_with_all = ["file", "cause"]
    )]
    result: Option<PathBuf>,

    /// The same, as run and report call it
    #[arg(long = "result", value_name = "FILE", hide = true, conflicts_with = "cause")]
    file: Option<PathBuf>,

    /// Print what a cause means, what shows it and what to do, such as backend-refused
    #[arg(long, value_name = "WORD", conflicts_with = "json")]
    cause: Option<String>,

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
    if let Some(word) = &args.cause {
        let text = catalogue::explain(word).ok_or_else(|| ResultError::NoCause {
            word: word.clone(),
            nearest: nearest(word),
        })?;
        to_stream(io::stdout(), &text)?;
        return Ok(Exit::Ran);
    }
    let Some(path) = args.result.as_ref().or(args.file.as_ref()) else {
        return Ok(Exit::Usage);
    };
    let explained = explain(path, Keep::Counts)?;
    let text = match explained.chief() {
        Some((summary, reading)) if args.json => {
            let runs = explained.runs().iter();
            let runs: Vec<_> = runs.map(|(summary, reading)| Run { summary, reading }).collect();
            let document = Document {
                schema: SCHEMA,
                summary,
                reading,
                runs: if runs.len() > 1 { runs } else { Vec::new() },
            };
            serde_json::to_string_pretty(&document).map_err(OutputError::Json)? + "\n"
        }
        Some(_) | None => hopscope_explain::render(&explained, manner::stdout()),
    };
    to_stream(io::stdout(), &text)?;
    Ok(Exit::Ran)
}

/// The causes that a word which is none may be meant to be, or else those that share a part with it.
fn nearest(word: &str) -> String {
    let meant = near::nearest(word, Cause::ALL.iter().map(|cause| cause.word()));
    if !meant.is_empty() {
        return format!("did you mean {}?", meant.join(" or "));
    }
    let parts: Vec<&str> = word.split('-').filter(|part| part.len() > 3).collect();
    let alike: Vec<&str> = Cause::ALL
        .iter()
        .map(|cause| cause.word())
        .filter(|cause| cause.split('-').skip(1).any(|part| parts.contains(&part)))
        .take(4)
        .collect();
    if alike.is_empty() {
        "docs/causes.md lists all of them".to_owned()
    } else {
        format!("like it are {}", alike.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_word_that_is_no_cause_is_answered_with_those_that_are_meant() {
        assert_eq!(nearest("lb-refusd"), "did you mean lb-refused?");
        assert!(nearest("backend-refuse").starts_with("did you mean backend-refused"));
        assert_eq!(nearest("backend-timout"), "did you mean backend-timeout?");
        assert_eq!(nearest("pod-reset"), "like it are lb-reset, backend-reset");
        assert_eq!(nearest("x"), "docs/causes.md lists all of them");
        assert_eq!(nearest("backend"), "docs/causes.md lists all of them");
    }
}
