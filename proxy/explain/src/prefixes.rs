//! What terminals, log collectors, CI systems and mail put around a generator's own line.

/// Prefixes nest (a quote of a CI log of a container); more layers than this no one has.
const MOST_LAYERS: usize = 5;

/// Appends a line without terminal codes and without the prefixes that are known.
pub(super) fn clean(line: &str, out: &mut String) {
    let start = out.len();
    if line.contains(['\u{1b}', '\r', '\u{8}', '\u{9b}']) {
        without_codes(line, out);
    } else {
        out.push_str(line);
    }
    let mut rest = out.get(start..).unwrap_or_default();
    for _ in 0..MOST_LAYERS {
        match layer(rest) {
            Some(inner) if inner.len() < rest.len() => rest = inner,
            _ => break,
        }
    }
    let cut = out.len() - start - rest.len();
    if cut > 0 {
        out.drain(start..start + cut);
    }
}

/// Copies a line without escape sequences (ECMA-48 control sequences, and operating system commands up to their end). A
/// carriage return goes back to the start of the line: what was before it has been written over.
fn without_codes(line: &str, out: &mut String) {
    let start = out.len();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                Some(']') => while chars.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
                Some('(' | ')') => {
                    chars.next();
                }
                Some(_) | None => {}
            },
            '\u{9b}' => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            '\r' if chars.peek().is_some() => out.truncate(start),
            '\r' => {}
            '\u{8}' => {
                if out.len() > start {
                    out.pop();
                }
            }
            _ => out.push(c),
        }
    }
}

/// A line without its outermost prefix, when it has one.
fn layer(line: &str) -> Option<&str> {
    quote(line)
        .or_else(|| timestamped(line))
        .or_else(|| bracketed(line))
        .or_else(|| piped(line))
        .or_else(|| tabbed(line))
        .or_else(|| syslog(line))
}

/// `> ` of a mail or of Markdown. Gatling begins lines with it as well, and its reader does without.
fn quote(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('>')?;
    Some(rest.strip_prefix(' ').unwrap_or(rest))
}

/// A time as collectors write it (`2026-01-02T03:04:05.123456789Z `, with an offset, or with a blank for the T), bare or
/// in brackets, and behind it the marks of the container runtime (`stdout F `) and of GitLab (`00O `, `01E+`).
fn timestamped(line: &str) -> Option<&str> {
    let (inner, bracket) = match line.strip_prefix('[') {
        Some(inner) => (inner, true),
        None => (line, false),
    };
    let bytes = inner.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, what: &[u8]| bytes.get(at).is_some_and(|byte| what.contains(byte));
    let date =
        (0..4).all(digit) && is(4, b"-") && digit(5) && digit(6) && is(7, b"-") && digit(8) && digit(9);
    let time =
        is(10, b"T ") && digit(11) && digit(12) && is(13, b":") && digit(14) && digit(15) && is(16, b":");
    if !(date && time && digit(17) && digit(18)) {
        return None;
    }
    let mut at = 19;
    if is(at, b".,") {
        at += 1;
        while digit(at) {
            at += 1;
        }
    }
    if is(at, b"Zz") {
        at += 1;
    } else if is(at, b"+-") && digit(at + 1) && digit(at + 2) {
        at += 1;
        while digit(at) || is(at, b":") {
            at += 1;
        }
    }
    let mut rest = inner.get(at..)?;
    if bracket {
        rest = rest.strip_prefix(']')?;
    }
    let rest = match rest.strip_prefix([' ', '\t']) {
        Some(rest) => rest,
        None if rest.is_empty() => return Some(rest),
        None => return None,
    };
    Some(runtime_marks(rest))
}

fn runtime_marks(rest: &str) -> &str {
    for mark in ["stdout F ", "stderr F ", "stdout P ", "stderr P "] {
        if let Some(rest) = rest.strip_prefix(mark) {
            return rest;
        }
    }
    match rest.as_bytes() {
        [a, b, b'O' | b'E', end, ..]
            if a.is_ascii_digit() && b.is_ascii_digit() && matches!(end, b' ' | b'+') =>
        {
            rest.get(4..).unwrap_or_default()
        }
        [a, b, b'O' | b'E'] if a.is_ascii_digit() && b.is_ascii_digit() => "",
        _ => rest,
    }
}

/// `[pod/NAME/CONTAINER] `, as kubectl's `--prefix` has it, and `[NAME] ` of runners; not `[200]` and other figures.
fn bracketed(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix('[')?.split_once(']')?;
    let rest = rest
        .strip_prefix(' ')
        .or_else(|| rest.is_empty().then_some(rest))?;
    (name.starts_with("pod/") && name.len() > 4 && name.len() < 400).then_some(rest)
}

/// `k6-1  | `, as docker compose has it.
fn piped(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once('|')?;
    let name = name.strip_suffix(' ')?.trim_end();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let named =
        !name.is_empty() && name.len() <= 80 && name.chars().all(plain) && name.contains(char::is_alphabetic);
    let rest = rest
        .strip_prefix(' ')
        .or_else(|| rest.is_empty().then_some(rest))?;
    named.then_some(rest)
}

/// `JOB\tSTEP\t2026-01-02T03:04:05Z line`, as GitHub's `gh run view --log` has it.
fn tabbed(line: &str) -> Option<&str> {
    let mut parts = line.splitn(3, '\t');
    let (_job, _step, rest) = (parts.next()?, parts.next()?, parts.next()?);
    timestamped(rest.strip_prefix('\u{feff}').unwrap_or(rest))
}

/// `Jan  2 03:04:05 HOST NAME[PID]: line`, as journalctl and syslog have it.
fn syslog(line: &str) -> Option<&str> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    MONTHS.iter().find(|month| line.starts_with(**month))?;
    let time = line.as_bytes().get(6..15)?;
    let [b' ', _, _, b':', _, _, b':', _, _] = time else {
        return None;
    };
    let (head, rest) = line.split_once("]: ")?;
    (head.contains('[') && head.len() < 200).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::clean;

    fn cleaned(line: &str) -> String {
        let mut out = String::new();
        clean(line, &mut out);
        out
    }

    #[test]
    fn what_collectors_put_before_a_line_is_taken_off() {
        let line = "    http_reqs....: 29826  70.78/s";
        for prefix in [
            "> ",
            ">",
            ">> ",
            "k6-1  | ",
            "k6_1     | ",
            "2026-01-02T03:04:05.123456789Z ",
            "2026-01-02T03:04:05+02:00 ",
            "2026-01-02T03:04:05.1234567Z ",
            "2026-01-02T03:04:05.123456Z 00O ",
            "2026-01-02T03:04:05.123456Z 01E+",
            "2026-01-02T03:04:05.123456789Z stdout F ",
            "[2026-01-02T03:04:05.123Z] ",
            "[pod/k6-abc/k6] ",
            "[pod/k6-abc/k6] 2026-01-02T03:04:05.123456789Z ",
            "load\tRun k6\t2026-01-02T03:04:05.1234567Z ",
            "Jan  2 03:04:05 host k6[123]: ",
            "> 2026-01-02T03:04:05Z k6-1 | ",
        ] {
            assert_eq!(
                cleaned(&format!("{prefix}{line}")).trim(),
                line.trim(),
                "{prefix}"
            );
        }
    }

    #[test]
    fn colours_and_lines_written_over_are_gone() {
        assert_eq!(cleaned("\u{1b}[32m✓\u{1b}[0m \u{1b}]8;;x\u{7}ok"), "✓ ok");
        assert_eq!(cleaned("running 10 %\rrunning 20 %\rdone"), "done");
        assert_eq!(cleaned("section_start:1:k6\r\u{1b}[0K$ k6 run"), "$ k6 run");
    }

    #[test]
    fn lines_that_only_look_alike_stay() {
        for line in [
            "  [200]\t150 responses",
            "GET      /mix      129    32(24.81%) |     12       0     117      8 |   63.53       15.76",
            "Type     Name     # reqs      # fails |    Avg",
            "--------|----------|-------",
            "[2026-11-30 22:21:38,965] vm/INFO/locust.main: Starting Locust 2.47.0",
            "time=\"2026-11-30T22:22:55Z\" level=warning msg=\"Request Failed\" error=\"EOF\"",
        ] {
            let kept = cleaned(line);
            assert!(
                line.ends_with(&kept) && kept.len() + 26 >= line.len(),
                "{line}: {kept}"
            );
        }
        assert_eq!(cleaned("  [200]\t150 responses"), "  [200]\t150 responses");
    }
}
