//! How each block looks on the page.

use maud::{Markup, html};

use super::lanes::hop_class;
use crate::section::{Block, Charge, ChargedCause, Column, Findings, Measure, Section, Table, Value};
use hopscope_text::figures::{confidence, counted, grouped, percent};

pub(super) fn section(section: &Section) -> Markup {
    html! {
        section {
            h2 { (section.title) }
            @for block in &section.blocks { (self::block(block)) }
        }
    }
}

fn block(block: &Block) -> Markup {
    match block {
        Block::Line(text) => html! { p { (text) } },
        Block::Warning(text) => html! { p.warning { (text) } },
        // They stand above the sections.
        Block::Note(_) => html! {},
        Block::Sum(sum) => html! {
            p.sum {
                (sum.equation())
                @if let Some(balance) = sum.balance() {
                    ": " b.(if sum.balanced == Some(false) { "bad" } else { "good" }) { (balance) }
                }
            }
        },
        Block::Table(of) => table(of),
        Block::Charges(charges) => html! { @for of in charges { (charge(of)) } },
        Block::Questions(questions) => html! {
            dl.unknowns {
                @for of in questions { dt { (of.question) } dd { code { (of.experiment) } } }
            }
        },
        Block::Steps(steps) => html! {
            ol { @for step in steps { li { b { (step.action) } " " (step.why) } } }
        },
    }
}

fn table(table: &Table) -> Markup {
    let shown: Vec<(usize, &Column)> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(at, _)| table.is_said(*at))
        .collect();
    let class = |column: &Column| column.measure.unit().is_figure().then_some("n");
    html! {
        div.wide tabindex="0" {
            table {
                thead { tr { @for (_, column) in &shown { th scope="col" class=[class(column)] { (column.measure.name()) } } } }
                tbody {
                    @for row in &table.rows {
                        tr { @for (at, column) in &shown { td class=[class(column)] { (cell(row.get(*at), column.measure)) } } }
                    }
                }
            }
        }
    }
}

fn cell(value: Option<&Value>, measure: Measure) -> Markup {
    let is_part = measure == Measure::Share;
    match value {
        None => html! {},
        Some(Value::Name(name)) => html! { code { (name) } },
        Some(value @ Value::Share(Some(share))) if is_part => html! {
            span.meter.bad { span style={ "width:" (format!("{:.1}", share * 100.0)) "%" } {} } " " (value.text())
        },
        Some(value) => html! { (value.text()) },
    }
}

fn charge(charge: &Charge) -> Markup {
    html! {
        h3 {
            span.chip.(hop_class(charge.hop)) { (charge.hop.word()) } " "
            small { (charge.failed) " · " (percent(charge.share)) }
        }
        @for of in &charge.causes { (cause(of)) }
    }
}

fn cause(cause: &ChargedCause) -> Markup {
    html! {
        article.cause {
            header {
                b { (cause.cause.word()) @if let Some(hops) = &cause.open { " (" (hops) ")" } }
                span {
                    (cause.failed)
                    @if cause.victims > 0 { ", " (grouped(cause.victims)) " of them victims" }
                }
                span.meter { span style={ "width:" (format!("{:.0}", cause.confidence * 100.0)) "%" } {} }
                span { "confidence " (confidence(cause.confidence)) }
            }
            div.sides {
                (side("for", "For", &cause.speaks_for))
                (side("against", "Against, or missing", &cause.speaks_against))
            }
        }
    }
}

fn side(class: &str, title: &str, findings: &Findings) -> Markup {
    html! {
        div.(class) {
            h4 { (title) }
            @if findings.new.is_empty() && findings.repeated == 0 {
                p { "Nothing was found." }
            } @else {
                ul {
                    @for (statement, rule) in &findings.new { li { (statement) " " code { (rule) } } }
                    @if findings.repeated > 0 { li { (counted(findings.repeated, "finding")) " from above" } }
                }
            }
        }
    }
}
