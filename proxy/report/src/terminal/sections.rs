//! How each block looks on a terminal.

use super::{add, put};
use crate::section::{Block, Charge, ChargedCause, Findings, Section, Sum, Table, Unit, Value};
use hopscope_text::figures::{confidence, counted, grouped, percent};
use hopscope_text::paint::{Ink, Screen};
use hopscope_text::table::{self, Cell, Column};

pub(super) fn write(out: &mut String, section: &Section, screen: Screen) {
    put(out, "");
    put(out, &screen.paint(Ink::Heading, section.title.as_str()));
    for block in &section.blocks {
        self::block(out, block, screen);
    }
}

fn block(out: &mut String, block: &Block, screen: Screen) {
    match block {
        Block::Line(text) => screen.hang(out, "  ", Ink::Plain, text.as_str()),
        Block::Warning(text) | Block::Note(text) => screen.hang(out, "  ! ", Ink::Doubt, text.as_str()),
        Block::Sum(sum) => self::sum(out, sum, screen),
        Block::Table(table) => out.push_str(&self::table(table).render(screen)),
        Block::Charges(charges) => charges.iter().for_each(|of| charge(out, of, screen)),
        Block::Questions(questions) => {
            for of in questions {
                screen.hang(out, "  ? ", Ink::Doubt, of.question.as_str());
                screen.hang(out, "    > ", Ink::Faint, of.experiment.as_str());
            }
        }
        Block::Steps(steps) => {
            for (at, step) in steps.iter().enumerate() {
                screen.hang(out, &format!("  {}. ", at + 1), Ink::Strong, step.action.as_str());
                screen.hang(out, "     ", Ink::Plain, step.why.as_str());
            }
        }
    }
}

fn sum(out: &mut String, sum: &Sum, screen: Screen) {
    let ink = if sum.balanced == Some(false) {
        Ink::Bad
    } else {
        Ink::Good
    };
    add(out, format_args!("  {}", sum.equation()));
    if let Some(balance) = sum.balance() {
        add(out, format_args!(": {}", screen.paint(ink, balance)));
    }
    out.push('\n');
}

fn table(table: &Table) -> table::Table {
    let columns: Vec<Column> = table
        .columns
        .iter()
        .map(|column| {
            let laid_out = match column.measure.unit() {
                Unit::Words => Column::text(column.measure.name()),
                Unit::Count | Unit::Share | Unit::Seconds | Unit::Mixed => {
                    Column::figures(column.measure.name())
                }
            };
            let laid_out = if column.shrinks {
                laid_out.shrinking()
            } else {
                laid_out
            };
            laid_out.giving_way(column.gives_way)
        })
        .collect();
    let mut laid_out = table::Table::new(columns);
    for row in &table.rows {
        laid_out.row(row.iter().map(cell).collect::<Vec<_>>());
    }
    laid_out
}

fn cell(value: &Value) -> Cell {
    let ink = match value {
        Value::Failed(0) => Ink::Good,
        Value::Failed(_) => Ink::Bad,
        Value::Empty
        | Value::Words(_)
        | Value::Name(_)
        | Value::Count(_)
        | Value::Share(_)
        | Value::Seconds(_) => Ink::Plain,
    };
    Cell::inked(ink, value.text())
}

fn charge(out: &mut String, charge: &Charge, screen: Screen) {
    add(
        out,
        format_args!(
            "  {}  {} · {}\n",
            screen.paint(Ink::Strong, charge.hop.word()),
            charge.failed.as_str(),
            percent(charge.share)
        ),
    );
    for of in &charge.causes {
        cause(out, of, screen);
    }
}

fn cause(out: &mut String, cause: &ChargedCause, screen: Screen) {
    let victims = match cause.victims {
        0 => String::new(),
        victims => format!(", {} of them victims", grouped(victims)),
    };
    let open = cause
        .open
        .as_ref()
        .map_or_else(String::new, |hops| format!(" ({})", hops.as_str()));
    add(
        out,
        format_args!(
            "    {}{open}  {}{victims} · confidence {}\n",
            screen.paint(Ink::Strong, cause.cause.word()),
            cause.failed.as_str(),
            confidence(cause.confidence),
        ),
    );
    findings(out, "      + ", Ink::Good, &cause.speaks_for, screen);
    findings(out, "      - ", Ink::Doubt, &cause.speaks_against, screen);
}

fn findings(out: &mut String, sign: &str, ink: Ink, findings: &Findings, screen: Screen) {
    for (statement, rule) in &findings.new {
        let text = format!("{} [{}]", statement.as_str(), rule.as_str());
        screen.hang(out, sign, ink, &text);
    }
    if findings.repeated > 0 {
        let text = format!("{} from above", counted(findings.repeated, "finding"));
        screen.hang(out, sign, ink, &text);
    }
}
