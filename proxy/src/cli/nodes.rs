//! What kernels saw: asked of agents for `report`, watched on this host for `run` and `proxy`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hopscope_attribution::evidence::{NodeEvidence, Observation, PathKind};

use super::files::{self, Named};
use super::session::ProbesWish;
use super::tell;
use hopscope_agent::Config;
use hopscope_agent::answer::Answer;
use hopscope_agent::answer::told::Told;
use hopscope_agent::ask::{AgentUrl, AskError, Credentials, ask};
use hopscope_agent::evidence::Unreadable;
use hopscope_agent::join::arrivals::arrivals;
use hopscope_agent::local::LocalProbes;
use hopscope_host::procfs;
use hopscope_metrics::serve::{self, AccessError};
use hopscope_recording::{Recording, RecordingError};
use hopscope_tunnel::paths::{Target, Via};

/// Options of `report` by which agents are asked.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct NodeOptions {
    /// Ask the agent at http://HOST:PORT or https://HOST:PORT what its kernel saw of the recorded connections; more than once for several
    /// nodes. An agent keeps its last 16384 lines: ask soon after the run
    #[arg(long, value_name = "URL", help_heading = "Node agents")]
    agent: Vec<AgentUrl>,

    /// A file with the agents' bearer token [default: HOPSCOPE_AGENT_TOKEN, where that is set]
    #[arg(long, value_name = "FILE", requires = "agent", help_heading = "Node agents")]
    agent_token_file: Option<PathBuf>,

    /// Trust only the authorities in this PEM file for agents at https:// [default: the host's own]
    #[arg(long, value_name = "FILE", requires = "agent", help_heading = "Node agents")]
    agent_ca: Option<PathBuf>,

    /// Read agents' evidence from a file: what --save-evidence wrote, or what an agent answered to curl. More than once
    #[arg(long, value_name = "FILE", help_heading = "Node agents")]
    agent_evidence: Vec<PathBuf>,

    /// Keep what the agents answered in FILE: the same report can be made of it when they have forgotten
    #[arg(long, value_name = "FILE", requires = "agent", help_heading = "Node agents")]
    save_evidence: Option<PathBuf>,
}

/// Why agents' evidence could not be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// An agent gave none.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The token cannot be read.
    #[error(transparent)]
    Token(#[from] AccessError),
    /// A file cannot be read.
    #[error("cannot read the evidence in {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no evidence.
    #[error("{} is no agent's evidence: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Unreadable,
    },
    /// The answers cannot be kept.
    #[error("cannot keep the evidence in {}: {source}; name a file in a folder that you may write to", path.display())]
    Save {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl NodeOptions {
    /// The files that are read and written.
    pub fn files(&self) -> Vec<Named<'_>> {
        let evidence = self.agent_evidence.iter();
        let secrets = [
            ("--agent-token-file", &self.agent_token_file),
            ("--agent-ca", &self.agent_ca),
        ];
        let secrets = secrets
            .into_iter()
            .filter_map(|(by, file)| Some(Named::read(by, file.as_deref()?)));
        let saved = self.save_evidence.iter();
        evidence
            .map(|file| Named::read("--agent-evidence", file))
            .chain(secrets)
            .chain(saved.map(|file| Named::write("--save-evidence", file)))
            .collect()
    }

    /// Asks and reads what was asked for, and joins it to the recording; `None` where nothing was.
    ///
    /// # Errors
    /// When an agent does not answer, or a file cannot be read or written.
    pub fn ask(&self, recording: &Recording) -> Result<Option<Observation<NodeEvidence>>, NodeError> {
        if self.agent.is_empty() && self.agent_evidence.is_empty() {
            return Ok(None);
        }
        let credentials = Credentials {
            token: self.token()?,
            authorities: self.agent_ca.clone(),
        };
        let mut told = Vec::new();
        for url in &self.agent {
            told.push((url.to_string(), ask(url, &credentials)?));
        }
        if let Some(file) = &self.save_evidence {
            save(file, &told)?;
        }
        for file in &self.agent_evidence {
            let text = fs::read_to_string(file).map_err(|source| NodeError::File {
                path: file.clone(),
                source,
            })?;
            let answers = Answer::saved(&text).map_err(|source| NodeError::Unreadable {
                path: file.clone(),
                source,
            })?;
            let name = file.display().to_string();
            told.extend(answers.into_iter().map(|answer| (name.clone(), answer)));
        }
        let known = recording.evidence();
        let mut node = Told::new(known.node.clone(), recording.kernel());
        for (name, answer) in &told {
            let (evidence, joined) = answer.join(known.into(), recording.facts().started_unix_us);
            let counts = if answer.had_probes() {
                ""
            } else {
                "; it runs without probes, and has counts alone"
            };
            let milliseconds = joined.clock_error.as_micros().div_ceil(1_000);
            tell(&format!(
                "hopscope: {name}: {} ends of sockets within the recording, {} of them of its connections ({} \
                 by bytes, order and time); clock known to {milliseconds} ms{counts}",
                joined.sockets, joined.on_record, joined.by_ledger
            ));
            node.add(answer.kernel(), evidence);
        }
        let began = recording.facts().started_unix_us;
        let said: Vec<_> = told.iter().map(|(_, answer)| answer.said(began)).collect();
        node.complete(|node| arrivals(&said, node, known.into()));
        Ok(Some(node.into_node()))
    }

    fn token(&self) -> Result<Option<String>, NodeError> {
        let Some(file) = &self.agent_token_file else {
            // An empty one is what `HOPSCOPE_AGENT_TOKEN= hopscope ...` means to unset it by.
            return Ok(std::env::var("HOPSCOPE_AGENT_TOKEN")
                .ok()
                .filter(|token| !token.is_empty()));
        };
        Ok(Some(serve::token(file)?))
    }
}

fn save(file: &Path, told: &[(String, Answer)]) -> Result<(), NodeError> {
    let texts: Result<String, serde_json::Error> = told.iter().map(|(_, answer)| answer.save()).collect();
    texts
        .map_err(io::Error::from)
        .and_then(|text| files::replace(file, &text))
        .map_err(|source| NodeError::Save {
            path: file.to_path_buf(),
            source,
        })
}

/// Loads the probes on this host for a run over these paths where that is wished, and gives one line that says what came
/// of it. The run goes on without them.
///
/// # Errors
/// Why there are none, where they are required.
pub fn watch(wish: ProbesWish, vias: &[Via]) -> Result<(Option<LocalProbes>, Option<String>), String> {
    if wish == ProbesWish::Off {
        return Ok((None, None));
    }
    let mut config = Config::default();
    config.table.workload_ports = workload_ports(vias);
    let (probes, line) = match LocalProbes::start(config) {
        // Without any it keeps why there is nothing to keep: the recording then says so.
        Ok(probes) => {
            let line = probes.summary();
            (Some(probes), line)
        }
        Err(error) => (None, format!("this host's kernel is not watched: {error}")),
    };
    if wish == ProbesWish::Require && !probes.as_ref().is_some_and(LocalProbes::attached) {
        return Err(line);
    }
    Ok((probes, Some(line)))
}

/// What listens where a direct path leads is the application: nothing is between.
fn workload_ports(vias: &[Via]) -> Vec<u16> {
    let direct = vias.iter().filter(|via| via.path().kind == PathKind::Direct);
    direct
        .filter_map(|via| match &via.target {
            Target::Endpoint(endpoint) => Some(endpoint.port),
            Target::Kubectl(_) => None,
        })
        .collect()
}

/// Stops the probes, and adds what they saw to the recording of the run, which has been closed and read: to the file, and
/// to what was read of it.
///
/// # Errors
/// When the file cannot be added to; then the recording is as it was.
pub fn keep(
    probes: LocalProbes,
    recording: Recording,
    file: &Path,
) -> Result<Recording, Box<(Recording, RecordingError)>> {
    let began = recording.facts().started_unix_us;
    let node = probes.finish(recording.evidence().into(), began);
    let kernel = procfs::boot_id();
    match hopscope_recording::add_node(file, &node, kernel.as_deref()) {
        Ok(()) => Ok(recording.with_node(node, kernel)),
        Err(error) => Err(Box::new((recording, error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_direct_path_leads_to_is_the_workload() {
        let vias: Vec<Via> = [
            "direct=127.0.0.1:3000",
            "lb=127.0.0.1:80",
            "tunnel=127.0.0.1:9000",
        ]
        .iter()
        .map(|typed| typed.parse().unwrap())
        .collect();
        assert_eq!(workload_ports(&vias), [3000]);
    }
}
