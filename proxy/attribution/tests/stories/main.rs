//! Every file in `cases/` is a story: evidence in brief, whose fault it truly was, and what the core says of it.
//!
//! Above the line `---` stands what happened, in the words that `tell.rs` explains; `truth` is written by hand and must
//! hold. Below it stands what the core said; `UPDATE_EXPECT=1 cargo test -p hopscope-attribution` rewrites that part.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::map_err_ignore,
    clippy::disallowed_methods,
    reason = "a story that cannot be told is a failed test"
)]

mod constants;
mod tell;
mod words;

use std::fmt::Write as _;
use std::path::PathBuf;

use hopscope_attribution::attribute;
use hopscope_attribution::between::Between;
use hopscope_attribution::evidence::Evidence;
use hopscope_attribution::hop::Hop;
use hopscope_attribution::verdict::Diagnosis;

fn cases() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("cases/ is there")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_story_is_judged_as_it_says() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = String::new();
    for file in cases() {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).expect("a readable story");
        let (story, expected) = text.split_once("\n---\n").unwrap_or((&text, ""));
        let told = tell::tell(story).unwrap_or_else(|error| panic!("{name}: {error}"));
        let diagnosis = attribute(&told.evidence);
        let said = render(&told.evidence, &diagnosis);
        if let Err(lie) = told.truth.holds(&diagnosis) {
            writeln!(wrong, "{name}: {lie}\n{said}").unwrap();
        }
        if update {
            std::fs::write(&file, format!("{}\n---\n{said}", story.trim_end())).expect("a writable story");
        } else if said != expected {
            writeln!(
                wrong,
                "{name}: what it said has changed\n--- expected\n{expected}\n--- said\n{said}"
            )
            .unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn there_are_at_least_forty_stories() {
    assert!(cases().len() >= 40, "{} stories", cases().len());
}

/// What the core said, in as few lines as show its reasons.
fn render(evidence: &Evidence, diagnosis: &Diagnosis) -> String {
    let mut out = String::new();
    let verdict = &diagnosis.verdict;
    let charged = verdict
        .charged
        .map_or("none".to_owned(), |(hop, cause)| format!("{hop} {cause}"));
    writeln!(
        out,
        "verdict {charged}{}, {}, share {:.3}",
        between(verdict.between),
        band(verdict.confidence.get()),
        verdict.share
    )
    .unwrap();
    writeln!(out, "headline {}", verdict.headline).unwrap();
    for charge in &diagnosis.charges {
        let path = charge.path.map_or("-", |path| {
            let path = evidence.paths.get(usize::from(path.0));
            path.map_or("?", |path| path.name.as_str())
        });
        writeln!(
            out,
            "charge {path} {}{} {} victims {}",
            charge.cause,
            between(charge.between),
            charge.failures,
            charge.victims
        )
        .unwrap();
    }
    for cause in diagnosis.hops.iter().flat_map(|hop| &hop.causes) {
        writeln!(
            out,
            "cause {}{} {}",
            cause.cause,
            between(cause.between),
            band(cause.confidence.get())
        )
        .unwrap();
        for finding in &cause.evidence_for {
            writeln!(out, "  for {}: {}", finding.rule, finding.statement).unwrap();
        }
        for finding in &cause.evidence_against {
            writeln!(out, "  against {}: {}", finding.rule, finding.statement).unwrap();
        }
    }
    for finding in &diagnosis.contrasts {
        writeln!(out, "contrast {}: {}", finding.rule, finding.statement).unwrap();
    }
    for unknown in &diagnosis.unknowns {
        writeln!(out, "unknown {} -> {}", unknown.question, unknown.experiment).unwrap();
    }
    for advice in &diagnosis.advice {
        writeln!(out, "advice {} ({})", advice.action, advice.why).unwrap();
    }
    for reason in &diagnosis.observer.reasons {
        writeln!(out, "observer {reason}").unwrap();
    }
    out
}

/// ` between lb+backend`, where an open charge is narrowed down.
fn between(between: Between) -> String {
    let hops: Vec<&str> = between.hops().iter().map(|hop| hop.word()).collect();
    if hops.is_empty() {
        String::new()
    } else {
        format!(" between {}", hops.join("+"))
    }
}

/// A confidence as a band: the exact figure may be tuned without changing what it means.
fn band(confidence: f64) -> &'static str {
    match confidence {
        sure if sure >= 0.95 => "proven",
        sure if sure >= 0.85 => "strong",
        sure if sure >= 0.7 => "good",
        sure if sure >= 0.5 => "fair",
        sure if sure > 0.0 => "weak",
        _ => "no confidence",
    }
}

/// Whose fault it truly was, and whether the evidence of the story can show it.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) hop: Option<Hop>,
    pub(crate) cause: Option<String>,
    pub(crate) never: Vec<Hop>,
    /// It must be left open, between these hops where there are any.
    pub(crate) open: Option<Vec<Hop>>,
}

impl Truth {
    fn holds(&self, diagnosis: &Diagnosis) -> Result<(), String> {
        let charged = diagnosis.verdict.charged;
        for hop in &self.never {
            if diagnosis.hops.iter().any(|charge| charge.hop == *hop) {
                return Err(format!("{hop} must not be charged with anything"));
            }
        }
        if let Some(open) = &self.open {
            return self.left_open(open, diagnosis);
        }
        if charged.map(|(hop, _)| hop) != self.hop {
            return Err(format!(
                "truly {:?}, charged {:?}",
                self.hop,
                charged.map(|(hop, _)| hop)
            ));
        }
        if let (Some(cause), Some((_, charged))) = (&self.cause, charged)
            && cause != charged.word()
        {
            return Err(format!("truly {cause}, charged {charged}"));
        }
        Ok(())
    }

    /// An open answer holds the truth and names the experiment that decides.
    fn left_open(&self, open: &[Hop], diagnosis: &Diagnosis) -> Result<(), String> {
        let verdict = &diagnosis.verdict;
        if verdict.charged.map(|(hop, _)| hop) != Some(Hop::Unknown) {
            return Err(format!("must be left open, charged {:?}", verdict.charged));
        }
        if verdict.between.hops() != open {
            return Err(format!("open between {open:?}, said {:?}", verdict.between));
        }
        if self
            .hop
            .is_some_and(|hop| !open.is_empty() && !open.contains(&hop))
        {
            return Err("the truth is not among the hops that are left".to_owned());
        }
        if diagnosis.unknowns.is_empty() {
            return Err("left open, and no experiment is named".to_owned());
        }
        Ok(())
    }
}
