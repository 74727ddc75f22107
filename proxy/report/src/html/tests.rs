//! Tests of `html`.

use super::*;
use crate::sample;
use hopscope_golden as golden;

#[test]
fn the_seed_looks_like_this() {
    golden::check("seed.html", &render(&sample::report()));
}

#[test]
fn no_name_from_outside_becomes_markup_or_a_script() {
    let page = render(&sample::hostile());
    assert!(!page.contains("<script"), "a script");
    assert!(!page.contains("<!--") && !page.contains('\u{1b}') && !page.contains('\u{202e}'));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    // Every tag in the page is one of ours, opened and closed as often.
    for tag in [
        "section", "table", "tr", "td", "li", "ol", "ul", "div", "span", "article", "code", "svg", "main",
    ] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn the_page_asks_for_nothing_from_anywhere() {
    for report in [sample::report(), sample::empty(), sample::hostile()] {
        let page = render(&report);
        for asks in [
            " src=", " href=", "url(", "@import", "<script", "<link", "<img", "<iframe",
        ] {
            let found = page.replace("&lt;img src=", "");
            assert!(!found.contains(asks), "{asks}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}
