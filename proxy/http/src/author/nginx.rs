//! nginx's built-in error page.

/// Whether `body` starts with the page that nginx writes for `status`. Older versions colour the body, some pages have
/// a line of explanation before the rule, and for some browsers padding follows the page.
pub(super) fn is_page(status: u16, body: &[u8]) -> bool {
    page(status, body).is_some()
}

fn page(status: u16, body: &[u8]) -> Option<()> {
    let rest = body.strip_prefix(b"<html>\r\n<head><title>")?;
    let rest = rest.strip_prefix(status.to_string().as_bytes())?;
    let rest = after(rest, b"</title></head>\r\n")?;
    let rest = rest
        .strip_prefix(b"<body>\r\n")
        .or_else(|| rest.strip_prefix(b"<body bgcolor=\"white\">\r\n"))?;
    let rest = rest.strip_prefix(b"<center><h1>")?;
    let rest = rest.strip_prefix(status.to_string().as_bytes())?;
    let rest = after(rest, b"<hr><center>nginx")?;
    let rest = match rest.first()? {
        b'/' => after(rest, b"</center>\r\n")?,
        _ => rest.strip_prefix(b"</center>\r\n")?,
    };
    rest.starts_with(b"</body>\r\n</html>\r\n").then_some(())
}

/// What follows the first `text`.
fn after<'a>(bytes: &'a [u8], text: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(text.len()).position(|window| window == text)?;
    bytes.get(at + text.len()..)
}
