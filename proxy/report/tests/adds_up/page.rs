//! What a rendered report says in numbers, read back from its text.

/// The numbers of a report in one of its forms.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// `29,826 requests = 4,663 ok + 25,163 answered with an error + 0 undelivered`
    pub(crate) sums: Vec<String>,
    /// Heads and rows.
    pub(crate) tables: Vec<Vec<Vec<String>>>,
    /// What a hop is charged with, and each of its causes: `180 failures (100 requests, 80 connections)`.
    pub(crate) charges: Vec<(String, Vec<String>)>,
    /// Everything, line by line, without markup.
    pub(crate) lines: Vec<String>,
}

pub(crate) fn terminal(text: &str) -> Page {
    let mut page = Page::default();
    let mut title = "";
    for line in text.lines() {
        page.lines.push(line.trim().to_owned());
        if !line.starts_with(' ') {
            title = line;
            if ["Paths", "Routes", "Latency"].contains(&title) {
                page.tables.push(Vec::new());
            }
            continue;
        }
        match title {
            "Counts" | "hopscope itself" if line.contains(" = ") => page.sums.push(line.trim().to_owned()),
            "Paths" | "Routes" | "Latency" => {
                let cells = line.trim().split("  ").map(str::trim);
                let cells: Vec<String> = cells.filter(|cell| !cell.is_empty()).map(str::to_owned).collect();
                let table = page.tables.last_mut().expect("a table was begun");
                // Sentences stand behind the table.
                if table.first().is_none_or(|heads| heads.len() <= cells.len() + 1) {
                    table.push(cells);
                }
            }
            _ if title.starts_with("Who is charged") => {
                let indent = line.len() - line.trim_start().len();
                let said = line
                    .trim()
                    .split_once("  ")
                    .map_or("", |(_, said)| said)
                    .to_owned();
                match indent {
                    2 => page.charges.push((said, Vec::new())),
                    4 => page.charges.last_mut().expect("a hop was named").1.push(said),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    page
}

pub(crate) fn markdown(text: &str) -> Page {
    let mut page = Page::default();
    let mut in_table = false;
    for line in text.lines() {
        let plain = line.replace(['*', '\\', '`'], "");
        page.lines.push(plain.trim_start_matches("- ").trim().to_owned());
        if let Some(row) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) {
            if !in_table {
                page.tables.push(Vec::new());
            }
            in_table = true;
            if !row.starts_with("---") {
                let cells = row.split(" | ").map(|cell| cell.trim().to_owned());
                page.tables
                    .last_mut()
                    .expect("a table was begun")
                    .push(cells.collect());
            }
            continue;
        }
        in_table = false;
        if line.starts_with("- ") && line.contains(" = ") {
            page.sums.push(line.trim_start_matches("- ").to_owned());
        } else if let Some(hop) = line.strip_prefix("**")
            && let Some((_, said)) = hop.split_once("**: ")
        {
            page.charges.push((said.to_owned(), Vec::new()));
        } else if line.starts_with("- **")
            && line.contains("confidence")
            && let Some((_, said)) = line.split_once(": ")
        {
            let causes = page.charges.last_mut().expect("a hop was named");
            causes.1.push(said.to_owned());
        }
    }
    page
}

pub(crate) fn html(text: &str) -> Page {
    let mut page = Page::default();
    for table in between(text, "<table>", "</table>") {
        let rows = between(table, "<tr>", "</tr>").into_iter().map(|row| {
            let row = row.replace("<th", "<td").replace("</th>", "</td>");
            between(&row, "<td", "</td>")
                .into_iter()
                .map(|cell| plain(&format!("<td{cell}")))
                .collect()
        });
        page.tables.push(rows.collect());
    }
    page.sums = between(text, "<p class=\"sum\">", "</p>")
        .into_iter()
        .map(plain)
        .collect();
    for hop in text.split("<h3><span class=\"chip").skip(1) {
        let failed = between(hop, "<small>", "</small>");
        let causes = between(hop, "<article class=\"cause\">", "</header>")
            .into_iter()
            .map(|cause| {
                plain(
                    between(cause, "<span>", "</span>")
                        .first()
                        .copied()
                        .unwrap_or_default(),
                )
            });
        page.charges.push((
            plain(failed.first().copied().unwrap_or_default()),
            causes.collect(),
        ));
    }
    for end in ["</li>", "</h1>", "</dt>", "</p>", "</title>"] {
        let lines = text
            .split(end)
            .map(|part| part.rsplit(&end.replace('/', "")[..end.len() - 2]).next());
        page.lines
            .extend(lines.flatten().map(|line| plain(&format!("<{line}"))));
    }
    page
}

/// What stands between each begin and the end that follows it.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> Vec<&'t str> {
    text.split(begin)
        .skip(1)
        .map(|rest| rest.split(end).next().unwrap_or_default())
        .collect()
}

/// Without tags and entities.
fn plain(markup: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in markup.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            _ if !inside => out.push(c),
            _ => {}
        }
    }
    out.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
        .trim()
        .to_owned()
}
