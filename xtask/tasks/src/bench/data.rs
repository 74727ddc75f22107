//! The figures as files: tab-separated, one measurement a line.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::target::Target;
use super::workload::Workload;

const ROWS: &str = "rounds.tsv";
const MEMORY: &str = "memory.tsv";
const FACTS: &str = "machine.tsv";
const ROW_HEAD: &str =
    "workload\tround\ttarget\trequests\tbytes\tmicros\tp50_us\tp99_us\terrors\tcpu_us\trecording_us";
const MEMORY_HEAD: &str = "target\tconnections\tbefore_kib\tafter_kib";

/// What the generator saw of one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) requests: u64,
    /// Of bodies; only counted where they are long.
    pub(super) bytes: u64,
    /// How long it took.
    pub(super) micros: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) errors: u64,
}

/// One load through one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) workload: Workload,
    pub(super) round: u32,
    pub(super) target: Target,
    pub(super) outcome: Outcome,
    /// CPU time of the target.
    pub(super) cpu_us: u64,
    /// What of it hopscope's recording thread used; none in others.
    pub(super) recording_us: u64,
}

/// One target with connections at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) target: Target,
    pub(super) connections: u64,
    pub(super) before_kib: u64,
    pub(super) after_kib: u64,
}

impl Memory {
    /// Of a target that is not installed.
    pub(super) const fn absent(target: Target) -> Self {
        Self {
            target,
            connections: 0,
            before_kib: 0,
            after_kib: 0,
        }
    }
}

/// A run's files while it is made.
#[derive(Debug)]
pub(super) struct Writer {
    rows: File,
    memory: File,
}

impl Writer {
    pub(super) fn begin(folder: &Path) -> Result<Self> {
        let mut rows = File::create(folder.join(ROWS))?;
        let mut memory = File::create(folder.join(MEMORY))?;
        writeln!(rows, "{ROW_HEAD}")?;
        writeln!(memory, "{MEMORY_HEAD}")?;
        Ok(Self { rows, memory })
    }

    pub(super) fn row(&mut self, row: &Row) -> Result<()> {
        let outcome = row.outcome;
        writeln!(
            self.rows,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            row.workload.word(),
            row.round,
            row.target.word(),
            outcome.requests,
            outcome.bytes,
            outcome.micros,
            outcome.p50_us,
            outcome.p99_us,
            outcome.errors,
            row.cpu_us,
            row.recording_us
        )?;
        Ok(())
    }

    pub(super) fn memory(&mut self, memory: &Memory) -> Result<()> {
        if memory.connections > 0 {
            writeln!(
                self.memory,
                "{}\t{}\t{}\t{}",
                memory.target.word(),
                memory.connections,
                memory.before_kib,
                memory.after_kib
            )?;
        }
        Ok(())
    }
}

/// Writes what the figures depend on.
pub(super) fn write_facts(folder: &Path, facts: &[(String, String)]) -> Result<()> {
    let lines: String = facts
        .iter()
        .flat_map(|(name, value)| [name.as_str(), "\t", value.as_str(), "\n"])
        .collect();
    fs::write(folder.join(FACTS), lines).context("writing the facts of the machine")
}

/// A run, read back.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) rows: Vec<Row>,
    pub(super) memory: Vec<Memory>,
    pub(super) facts: BTreeMap<String, String>,
}

impl Figures {
    /// Reads the files in a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let file = folder.join(name);
            fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))
        };
        Self::parse(&read(ROWS)?, &read(MEMORY)?, &read(FACTS)?)
    }

    fn parse(rows: &str, memory: &str, facts: &str) -> Result<Self> {
        // Older runs did not tell the recording's share apart.
        let head = rows.lines().next().unwrap_or_default();
        ensure!(
            ROW_HEAD
                .strip_prefix(head)
                .is_some_and(|more| more.is_empty() || more == "\trecording_us"),
            "{ROWS} has other columns"
        );
        ensure!(
            memory.lines().next() == Some(MEMORY_HEAD),
            "{MEMORY} has other columns"
        );
        let each = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
        Ok(Self {
            rows: each(rows)
                .iter()
                .map(|line| row(line).with_context(|| format!("{ROWS}: {line}")))
                .collect::<Result<_>>()?,
            memory: each(memory)
                .iter()
                .map(|line| memory_row(line).with_context(|| format!("{MEMORY}: {line}")))
                .collect::<Result<_>>()?,
            facts: facts
                .lines()
                .filter_map(|line| line.split_once('\t'))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }
}

fn row(line: &str) -> Option<Row> {
    let mut fields = line.split('\t');
    let workload = Workload::of_word(fields.next()?)?;
    let round = fields.next()?.parse().ok()?;
    let target = Target::of_word(fields.next()?)?;
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(Row {
        workload,
        round,
        target,
        outcome: Outcome {
            requests: number()?,
            bytes: number()?,
            micros: number()?,
            p50_us: number()?,
            p99_us: number()?,
            errors: number()?,
        },
        cpu_us: number()?,
        recording_us: number().unwrap_or(0),
    })
}

fn memory_row(line: &str) -> Option<Memory> {
    let mut fields = line.split('\t');
    let target = Target::of_word(fields.next()?)?;
    let mut number = || fields.next()?.parse::<u64>().ok();
    Some(Memory {
        target,
        connections: number()?,
        before_kib: number()?,
        after_kib: number()?,
    })
}

/// The newest committed run: folders are named by date.
pub(super) fn newest(root: &Path) -> Result<PathBuf> {
    let runs = root.join("benches/runs");
    let mut folders: Vec<_> = fs::read_dir(&runs)
        .with_context(|| format!("reading {}", runs.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
        .pop()
        .context("no run has been committed below benches/runs")
}

/// Puts a run's files where they are committed.
pub(super) fn keep(root: &Path, folder: &Path) -> Result<()> {
    let figures = Figures::read(folder)?;
    let fact = |name: &str| figures.facts.get(name).map_or("unknown", String::as_str);
    let kept = root
        .join("benches/runs")
        .join(format!("{}-{}", fact("date"), fact("machine")));
    fs::create_dir_all(&kept)?;
    for name in [ROWS, MEMORY, FACTS] {
        fs::copy(folder.join(name), kept.join(name)).with_context(|| format!("keeping {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let line = "fixed-rate\t3\thaproxy-log\t8000\t0\t2000000\t120\t450\t0\t300000\t7";
        let figures = Figures::parse(
            &format!("{ROW_HEAD}\n{line}\n"),
            &format!("{MEMORY_HEAD}\nhopscope\t5000\t9000\t21000\n"),
            "kernel\t6.18\n",
        )
        .unwrap();
        assert_eq!(figures.rows[0].target, Target::HaproxyLog);
        assert_eq!(figures.rows[0].outcome.p99_us, 450);
        assert_eq!(figures.rows[0].recording_us, 7);
        assert_eq!(figures.memory[0].after_kib, 21_000);
        assert_eq!(figures.facts["kernel"], "6.18");
    }

    #[test]
    fn a_line_that_is_cut_short_is_refused() {
        let rows = format!("{ROW_HEAD}\nfixed-rate\t3\thaproxy-log\t8000\n");
        Figures::parse(&rows, MEMORY_HEAD, "").unwrap_err();
    }
}
