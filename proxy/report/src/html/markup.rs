//! The page under construction, and the one way by which foreign text enters it.

use std::fmt;

use hopscope_text::paint::harmless;

/// The page so far.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) text: String,
}

/// Adds formatted markup. Writing into a string does not fail.
macro_rules! page {
    ($page:expr, $($format:tt)*) => {{
        use ::std::fmt::Write as _;
        let written = ::std::write!($page.text, $($format)*);
        debug_assert!(written.is_ok(), "writing into a string does not fail");
    }};
}
pub(super) use page;

/// A text that is shown as it is, in an element or in a quoted attribute: nothing in it is markup.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in harmless(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Escaped;

    #[test]
    fn nothing_in_a_text_becomes_markup() {
        assert_eq!(
            Escaped("<b a=\"1\" c='2'>&amp;\u{0}\u{202e}</b>").to_string(),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;\u{fffd}\u{fffd}&lt;/b&gt;"
        );
    }
}
