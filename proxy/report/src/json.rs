//! The report as JSON: `hopscope.report/1`, indented, keys in the order of the schema.

use super::model::Report;

/// The JSON text, ending in a newline.
///
/// # Errors
/// Only when serialising fails, which no report can bring about: every map has string keys and every float is finite.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests;
