//! The report as Markdown, to paste into a ticket or a pull request (GitHub's dialect, which GitLab and Gitea read too).

use super::front::{Fact, Front};
use super::model::Report;
use super::section::{Block, Charge, Section, Table, Words};
use super::sections;
use hopscope_text::figures::{confidence, counted, grouped, percent};

/// Routes with a row of their own, at most; the JSON has them all.
const MOST_ROUTES: usize = 25;

/// The whole report, each line ended.
pub fn render(report: &Report) -> String {
    let mut page = Page::default();
    front(&mut page, report);
    for section in sections::of(report, MOST_ROUTES) {
        self::section(&mut page, &section);
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn row(&mut self, cells: &[String]) {
        self.line(&format!("| {} |", cells.join(" | ")));
    }

    /// An empty line, unless there is one: a table or a list must not run into what stands above it.
    fn gap(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.line("");
        }
    }
}

fn front(page: &mut Page, report: &Report) {
    let front = Front::of(report);
    let title = match front.cause {
        Some(cause) => format!("{}: {cause}", front.who),
        None => front.who.clone(),
    };
    page.line(&format!("## hopscope: {title}"));
    page.gap();
    page.line(&format!("**{}**", escaped(&front.headline)));
    page.gap();
    let sure = front
        .confidence
        .map(|sure| format!("confidence {}", confidence(sure)));
    let share = front
        .share
        .map(|share| format!("{} of all failures", percent(share)));
    let facts = front
        .facts
        .iter()
        .map(|fact| escaped(&Words::from(Fact::line(fact))));
    let all: Vec<String> = facts.chain(share).chain(sure).collect();
    page.line(&format!("{}.", all.join(" · ")));
    for note in &report.run.notes {
        page.gap();
        page.line(&format!("> {}", escaped(&Words::from(note))));
    }
}

fn section(page: &mut Page, section: &Section) {
    page.gap();
    page.line(&format!("### {}", escaped(&section.title)));
    page.gap();
    for block in &section.blocks {
        self::block(page, block);
    }
}

fn block(page: &mut Page, block: &Block) {
    match block {
        Block::Line(text) => page.line(&format!("- {}", escaped(text))),
        Block::Warning(text) => page.line(&format!("- **!** {}", escaped(text))),
        // They stand above the sections.
        Block::Note(_) => {}
        Block::Sum(sum) => {
            let balance = sum.balance().map_or_else(String::new, |said| format!(": {said}"));
            page.line(&format!("- {}{balance}", sum.equation()));
        }
        Block::Table(of) => table(page, of),
        Block::Charges(charges) => self::charges(page, charges),
        Block::Questions(questions) => {
            for of in questions {
                page.line(&format!("- {}", escaped(&of.question)));
                page.line(&format!("  Would tell: {}", escaped(&of.experiment)));
            }
        }
        Block::Steps(steps) => {
            for (at, step) in steps.iter().enumerate() {
                let (action, why) = (escaped(&step.action), escaped(&step.why));
                page.line(&format!("{}. **{action}** {why}", at + 1));
            }
        }
    }
}

fn table(page: &mut Page, table: &Table) {
    page.gap();
    let shown: Vec<usize> = (0..table.columns.len()).filter(|at| table.is_said(*at)).collect();
    let heads = |of: fn(&super::section::Column) -> &'static str| -> Vec<String> {
        let columns = shown.iter().filter_map(|at| table.columns.get(*at));
        columns.map(|column| of(column).to_owned()).collect()
    };
    page.row(&heads(|column| column.measure.name()));
    page.row(&heads(|column| {
        if column.measure.unit().is_figure() {
            "---:"
        } else {
            "---"
        }
    }));
    for row in &table.rows {
        let cells: Vec<String> = shown
            .iter()
            .map(|at| {
                row.get(*at)
                    .map_or_else(String::new, |value| escaped(&Words::from(value.text())))
            })
            .collect();
        page.row(&cells);
    }
    page.line("");
}

fn charges(page: &mut Page, charges: &[Charge]) {
    for charge in charges {
        page.gap();
        page.line(&format!(
            "**{}**: {} · {}",
            charge.hop,
            charge.failed.as_str(),
            percent(charge.share)
        ));
        page.gap();
        for cause in &charge.causes {
            let open = cause
                .open
                .as_ref()
                .map_or_else(String::new, |hops| format!(" ({})", hops.as_str()));
            let victims = match cause.victims {
                0 => String::new(),
                victims => format!(", {} of them victims", grouped(victims)),
            };
            page.line(&format!(
                "- **{}**{open}: {}{victims} · confidence {}",
                cause.cause,
                cause.failed.as_str(),
                confidence(cause.confidence)
            ));
            for (side, findings) in [("for", &cause.speaks_for), ("against", &cause.speaks_against)] {
                for (statement, rule) in &findings.new {
                    page.line(&format!(
                        "  - {side}: {} (`{}`)",
                        escaped(statement),
                        rule.as_str()
                    ));
                }
                if findings.repeated > 0 {
                    let repeated = counted(findings.repeated, "finding");
                    page.line(&format!("  - {side}: {repeated} from above"));
                }
            }
        }
    }
}

/// The words as they are, in Markdown: nothing in them is markup, a link, a mention or a new cell.
fn escaped(words: &Words) -> String {
    let mut out = String::with_capacity(words.as_str().len());
    for c in words.as_str().chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_becomes_markup() {
        assert_eq!(
            escaped(&Words::from("/a|b<img src=x>`c`[d](e) @team *x*\n#1")),
            "/a\\|b&lt;img src=x&gt;\\`c\\`\\[d\\](e) &#64;team \\*x\\*\u{fffd}\\#1"
        );
    }
}
