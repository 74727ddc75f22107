//! The JSON report, as far as scenarios ask it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::program::hopscope;

/// A report, and what was printed beside it.
#[derive(Debug)]
pub struct Report {
    text: String,
    value: Value,
    said: String,
}

/// What one cause is charged with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charged {
    /// Failures, victims included.
    pub failures: u64,
    /// Those of them that were victims.
    pub victims: u64,
}

impl Report {
    /// Reads `hopscope.report/1`.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn parse(text: &str, said: String) -> Result<Self> {
        let value: Value = serde_json::from_str(text).context("the report is not JSON")?;
        if value.pointer("/schema").and_then(Value::as_str) != Some("hopscope.report/1") {
            bail!("the report has another schema: {:?}", value.pointer("/schema"));
        }
        let text = text.to_owned();
        Ok(Self { text, value, said })
    }

    /// The report of a recording, by `hopscope report` with these words.
    ///
    /// # Errors
    /// With what was said, where there is none.
    pub fn again(recording: &Path, words: &[&str]) -> Result<Self> {
        let json = recording.with_extension("again.json");
        let output = Command::new(hopscope()?)
            .arg("report")
            .arg(recording)
            .arg("--json")
            .arg(&json)
            .args(words)
            .env_remove("HOPSCOPE_AGENT_TOKEN")
            .output()?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(output.status.success(), "{}: {said}", output.status);
        Self::parse(&std::fs::read_to_string(json)?, said)
    }

    /// The JSON, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Hop and cause of the verdict, such as `tunnel tunnel-lost`.
    pub fn verdict(&self) -> String {
        let word = |field: &str| {
            self.value
                .pointer(&format!("/verdict/{field}"))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        format!("{} {}", word("hop"), word("cause")).trim().to_owned()
    }

    /// A number by its JSON pointer; 0 where there is none.
    pub fn number(&self, pointer: &str) -> u64 {
        self.value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// Every cause that is charged with anything, and with how many failures.
    pub fn causes(&self) -> Vec<(String, u64)> {
        let hops = self.value.pointer("/hops").and_then(Value::as_array);
        let causes = hops
            .into_iter()
            .flatten()
            .filter_map(|hop| hop.get("causes")?.as_array())
            .flatten();
        causes
            .filter_map(|charge| {
                let cause = charge.get("cause")?.as_str()?.to_owned();
                Some((cause, charge.get("failures")?.as_u64()?))
            })
            .collect()
    }

    /// A time in seconds by its JSON pointer.
    pub fn seconds(&self, pointer: &str) -> Option<f64> {
        self.value.pointer(pointer)?.as_f64()
    }

    /// Whether the flag at this JSON pointer is set.
    pub fn flag(&self, pointer: &str) -> bool {
        self.value
            .pointer(pointer)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }

    /// A figure of a path, by the path's name; 0 where there is none.
    pub fn of_path(&self, path: &str, field: &str) -> u64 {
        let paths = self.value.pointer("/paths").and_then(Value::as_array);
        let path = paths
            .into_iter()
            .flatten()
            .find(|of| of.get("path").and_then(Value::as_str) == Some(path));
        path.and_then(|path| path.get(field)?.as_u64()).unwrap_or(0)
    }

    /// A field by its JSON pointer; null where there is none.
    pub fn field(&self, pointer: &str) -> Value {
        self.value.pointer(pointer).cloned().unwrap_or_default()
    }

    /// What a cause is charged with; nothing where the report does not name it.
    pub fn charged(&self, cause: &str) -> Charged {
        let hops = self
            .value
            .pointer("/hops")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let causes = hops.filter_map(|hop| hop.get("causes")?.as_array()).flatten();
        let mut charged = Charged::default();
        for charge in causes.filter(|charge| charge.get("cause").and_then(Value::as_str) == Some(cause)) {
            let of = |field: &str| charge.get(field).and_then(Value::as_u64).unwrap_or(0);
            charged.failures += of("failures");
            charged.victims += of("victims");
        }
        charged
    }

    /// What was printed beside it.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Whether the report says this anywhere.
    pub fn mentions(&self, text: &str) -> bool {
        self.value.to_string().contains(text)
    }

    /// Everything, for the message of a failure.
    pub fn shown(&self) -> String {
        let pick = |field: &str| self.value.get(field).cloned().unwrap_or_default();
        format!(
            "verdict {:#}\nhops {:#}\nunknowns {:#}\nit said:\n{}",
            pick("verdict"),
            pick("hops"),
            pick("unknowns"),
            self.said
        )
    }
}
