//! What a play is: the truth, what is staged, what is asked of it, and the answer expected from each vantage.
//!
//! Plays are data. To add one, add a row to the module of its family below `plays/`.

use hopscope_tests::netns::Row;

/// Who broke it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// Nothing is broken.
    Nothing,
    Client,
    Observer,
    Tunnel,
    Lb,
    Backend,
    /// A network or a firewall that is no hop of the path.
    Network,
}

impl Truth {
    /// The hop's word in a report; empty where it is none.
    pub(crate) const fn hop(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Observer => "observer",
            Self::Tunnel => "tunnel",
            Self::Lb => "lb",
            Self::Backend => "backend",
            Self::Nothing | Self::Network => "",
        }
    }

    /// As it stands in a table.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Network => "network",
            Self::Client | Self::Observer | Self::Tunnel | Self::Lb | Self::Backend => self.hop(),
        }
    }
}

/// An answer that a report may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing failed.
    Nothing,
    /// This hop; the causes are those that are known to fit, and only listed.
    Hop(&'static str, &'static [&'static str]),
    /// Unknown, between exactly these.
    Between(&'static [&'static str]),
    /// Unknown, with an experiment.
    Open,
    /// What passed was not read.
    NotRead,
    /// Complete 4xx answers.
    Rejected,
}

/// Where hopscope knows things from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Vantage {
    /// hopscope alone, without probes.
    Alone,
    /// With a node agent that is asked after the run.
    Agents,
    /// With a second path straight to the application.
    TwoPaths,
}

impl Vantage {
    pub(crate) const ALL: [Self; 3] = [Self::Alone, Self::Agents, Self::TwoPaths];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Agents => "agents",
            Self::TwoPaths => "two paths",
        }
    }
}

/// Where the parts stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// All on this host's loopback.
    Host,
    /// All in a namespace of their own, on this address of its loopback device; these commands run first.
    One(&'static str, &'static [&'static [&'static str]]),
    /// Generator and hopscope in one network namespace, all else in another. The commands run in the other one first.
    Pair(&'static [&'static [&'static str]]),
    /// The same, with a wire between them that takes so many milliseconds one way.
    Wire(u32),
    /// Three namespaces in a row. The middle one leads its port 80 on by these rules of nft.
    Row(fn(&Row) -> String),
}

/// A part of the path, from the application outwards. `TARGET` in a text is the address of the part before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Node's HTTP server (`scripts/app.js`).
    Node(&'static [&'static str]),
    /// An application on raw sockets (`scripts/app.py`).
    Python(&'static [&'static str]),
    Gunicorn(&'static [&'static str]),
    Uvicorn(&'static [&'static str]),
    /// nginx as the application: this text in its `server`.
    NginxApp(&'static str),
    /// nghttp2's server, which serves files of a folder.
    Nghttpd(&'static [&'static str]),
    /// A gRPC server that answers this share of its calls with UNAVAILABLE.
    Grpc(&'static str),
    /// Nobody listens there.
    Nobody,
    /// nginx as a balancer: this text beside its `server`, and in it.
    Nginx(&'static str, &'static str),
    /// HAProxy: lines of its frontend, and of its backend.
    HaProxy(&'static str, &'static str),
    /// HAProxy in TCP mode: lines of its `listen`.
    HaProxyTcp(&'static str),
    /// Envoy, in one of the ways that `envoy.rs` knows.
    Envoy(Envoy),
    /// kubectl, run by hopscope.
    Kubectl,
    /// kubectl, run beside hopscope.
    OwnKubectl,
    /// A forwarder that is not kubectl (`scripts/forwarder.py`), with this fault.
    Forwarder(&'static str),
    Socat,
    /// ssh -L, to an sshd of its own.
    Ssh,
    /// The middle namespace's address, port 80.
    Service,
}

/// How Envoy is configured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Envoy {
    /// Milliseconds until it gives a request up.
    pub(crate) patience_ms: u32,
    /// At most one request at a time, and none that waits.
    pub(crate) one_at_a_time: bool,
    /// Requests a second that it lets through; 0 is no limit.
    pub(crate) rate: u32,
    /// Only routes below /known lead anywhere.
    pub(crate) few_routes: bool,
    /// It answers this status itself, under /products; 0 is none.
    pub(crate) own_status: u32,
    /// Speaks HTTP/2 to both sides.
    pub(crate) h2: bool,
}

/// Something that is done while a play runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    /// A signal for a part's process, by the part's place in the path.
    Signal(usize, &'static str),
    /// A part's process hangs: alive, and it does nothing any more.
    Hang(usize),
    /// A part that was killed is started again, where it was.
    Again(usize),
    /// A command for the stand-in of the API server.
    Cluster(&'static str),
    /// A signal for the kubectl that hopscope (or, without it, the play) runs.
    Kubectl(&'static str),
    /// A command in the namespace of the application, or in the middle one.
    Far(&'static [&'static str]),
    Middle(&'static [&'static str]),
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// k6 with `scripts/load.js`, and these settings.
    K6(&'static [(&'static str, &'static str)]),
    /// hey, wrk, ab, h2load, siege, autocannon: their own words before the URL.
    Hey(&'static [&'static str]),
    Wrk(&'static [&'static str]),
    Ab(&'static [&'static str]),
    H2load(&'static [&'static str]),
    Siege(&'static [&'static str]),
    Autocannon(&'static [&'static str]),
    /// Locust for so many seconds, which waits so many milliseconds.
    Locust(&'static str, &'static str),
    /// `scripts/client.py`: its mode, and its other words.
    Client(&'static str, &'static [&'static str]),
    /// The gRPC client.
    Grpc,
}

/// One play.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Play {
    pub(crate) name: &'static str,
    /// The play with the same symptom by another hop.
    pub(crate) mirror: &'static str,
    pub(crate) truth: Truth,
    /// What is done, in one sentence.
    pub(crate) done: &'static str,
    pub(crate) place: Place,
    pub(crate) path: &'static [Part],
    /// What stands before the address in `--via`: `tcp://`, `https://`; empty is plain HTTP.
    pub(crate) scheme: &'static str,
    /// A host name that the generator's side finds in its hosts file, and the addresses; `HOST` is the target's.
    pub(crate) hosts: Option<(&'static str, &'static [&'static str])>,
    /// The scheme that the generator speaks.
    pub(crate) url: &'static str,
    pub(crate) load: Load,
    /// So many bursts of the load, a second apart, behind `hopscope proxy`; 0 is `hopscope run`.
    pub(crate) bursts: u32,
    /// Words before the generator's, or before hopscope itself, such as a limit of descriptors; `APP_HOST` and
    /// `APP_PORT` in these are the application's.
    pub(crate) generator_behind: &'static [&'static str],
    pub(crate) hopscope_behind: &'static [&'static str],
    /// The report is joined with what the generator counted (k6 alone).
    pub(crate) join: bool,
    /// More words for hopscope.
    pub(crate) words: &'static [&'static str],
    pub(crate) deeds: &'static [(f64, Deed)],
    /// The expected answer first, then others that are as good; empty where it is not played from there.
    pub(crate) alone: &'static [Answer],
    pub(crate) agents: &'static [Answer],
    pub(crate) two: &'static [Answer],
    /// What a relay cannot help: why the generator sees other figures through hopscope; empty where it must not.
    pub(crate) differs: &'static str,
    /// The generator's count of failures is not one of requests that failed on the wire, and why.
    pub(crate) miscounts: &'static str,
}

/// What a play is unless it says otherwise.
pub(crate) const PLAY: Play = Play {
    name: "",
    mirror: "",
    truth: Truth::Nothing,
    done: "",
    place: Place::Host,
    path: &[],
    scheme: "",
    hosts: None,
    url: "http",
    load: Load::Hey(&["-z", "3s", "-c", "8"]),
    bursts: 0,
    generator_behind: &[],
    hopscope_behind: &[],
    join: false,
    words: &[],
    deeds: &[],
    alone: &[],
    agents: &[],
    two: &[],
    differs: "",
    miscounts: "",
};

/// Either of the two that a balancer stands between.
pub(crate) const LB_OR_BACKEND: Answer = Answer::Between(&["lb", "backend"]);
/// The same for a forward.
pub(crate) const TUNNEL_OR_BACKEND: Answer = Answer::Between(&["tunnel", "backend"]);

impl Play {
    pub(crate) const fn expected(&self, vantage: Vantage) -> &'static [Answer] {
        match vantage {
            Vantage::Alone => self.alone,
            Vantage::Agents => self.agents,
            Vantage::TwoPaths => self.two,
        }
    }

    /// What kind of path hopscope is told that this is, as it begins its name.
    pub(crate) fn kind(&self) -> &'static str {
        match self.path.last() {
            Some(
                Part::Nginx(..) | Part::HaProxy(..) | Part::HaProxyTcp(_) | Part::Envoy(_) | Part::Service,
            ) => "lb",
            Some(Part::Kubectl | Part::OwnKubectl | Part::Forwarder(_) | Part::Socat | Part::Ssh) => "tunnel",
            Some(
                Part::Node(_)
                | Part::Python(_)
                | Part::Gunicorn(_)
                | Part::Uvicorn(_)
                | Part::NginxApp(_)
                | Part::Nghttpd(_)
                | Part::Grpc(_)
                | Part::Nobody,
            )
            | None => "direct",
        }
    }
}

/// As it stands in a table.
pub(crate) fn told(answers: &[Answer]) -> String {
    let words: Vec<String> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Nothing => "nothing".to_owned(),
            Answer::Hop(hop, []) => (*hop).to_owned(),
            Answer::Hop(hop, causes) => format!("{hop} ({})", causes.join(", ")),
            Answer::Between(hops) => format!("between {}", hops.join(" and ")),
            Answer::Open => "open".to_owned(),
            Answer::NotRead => "not read".to_owned(),
            Answer::Rejected => "rejected".to_owned(),
        })
        .collect();
    words.join("; or ")
}
