//! A session in this process, in front of one application.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hopscope_host::trust::Trust;
use hopscope_http::{ObserverConfig, RouteTable};
use hopscope_recording::Recording;
use hopscope_relay::{Config, HostHeader, OnRefusal, Session};

/// Starts one on a free port; its recording lies in `folder`.
pub(crate) fn start(application: SocketAddr, folder: &tempfile::TempDir) -> Session {
    let config = Config {
        listen: "127.0.0.1:0".parse().unwrap(),
        vias: vec![format!("direct={application}").parse().unwrap()],
        weights: Vec::new(),
        connect_timeout: Duration::from_secs(5),
        front: hopscope_relay::Front::Plain,
        on_refusal: OnRefusal::Reset,
        upstream_trust: Trust::Host,
        host_header: HostHeader::Auto,
        tunnel_restart: hopscope_tunnel::RestartPolicy::Never,
        watch_forwards: true,
        observing: Arc::new(ObserverConfig {
            routes: RouteTable::new(Vec::new(), false),
            head_limit: 65_536,
            inject_id: false,
        }),
        workers: 1,
        recording: folder.path().join("recording"),
        recording_options: hopscope_recording::Options::default(),
        command: None,
    };
    Session::start(&config, Vec::new()).unwrap()
}

/// Ends a session and reads its recording.
pub(crate) fn finish(session: Session, folder: &tempfile::TempDir) -> Recording {
    finish_within(Duration::from_secs(5), session, folder)
}

/// The same, with that much time for what is under way.
pub(crate) fn finish_within(grace: Duration, session: Session, folder: &tempfile::TempDir) -> Recording {
    let summary = session.finish(grace, None).unwrap();
    assert!(summary.accounting.balanced(), "{:?}", summary.accounting);
    Recording::open(&folder.path().join("recording")).unwrap()
}
