//! A frame as text: a table for a terminal, one line for a log. Pure.

use std::fmt::Write;

use hopscope_attribution::evidence::Span;

use super::frame::{LiveFrame, PathFrame};
use hopscope_text::figures::{bytes, counted, grouped, length, percent, ratio};

/// Below this width only the columns that tell most are shown. All of them fit a terminal of 80 columns, whose last one
/// stays free.
const NARROW: usize = 79;
/// Longest name of a path that is shown in full.
const NAME: usize = 13;
/// Causes that are shown.
const CAUSES: usize = 3;
/// Heights of the little bars, lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a piece of text looks where colour may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
}

/// One line, cut to the screen's width before it is painted.
#[derive(Debug, Default)]
struct Row {
    pieces: Vec<(Look, String)>,
}

impl Row {
    fn put(mut self, look: Look, text: impl Into<String>) -> Self {
        self.pieces.push((look, text.into()));
        self
    }

    fn painted(&self, width: usize, colour: bool) -> String {
        // Half a number is another number: what is cut says so.
        let letters = |text: &str| text.chars().filter(|letter| !letter.is_control()).count();
        let whole: usize = self.pieces.iter().map(|(_, text)| letters(text)).sum();
        let is_cut = whole > width;
        let mut left = if is_cut { width.saturating_sub(1) } else { width };
        let mut out = String::new();
        for (look, text) in &self.pieces {
            let cut: String = text
                .chars()
                .filter(|letter| !letter.is_control())
                .take(left)
                .collect();
            left -= cut.chars().count();
            let code = match look {
                Look::Strong => "1",
                Look::Faint => "2",
                Look::Good => "32",
                Look::Bad => "1;31",
                Look::Plain => "",
            };
            if colour && !code.is_empty() && !cut.trim().is_empty() {
                out.push_str("\x1b[");
                out.push_str(code);
                out.push('m');
                out.push_str(&cut);
                out.push_str("\x1b[0m");
            } else {
                out.push_str(&cut);
            }
        }
        if is_cut && width > 0 {
            out.push('…');
        }
        out.trim_end().to_owned()
    }
}

/// The table, every line at most `width` wide, each ended by a newline.
pub fn render(frame: &LiveFrame, width: usize, colour: bool) -> String {
    let narrow = width < NARROW;
    let mut rows = vec![summary(frame, narrow), heading(narrow)];
    rows.extend(frame.paths.iter().map(|path| path_row(path, narrow)));
    rows.extend(causes(frame));
    rows.extend(not_read(frame));
    rows.push(recording(frame));
    rows.iter().fold(String::new(), |mut table, row| {
        table.push_str(&row.painted(width, colour));
        table.push('\n');
        table
    })
}

fn summary(frame: &LiveFrame, narrow: bool) -> Row {
    let total = frame.total();
    let row = Row::default()
        .put(Look::Strong, "hopscope ")
        .put(Look::Plain, format!(" {}", clock(frame.elapsed)))
        .put(Look::Strong, format!("   {} req/s", grouped(total.rate)));
    let row = if narrow {
        row
    } else {
        row.put(Look::Faint, format!(" {}", bars(&frame.rates)))
    };
    let row = row.put(Look::Plain, format!("   {} open", grouped(total.open)));
    if total.requests == 0 && total.connections > 0 {
        // Nothing was read as HTTP: connections are all there is to count.
        return row.put(
            Look::Plain,
            format!("   {}", counted(total.connections, "connection")),
        );
    }
    failed_share(row, &total, "   ", " failed")
}

/// Dim where nothing failed, loud where something did.
fn failed_share(row: Row, path: &PathFrame, before: &str, after: &str) -> Row {
    let look = match (path.failed, path.not_read) {
        (0, 0) => Look::Good,
        // What was read did not fail; that is not all.
        (0, _) => Look::Plain,
        (_, _) => Look::Bad,
    };
    match ratio(path.failed, path.requests) {
        Some(share) => row.put(look, format!("{before}{}{after}", percent(share))),
        None => row.put(Look::Faint, format!("{before}–{after}")),
    }
}

fn heading(narrow: bool) -> Row {
    let text = if narrow {
        format!("  {:<NAME$}{:>9}{:>9}{:>10}", "path", "req/s", "failed", "p99")
    } else {
        format!(
            "  {:<NAME$}{:>8}{:>7}{:>12}{:>10}{:>9}{:>9}{:>9}",
            "path", "req/s", "open", "requests", "failed", "", "p50", "p99"
        )
    };
    Row::default().put(Look::Faint, text)
}

fn path_row(path: &PathFrame, narrow: bool) -> Row {
    let row = Row::default().put(
        Look::Plain,
        format!(
            "  {:<NAME$}{:>rate$}",
            name(&path.name),
            grouped(path.rate),
            rate = if narrow { 9 } else { 8 }
        ),
    );
    let look = if path.failed > 0 { Look::Bad } else { Look::Plain };
    let share = ratio(path.failed, path.requests).map_or_else(|| "–".to_owned(), percent);
    if narrow {
        let p99 = format!("{:>10}", time(path.p99));
        return row.put(look, format!("{share:>9}")).put(Look::Plain, p99);
    }
    row.put(
        Look::Plain,
        format!("{:>7}{:>12}", grouped(path.open), grouped(path.requests)),
    )
    .put(look, format!("{:>10}{share:>9}", grouped(path.failed)))
    .put(Look::Plain, format!("{:>9}{:>9}", time(path.p50), time(path.p99)))
}

fn causes(frame: &LiveFrame) -> Option<Row> {
    let mut row = Row::default().put(Look::Faint, "  so far  ");
    if frame.causes.is_empty() {
        return None;
    }
    for (number, (cause, count)) in frame.causes.iter().take(CAUSES).enumerate() {
        row = row
            .put(Look::Faint, if number == 0 { "" } else { "  ·  " })
            .put(Look::Bad, cause.word())
            .put(Look::Plain, format!(" {}", grouped(*count)));
    }
    let more = frame.causes.len().saturating_sub(CAUSES);
    Some(if more > 0 {
        row.put(Look::Faint, format!("  ·  {more} more"))
    } else {
        row
    })
}

/// What the figures above do not tell of.
fn not_read(frame: &LiveFrame) -> Option<Row> {
    let paths = frame.paths.iter().filter(|path| path.not_read > 0);
    let told: Vec<String> = paths
        .map(|path| format!("{} on {}", counted(path.not_read, "connection"), name(&path.name)))
        .collect();
    (!told.is_empty()).then(|| {
        Row::default()
            .put(Look::Strong, "  not read  ")
            .put(Look::Plain, told.join("  ·  "))
    })
}

fn recording(frame: &LiveFrame) -> Row {
    let row = Row::default().put(Look::Faint, format!("  recording {}", bytes(frame.bytes)));
    let row = match frame.lost {
        0 => row,
        lost => row.put(Look::Bad, format!("   {} records lost", grouped(lost))),
    };
    match &frame.write_error {
        Some(error) => row.put(Look::Bad, format!("   {error}")),
        None => row,
    }
}

/// One line for a log, without a newline.
pub fn line(frame: &LiveFrame) -> String {
    let total = frame.total();
    let mut out = format!(
        "hopscope: {}, {} req/s, {} open, {} requests",
        length(frame.elapsed.as_secs_f64()),
        grouped(total.rate),
        grouped(total.open),
        grouped(total.requests)
    );
    let mut put = |text: String| out.push_str(&text);
    if let Some(share) = ratio(total.failed, total.requests) {
        put(format!(", {} failed", percent(share)));
    }
    for path in &frame.paths {
        let share = ratio(path.failed, path.requests).map_or_else(
            || "no requests".to_owned(),
            |share| {
                format!(
                    "{} failed, p50 {}, p99 {}",
                    percent(share),
                    time(path.p50),
                    time(path.p99)
                )
            },
        );
        put(format!("; {}: {share}", path.name.replace(char::is_control, "")));
        if path.not_read > 0 {
            put(format!(", {} not read", counted(path.not_read, "connection")));
        }
    }
    if let Some((cause, count)) = frame.causes.first() {
        put(format!("; mostly {cause} ({})", grouped(*count)));
    }
    if frame.lost > 0 {
        put(format!("; {} records lost", grouped(frame.lost)));
    }
    if let Some(error) = &frame.write_error {
        put(format!("; the recording: {}", error.replace('\n', " ")));
    }
    out
}

/// `2:14`, `1:02:14`: its width does not jump.
fn clock(elapsed: Span) -> String {
    let seconds = elapsed.as_micros() / 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

fn time(span: Option<Span>) -> String {
    span.map_or_else(|| "–".to_owned(), |span| span.to_string())
}

fn name(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(NAME - 1).collect();
    short.push('…');
    short
}

/// Rates as little bars, the highest the tallest.
fn bars(rates: &[u64]) -> String {
    let highest = rates.iter().copied().max().unwrap_or(0).max(1);
    let top = BARS.len() as u64 - 1;
    rates.iter().fold(String::new(), |mut bars, rate| {
        let height = usize::try_from(rate.saturating_mul(top).div_ceil(highest)).unwrap_or(0);
        let bar = BARS.get(height).copied().unwrap_or('█');
        match bars.write_char(bar) {
            Ok(()) | Err(_) => bars,
        }
    })
}
