//! What the agent answers: `/metrics`, `/healthz`, `/readyz` and `/v1/evidence?since=`.

use super::observe::{Observer, unix_us};
use hopscope_host::procfs;
use hopscope_metrics::serve::{Answer, Question};

/// The answer to one question.
pub fn answer(question: Question<'_>, observer: &Observer) -> Answer {
    match question.path {
        "/healthz" => Answer::text(200, "ok\n"),
        // Ready on any rung: it does what can be done here, and says what cannot.
        "/readyz" => Answer::text(200, &(observer.told().join("\n") + "\n")),
        "/metrics" => {
            let probes: Vec<_> = observer
                .status
                .iter()
                .map(|probe| (probe.probe, probe.refused.is_none()))
                .collect();
            match observer.metrics.text(&probes) {
                Ok(text) => Answer::metrics(text),
                Err(error) => Answer::text(500, &format!("{error}\n")),
            }
        }
        "/v1/evidence" => evidence(question.query, observer),
        _ => Answer::text(404, "try /metrics, /healthz, /readyz or /v1/evidence?since=0\n"),
    }
}

fn evidence(query: Option<&str>, observer: &Observer) -> Answer {
    let since = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("since="));
    let Ok(since) = since.unwrap_or("0").parse() else {
        return Answer::text(400, "since is a number: the 'next' of the answer before\n");
    };
    match observer.journal.write(
        since,
        unix_us(),
        observer.level(),
        observer.lost(),
        procfs::boot_id(),
    ) {
        Ok(text) => Answer::json_lines(text),
        Err(error) => Answer::text(500, &format!("{error}\n")),
    }
}
