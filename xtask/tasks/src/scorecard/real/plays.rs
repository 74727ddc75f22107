//! What is played with real parts, and the truth of each: the play makes the fault.

/// One play.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) name: &'static str,
    /// The cause that it makes, and others that say the same of it; empty where nothing is broken.
    pub(super) truth: &'static [&'static str],
    /// What can be known of it from where hopscope stands, where that is less, and why no more.
    pub(super) knowable: Option<(&'static str, &'static str)>,
    /// What stands between hopscope and the shop.
    pub(super) between: Between,
    /// The shop's command line (`lab/examples/shop.rs`).
    pub(super) shop: &'static [&'static str],
    /// When k6 gives up on a request.
    pub(super) patience_ms: u32,
    /// Whether every request has a connection of its own.
    pub(super) fresh: bool,
    pub(super) seconds: u64,
    /// What is done while it runs, each after so many seconds.
    pub(super) deeds: &'static [(f64, Deed)],
}

/// What stands between hopscope and the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Between {
    Nothing,
    /// HAProxy in HTTP mode; it checks its target, and waits for it so many milliseconds.
    HaProxy {
        patience_ms: u32,
    },
    /// HAProxy in TCP mode, which cuts connections on which nothing moves for so many milliseconds.
    HaProxyTcp {
        idle_ms: u32,
    },
    /// nginx as a reverse proxy that waits so many seconds.
    Nginx {
        patience_s: u32,
    },
    /// Envoy, which waits so many milliseconds; with a cluster without endpoints for some routes.
    Envoy {
        patience_ms: u32,
        empty: bool,
    },
    /// The real kubectl, run by hopscope, against the lab's API server.
    Kubectl,
    /// The same path, and the shop's own address beside it.
    KubectlAndDirect,
}

/// Something that is done while a play runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// The shop's process is killed.
    KillShop,
    /// The balancer's process is killed.
    KillBalancer,
    /// A command for the lab's cluster.
    Cluster(&'static str),
    /// A signal for the kubectl that hopscope runs.
    Kubectl(&'static str),
    /// One more client asks for a large answer and does not read it.
    Hog,
}

const PLAY: Play = Play {
    name: "",
    truth: &[],
    knowable: None,
    between: Between::Nothing,
    shop: &[],
    patience_ms: 3_000,
    fresh: false,
    seconds: 7,
    deeds: &[],
};

const HAPROXY: Between = Between::HaProxy { patience_ms: 5_000 };

pub(super) const PLAYS: &[Play] = &[
    Play {
        name: "healthy-direct",
        ..PLAY
    },
    Play {
        name: "healthy-haproxy",
        between: HAPROXY,
        ..PLAY
    },
    Play {
        name: "healthy-kubectl",
        between: Between::Kubectl,
        ..PLAY
    },
    Play {
        name: "healthy-two-paths",
        between: Between::KubectlAndDirect,
        fresh: true,
        ..PLAY
    },
    // The application.
    Play {
        name: "errors",
        truth: &["backend-error"],
        shop: &["--fault=status:500=0.3", "--under=/products"],
        ..PLAY
    },
    Play {
        name: "reset",
        truth: &["backend-reset"],
        shop: &["--fault=reset=0.2"],
        ..PLAY
    },
    Play {
        name: "truncated",
        truth: &["backend-truncated"],
        shop: &["--fault=truncate=0.2"],
        ..PLAY
    },
    Play {
        name: "silent",
        truth: &["backend-timeout"],
        shop: &["--fault=silence=0.1"],
        patience_ms: 1_000,
        ..PLAY
    },
    Play {
        name: "slow",
        truth: &["backend-timeout"],
        shop: &["--fault=slow:2500=0.2", "--under=/products"],
        patience_ms: 1_000,
        ..PLAY
    },
    Play {
        name: "rate-limit",
        truth: &["backend-rate-limited"],
        shop: &["--rate-limit=30"],
        ..PLAY
    },
    Play {
        name: "killed",
        truth: &["backend-not-ready", "backend-refused"],
        deeds: &[(3.0, Deed::KillShop)],
        ..PLAY
    },
    Play {
        name: "killed-fresh",
        truth: &["backend-refused", "backend-not-ready"],
        fresh: true,
        deeds: &[(3.0, Deed::KillShop)],
        ..PLAY
    },
    // The load balancer.
    Play {
        name: "haproxy-no-target",
        truth: &["lb-no-target"],
        between: HAPROXY,
        deeds: &[(3.0, Deed::KillShop)],
        ..PLAY
    },
    Play {
        name: "haproxy-502",
        truth: &["lb-bad-gateway"],
        between: HAPROXY,
        shop: &["--fault=reset=0.2"],
        fresh: true,
        ..PLAY
    },
    Play {
        name: "haproxy-reset",
        truth: &["lb-bad-gateway"],
        knowable: Some((
            "undetermined",
            "on a reused connection HAProxy closes without a word, so that the client asks again: a FIN through a balancer has no author",
        )),
        between: HAPROXY,
        shop: &["--fault=reset=0.2"],
        ..PLAY
    },
    Play {
        name: "haproxy-504",
        truth: &["lb-gateway-timeout"],
        between: Between::HaProxy { patience_ms: 600 },
        shop: &["--fault=silence=0.1"],
        ..PLAY
    },
    Play {
        name: "haproxy-idle",
        truth: &["lb-idle-timeout"],
        knowable: Some((
            "undetermined",
            "a timer cut them at 1.5 s; an application behind a balancer of connections may have one as well",
        )),
        between: Between::HaProxyTcp { idle_ms: 1_500 },
        shop: &["--fault=slow:4000=0.2"],
        patience_ms: 6_000,
        seconds: 12,
        ..PLAY
    },
    Play {
        name: "haproxy-killed",
        truth: &["lb-refused"],
        between: HAPROXY,
        fresh: true,
        deeds: &[(3.0, Deed::KillBalancer)],
        ..PLAY
    },
    Play {
        name: "nginx-502",
        truth: &["lb-bad-gateway", "lb-no-target"],
        between: Between::Nginx { patience_s: 5 },
        deeds: &[(3.0, Deed::KillShop)],
        ..PLAY
    },
    Play {
        name: "nginx-504",
        truth: &["lb-gateway-timeout"],
        between: Between::Nginx { patience_s: 1 },
        shop: &["--fault=silence=0.1"],
        ..PLAY
    },
    Play {
        name: "envoy-no-target",
        truth: &["lb-no-target"],
        between: Between::Envoy {
            patience_ms: 5_000,
            empty: true,
        },
        ..PLAY
    },
    Play {
        name: "envoy-504",
        truth: &["lb-gateway-timeout"],
        between: Between::Envoy {
            patience_ms: 600,
            empty: false,
        },
        shop: &["--fault=silence=0.1"],
        ..PLAY
    },
    Play {
        name: "errors-haproxy",
        truth: &["backend-error"],
        between: HAPROXY,
        shop: &["--fault=status:500=0.3"],
        ..PLAY
    },
    // The tunnel, and what fails behind it.
    Play {
        name: "kubectl-lost",
        truth: &["tunnel-lost"],
        between: Between::Kubectl,
        deeds: &[(3.0, Deed::Cluster("tunnel reset"))],
        ..PLAY
    },
    Play {
        name: "kubectl-closed",
        truth: &["tunnel-lost"],
        between: Between::Kubectl,
        fresh: true,
        deeds: &[(3.0, Deed::Cluster("tunnel fin"))],
        ..PLAY
    },
    Play {
        name: "kubectl-killed",
        truth: &["tunnel-lost"],
        between: Between::Kubectl,
        deeds: &[(3.0, Deed::Kubectl("KILL"))],
        ..PLAY
    },
    Play {
        name: "kubectl-stopped",
        truth: &["tunnel-stopped"],
        between: Between::Kubectl,
        fresh: true,
        patience_ms: 2_000,
        seconds: 10,
        deeds: &[(3.0, Deed::Kubectl("STOP")), (8.0, Deed::Kubectl("CONT"))],
        ..PLAY
    },
    Play {
        name: "kubectl-head-of-line",
        truth: &["tunnel-head-of-line"],
        between: Between::Kubectl,
        fresh: true,
        patience_ms: 2_000,
        seconds: 10,
        deeds: &[(3.0, Deed::Hog)],
        ..PLAY
    },
    Play {
        name: "kubectl-pod-refused",
        truth: &["backend-refused"],
        between: Between::Kubectl,
        fresh: true,
        deeds: &[(3.0, Deed::Cluster("port web 8080 closed"))],
        ..PLAY
    },
    Play {
        name: "kubectl-pod-gone",
        truth: &["backend-not-ready"],
        between: Between::Kubectl,
        fresh: true,
        deeds: &[(3.0, Deed::Cluster("phase web Gone"))],
        ..PLAY
    },
    Play {
        name: "errors-kubectl",
        truth: &["backend-error"],
        between: Between::Kubectl,
        shop: &["--fault=status:500=0.3", "--under=/products"],
        ..PLAY
    },
    Play {
        name: "reset-kubectl",
        truth: &["backend-reset"],
        between: Between::Kubectl,
        shop: &["--fault=reset=0.1"],
        seconds: 10,
        ..PLAY
    },
    Play {
        name: "silent-kubectl",
        truth: &["backend-timeout"],
        between: Between::Kubectl,
        shop: &["--fault=silence=0.1"],
        patience_ms: 1_500,
        ..PLAY
    },
    Play {
        name: "reset-two-paths",
        truth: &["backend-reset"],
        between: Between::KubectlAndDirect,
        shop: &["--fault=reset=0.2"],
        fresh: true,
        ..PLAY
    },
    // The generator.
    Play {
        name: "k6-impatient",
        truth: &["client-timeout"],
        shop: &["--latency=60:120"],
        patience_ms: 100,
        ..PLAY
    },
];
