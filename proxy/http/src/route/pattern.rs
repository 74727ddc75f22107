//! `--route` patterns: what the user says a route is.

use std::str::FromStr;

use thiserror::Error;

/// A route as the user names it: `/products/:id`, `/static/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
    open_ended: bool,
}

/// Why a `--route` is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It does not start with a slash.
    #[error("route '{0}' does not start with '/': write it like '/products/:id'")]
    NoSlash(String),
    /// It holds a query string, a fragment, a space or a character outside printable ASCII.
    #[error(
        "route '{0}' holds {1:?}: a route is a path of printable ASCII without query, fragment and spaces"
    )]
    Character(String, char),
    /// A `*` stands elsewhere than alone in the last segment.
    #[error("route '{0}' has a '*' that is not its whole last segment: write '/static/*'")]
    Star(String),
    /// It is longer than a route's name may be.
    #[error("route '{0}' is longer than {max} bytes", max = super::NAME_LIMIT)]
    TooLong(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `:name`: any one segment that is not empty.
    Any,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(PatternError::NoSlash(text.to_owned()));
        };
        if text.len() > super::NAME_LIMIT {
            return Err(PatternError::TooLong(text.to_owned()));
        }
        if let Some(character) = text
            .chars()
            .find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#'))
        {
            return Err(PatternError::Character(text.to_owned(), character));
        }
        let mut segments = Vec::new();
        let mut open_ended = false;
        for segment in path.split('/') {
            if open_ended || (segment.contains('*') && segment != "*") {
                return Err(PatternError::Star(text.to_owned()));
            }
            match segment {
                "*" => open_ended = true,
                named if named.starts_with(':') => segments.push(Segment::Any),
                literal => segments.push(Segment::Literal(literal.to_owned())),
            }
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
            open_ended,
        })
    }
}

impl Pattern {
    /// The pattern as it was written: the route's name.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `path`, which starts with a slash and has no query, is on this route.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        let Some(path) = path.strip_prefix(b"/") else {
            return false;
        };
        let mut actual = path.split(|byte| *byte == b'/');
        for expected in &self.segments {
            match (expected, actual.next()) {
                (Segment::Literal(literal), Some(segment)) if literal.as_bytes() == segment => {}
                (Segment::Any, Some(segment)) if !segment.is_empty() => {}
                (Segment::Literal(_) | Segment::Any, _) => return false,
            }
        }
        actual.next().is_none() != self.open_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(path.as_bytes())
    }

    #[test]
    fn a_named_segment_takes_exactly_one_segment() {
        assert!(matches("/products/:id", "/products/17"));
        assert!(matches("/products/:id/reviews", "/products/x/reviews"));
        assert!(!matches("/products/:id", "/products/"));
        assert!(!matches("/products/:id", "/products"));
        assert!(!matches("/products/:id", "/products/17/reviews"));
    }

    #[test]
    fn a_star_takes_the_rest() {
        assert!(matches("/static/*", "/static/"));
        assert!(matches("/static/*", "/static/css/site.css"));
        assert!(!matches("/static/*", "/static"));
        assert!(matches("/*", "/"));
        assert!(matches("/", "/"));
        assert!(!matches("/", "/x"));
    }

    #[test]
    fn what_cannot_be_a_route_is_refused_with_its_remedy() {
        for (text, said) in [
            ("products", "does not start with '/'"),
            ("/a?b=1", "'?'"),
            ("/a b", "' '"),
            ("/a*/b", "'*'"),
            ("/*/b", "'*'"),
        ] {
            let error = text.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
