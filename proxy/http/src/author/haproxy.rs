//! HAProxy's built-in error pages, as version 2.6 writes them.

/// The sentence of each page, by its status.
const SENTENCES: [(u16, &[u8]); 17] = [
    (400, b"Your browser sent an invalid request."),
    (401, b"You need a valid user and password to access this content."),
    (403, b"Request forbidden by administrative rules."),
    (404, b"The resource could not be found."),
    (
        405,
        b"A request was made of a resource using a request method not supported by that resource",
    ),
    (407, b"You need a valid user and password to access this content."),
    (408, b"Your browser didn't send a complete request in time."),
    (
        410,
        b"The resource is no longer available and will not be available again.",
    ),
    (413, b"The request entity exceeds the maximum allowed."),
    (425, b"Your browser sent early data."),
    (429, b"You have sent too many requests in a given amount of time."),
    (500, b"An internal server error occurred."),
    (
        501,
        b".The server does not support the functionality required to fulfill the request.",
    ),
    (
        501,
        b"The server does not support the functionality required to fulfill the request.",
    ),
    (502, b"The server returned an invalid or incomplete response."),
    (503, b"No server is available to handle this request."),
    (504, b"The server didn't respond in time."),
];

/// Whether `body` is the page that HAProxy writes for `status`.
pub(super) fn is_page(status: u16, body: &[u8]) -> bool {
    page(status, body).is_some()
}

fn page(status: u16, body: &[u8]) -> Option<()> {
    let rest = body.strip_prefix(b"<html><body><h1>")?;
    let rest = rest.strip_prefix(status.to_string().as_bytes())?;
    let sentence = rest.strip_suffix(b"\n</body></html>\n")?;
    let line = memchr::memchr(b'\n', sentence)?;
    let (title, sentence) = sentence.split_at_checked(line)?;
    title.strip_suffix(b"</h1>")?;
    let sentence = sentence.strip_prefix(b"\n")?;
    SENTENCES.contains(&(status, sentence)).then_some(())
}
