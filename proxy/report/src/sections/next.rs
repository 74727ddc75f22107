//! What is not known, and what to do.

use super::titled;
use crate::model::Report;
use crate::section::{Block, Question, Section, Step};

pub(super) fn unknowns(report: &Report) -> Section {
    let questions: Vec<Question> = report
        .unknowns
        .iter()
        .map(|of| Question {
            question: (&of.question).into(),
            experiment: (&of.experiment).into(),
        })
        .collect();
    let blocks = match questions.as_slice() {
        [] => Vec::new(),
        [..] => vec![Block::Questions(questions)],
    };
    titled("Not known, and the experiment that would tell", blocks)
}

pub(super) fn advice(report: &Report) -> Section {
    let steps: Vec<Step> = report
        .advice
        .iter()
        .map(|of| Step {
            action: (&of.action).into(),
            why: (&of.why).into(),
        })
        .collect();
    let blocks = match steps.as_slice() {
        [] => Vec::new(),
        [..] => vec![Block::Steps(steps)],
    };
    titled("Next", blocks)
}
