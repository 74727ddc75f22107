//! Who wrote an error response, where its head and the start of its body make that certain.
//!
//! The marks were taken from what the real programs answered: `author/corpus` holds those answers, and the tests read
//! them. A body that is compressed, rewritten or empty proves nothing, and nothing is then claimed. That nginx wrote
//! a page says which program did, not where on the path it stands.

mod envoy;
mod haproxy;
mod nginx;
#[cfg(test)]
mod tests;

use hopscope_attribution::evidence::Author;

use super::head::{Marks, ServerMark};

/// How much of a body is looked at: longer than any built-in page's telling part.
const LIMIT: usize = 512;

/// The start of a failure's body, and what its head said. Kept only while that response passes.
#[derive(Debug)]
pub(super) struct BodyStart {
    marks: Marks,
    status: u16,
    length: usize,
    bytes: [u8; LIMIT],
}

impl BodyStart {
    /// Who wrote a response with this head, or what of its body is needed to be certain.
    pub(super) fn after(status: u16, marks: Marks) -> (Author, Option<Box<Self>>) {
        if marks.server == ServerMark::AwsAlb {
            // ALB names itself in its own answers only; it leaves the `Server` field of its targets alone.
            return (Author::AwsAlb, None);
        }
        if marks.framework || marks.server == ServerMark::ApplicationServer {
            return (Author::Application, None);
        }
        let telling = !marks.encoded && (marks.html || (marks.plain && marks.server == ServerMark::Envoy));
        let body = telling.then(|| {
            Box::new(Self {
                marks,
                status,
                length: 0,
                bytes: [0; LIMIT],
            })
        });
        (Author::Unstated, body)
    }

    /// Takes the next piece of the body, without its chunked coding.
    pub(super) fn take(&mut self, data: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.length).zip(data) {
            *to = *from;
            self.length += 1;
        }
    }

    /// Whether more of the body can still tell.
    pub(super) const fn wants_more(&self) -> bool {
        self.length < LIMIT
    }

    /// Who wrote it, judged by what has come.
    pub(super) fn author(&self) -> Author {
        let body = self.bytes.get(..self.length).unwrap_or_default();
        if self.marks.plain {
            return match envoy::reply(body) {
                Some(reason) if !self.marks.behind_envoy => Author::Envoy(reason),
                Some(_) | None => Author::Unstated,
            };
        }
        if nginx::is_page(self.status, body) {
            Author::Nginx
        } else if self.marks.server == ServerMark::Absent
            && self.marks.no_cache
            && haproxy::is_page(self.status, body)
        {
            Author::HaProxy
        } else {
            Author::Unstated
        }
    }
}
