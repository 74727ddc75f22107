//! What the agent answers: `/metrics`, `/healthz`, `/readyz` and `/v1/evidence?since=`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::body::Bytes;

use super::evidence::Speaker;
use super::observe::{Observer, unix_us};
use hopscope_host::procfs;
use hopscope_metrics::serve::{Answer, Pieces, Question};

/// A scrape within this time of another one gets the same text: no number of scrapers makes us write it more often.
const SAME_SCRAPE: Duration = Duration::from_millis(100);
/// The evidence is written in pieces of about this size.
const PIECE: usize = 16 * 1024;

/// What answers.
#[derive(Debug)]
pub struct Routes {
    observer: Rc<RefCell<Observer>>,
    scraped: RefCell<Option<(Instant, Bytes)>>,
    /// What is wrong with the token, for people.
    access: Box<dyn Explain>,
}

/// Says what is wrong, if anything.
pub trait Explain: std::fmt::Debug {
    /// In one line.
    fn missing(&self) -> Option<String>;
}

impl Explain for hopscope_metrics::serve::Access {
    fn missing(&self) -> Option<String> {
        Self::missing(self)
    }
}

impl Routes {
    /// Over what is observed.
    pub fn new(observer: Rc<RefCell<Observer>>, access: impl Explain + 'static) -> Self {
        Self {
            observer,
            scraped: RefCell::default(),
            access: Box::new(access),
        }
    }

    /// The answer to one question.
    pub fn answer(&self, question: Question<'_>) -> Answer {
        match question.path {
            "/healthz" => Answer::text(200, "ok\n"),
            // Ready on any rung: it does what can be done here, and says what cannot.
            "/readyz" => {
                let mut lines = self.observer.borrow().told();
                lines.extend(self.access.missing());
                Answer::text(200, &(lines.join("\n") + "\n"))
            }
            "/metrics" => self.metrics(),
            "/v1/evidence" => self.evidence(question.query),
            _ => Answer::text(404, "try /metrics, /healthz, /readyz or /v1/evidence?since=0\n"),
        }
    }

    fn metrics(&self) -> Answer {
        let mut scraped = self.scraped.borrow_mut();
        if let Some((at, text)) = &*scraped
            && at.elapsed() < SAME_SCRAPE
        {
            return Answer::metrics(text.clone());
        }
        match self.observer.borrow().metrics_text() {
            Ok(text) => {
                let text = Bytes::from(text);
                *scraped = Some((Instant::now(), text.clone()));
                Answer::metrics(text)
            }
            Err(error) => Answer::text(500, &format!("{error}\n")),
        }
    }

    fn evidence(&self, query: Option<&str>) -> Answer {
        let since = query
            .into_iter()
            .flat_map(|query| query.split('&'))
            .find_map(|pair| pair.strip_prefix("since="));
        let Ok(since) = since.unwrap_or("0").parse::<u64>() else {
            return Answer::text(400, "since is a number: the 'next' of the answer before\n");
        };
        Answer::json_lines(pieces(Rc::clone(&self.observer), since))
    }
}

/// The head first; then the lines that there were when it was asked, as far as they are still kept.
fn pieces(observer: Rc<RefCell<Observer>>, since: u64) -> Pieces {
    let mut going = Some((since, None));
    Box::new(move || {
        let (from, until) = going?;
        let observer = observer.borrow();
        let mut text = String::new();
        let until = if let Some(until) = until {
            until
        } else {
            let head = observer.journal.head(since, &speaker(&observer));
            // Our own types: what cannot be written ends the answer where it is.
            text.push_str(&serde_json::to_string(&head).ok()?);
            text.push('\n');
            observer.journal.next()
        };
        let next = observer.journal.write(from, until, PIECE, &mut text).ok()?;
        going = next.map(|next| (next, Some(until)));
        Some(Bytes::from(text)).filter(|text| !text.is_empty())
    })
}

fn speaker(observer: &Observer) -> Speaker {
    Speaker {
        now_unix_us: unix_us(),
        level: observer.level(),
        events_lost: observer.lost(),
        kernel: procfs::boot_id(),
        limits: observer.limits(),
        node: observer.node().map(ToOwned::to_owned),
        began_unix_us: Some(observer.began_unix_us),
        sees_refusals: observer.sees_refusals(),
        sees_throttling: observer.sees_throttling(),
        standing: observer.standing(),
    }
}
