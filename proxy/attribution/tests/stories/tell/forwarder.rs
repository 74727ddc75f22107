//! What was seen of a forwarder: its words and its gauges.

use hopscope_attribution::evidence::tunnel::TunnelMeaning;
use hopscope_attribution::evidence::{
    Moment, Observation, Span, TunnelEvidence, TunnelGauge, TunnelLine, WhyUnseen,
};

use super::{Options, Told, option};
use crate::words;

impl Told {
    pub(super) fn tunnel(&mut self, name: &str) -> Result<&mut TunnelEvidence, String> {
        let path = self.path(name)?;
        if !self.evidence.tunnels.iter().any(|(id, _)| *id == path) {
            self.evidence
                .tunnels
                .push((path, Observation::Seen(TunnelEvidence::default())));
        }
        let tunnel = self.evidence.tunnels.iter_mut().find(|(id, _)| *id == path);
        match tunnel {
            Some((_, Observation::Seen(tunnel))) => Ok(tunnel),
            _ => Err("the tunnel is unseen".to_owned()),
        }
    }

    pub(super) fn kubectl(&mut self, path: &str, at: &str, meaning: &str, text: &str) -> Result<(), String> {
        let at = Moment(words::span(at)?.as_micros());
        let meaning = TunnelMeaning::from_word(meaning).ok_or(format!("`{meaning}` is not a meaning"))?;
        let tunnel = self.tunnel(path)?;
        if tunnel.lines.seen().is_none() {
            tunnel.lines = Observation::Seen(Vec::new());
        }
        if let Observation::Seen(lines) = &mut tunnel.lines {
            let text = text.to_owned();
            lines.push(TunnelLine {
                at,
                member: 0,
                meaning,
                local_port: None,
                remote_port: None,
                text,
            });
        }
        Ok(())
    }

    pub(super) fn gauges(&mut self, path: &str, options: &Options<'_>) -> Result<(), String> {
        let from = option(options, "from", words::span, Span::ZERO)?;
        let to = option(options, "to", words::span, Span::from_secs(self.seconds))?;
        let get = |key: &str, default: u64| {
            option(options, key, words::number, default).map(|n| u32::try_from(n).unwrap_or(u32::MAX))
        };
        let mut gauges = Vec::new();
        let mut at = from.as_micros();
        while at < to.as_micros() {
            gauges.push(TunnelGauge {
                at: Moment(at),
                member: 0,
                accept_queue: get("queue", 0)?,
                tunnel_recv_queue: Observation::Seen(get("recv", 0)?),
                tunnel_send_queue: Observation::Seen(get("send", 0)?),
                tunnel_unacked: Observation::Seen(0),
                tunnel_peer_window: Observation::Seen(get("window", 65_535)?),
                tunnel_retransmits: Observation::Seen(get("retransmits", 0)?),
                tunnel_last_ack: Observation::Seen(option(
                    options,
                    "ack",
                    words::span,
                    Span::from_micros(20_000),
                )?),
                // `heard=T`: the last bytes came at this moment; without it, they come all the time.
                tunnel_last_received: Observation::Seen(match options.get("heard") {
                    Some(last) => Moment(at).since(Moment(words::span(last)?.as_micros())),
                    None => Span::from_micros(20_000),
                }),
                tunnel_rwnd_limited_ms: Observation::Seen(0),
                tunnel_busy_ms: Observation::Seen(0),
                tunnel_rtt: Observation::Seen(Span::from_micros(2_000)),
                local_connections: get("local", 10)?,
                stalled_readers: get("stalled", 0)?,
                worst_reader: match options.get("worst") {
                    Some(port) => {
                        Observation::Seen(u16::try_from(words::number(port)?).map_err(|_| "a port")?)
                    }
                    None => Observation::Unseen(WhyUnseen::NeverHappened),
                },
                descriptors: Observation::Seen(get("fds", 20)?),
                descriptor_limit: Observation::Seen(1_024),
                stopped: Observation::Seen(options.contains_key("stopped")),
                handled: Observation::default(),
                lines_omitted: 0,
                cpu_ms: Observation::Seen(if options.contains_key("frozen") {
                    500
                } else {
                    at / 10_000
                }),
                cpu_wait_ms: Observation::Seen(if options.contains_key("throttled") {
                    at / 1_000
                } else {
                    0
                }),
                output_blocked: Observation::Seen(options.contains_key("choked")),
                abandoned: Observation::Seen(get("abandoned", 0)?),
                unread_connections: Observation::Seen(get("unread", 0)?),
            });
            at += 100_000;
        }
        let tunnel = self.tunnel(path)?;
        match &mut tunnel.gauges {
            Observation::Seen(all) => all.extend(gauges),
            unseen @ Observation::Unseen(_) => *unseen = Observation::Seen(gauges),
        }
        Ok(())
    }
}
