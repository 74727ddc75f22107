//! What the screen shows, to the letter.

use std::io::Write;
use std::sync::{Arc, Mutex};

use hopscope_attribution::cause::Cause;
use hopscope_attribution::evidence::{Path, PathId, PathKind, RouteId, Span};

use super::display::Table;
use super::{Display, Live, LiveFrame, Mode, PathFrame, line, render};
use hopscope_fixtures::{connection, exchange, facts};
use hopscope_recording::{FinalFacts, Options, create};

fn frame() -> LiveFrame {
    LiveFrame {
        elapsed: Span::from_secs(134),
        paths: vec![
            PathFrame {
                name: "tunnel".to_owned(),
                rate: 2_406,
                open: 100,
                connections: 100,
                requests: 320_610,
                failed: 39_802,
                not_read: 0,
                p50: Some(Span::from_micros(7_780)),
                p99: Some(Span::from_micros(1_010_000)),
            },
            PathFrame {
                name: "lb-eu-central-1-internal".to_owned(),
                rate: 2_410,
                open: 100,
                connections: 100,
                requests: 320_644,
                failed: 0,
                not_read: 0,
                p50: Some(Span::from_micros(3_100)),
                p99: Some(Span::from_micros(12_000)),
            },
        ],
        rates: vec![0, 0, 1_200, 2_400, 4_800, 4_816],
        causes: vec![
            (Cause::BackendError, 31_022),
            (Cause::TunnelLost, 8_000),
            (Cause::ClientAbort, 700),
            (Cause::Undetermined, 80),
        ],
        lost: 0,
        bytes: 14_200_000,
        write_error: None,
    }
}

#[test]
fn a_terminal_of_80_columns_shows_every_column() {
    let expected = "\
hopscope  2:14   4,816 req/s ▁▁▃▅██   200 open   6.2 % failed
  path            req/s   open    requests    failed               p50      p99
  tunnel          2,406    100     320,610    39,802   12.4 %   7.8 ms   1.01 s
  lb-eu-centra…   2,410    100     320,644         0      0 %   3.1 ms    12 ms
  so far  backend-error 31,022  ·  tunnel-lost 8,000  ·  client-abort 700  ·  …
  recording 14 MB
";
    assert_eq!(render(&frame(), 79, false), expected);
}

#[test]
fn a_narrow_terminal_shows_what_tells_most() {
    let expected = "\
hopscope  2:14   4,816 req/s   200 open   6.2 %…
  path             req/s   failed       p99
  tunnel           2,406   12.4 %    1.01 s
  lb-eu-centra…    2,410      0 %     12 ms
  so far  backend-error 31,022  ·  tunnel-lost …
  recording 14 MB
";
    assert_eq!(render(&frame(), 48, false), expected);
}

#[test]
fn no_line_is_ever_wider_than_the_screen() {
    for width in 1..140 {
        for text in render(&frame(), width, false).lines() {
            assert!(text.chars().count() <= width, "{width}: {text}");
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let painted = render(&frame(), 100, true);
    assert!(painted.contains("\x1b[1;31mbackend-error\x1b[0m"), "{painted:?}");
    let mut plain = String::new();
    let mut rest = painted.as_str();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').expect("a colour ends").1;
    }
    plain.push_str(rest);
    assert_eq!(plain, render(&frame(), 100, false));
}

#[test]
fn losses_and_errors_are_shown() {
    let ill = LiveFrame {
        lost: 1_234,
        write_error: Some("database or disk is full".to_owned()),
        causes: Vec::new(),
        ..frame()
    };
    let table = render(&ill, 100, false);
    assert!(
        table.ends_with("  recording 14 MB   1,234 records lost   database or disk is full\n"),
        "{table}"
    );
    assert!(line(&ill).ends_with("; 1,234 records lost; the recording: database or disk is full"));
}

#[test]
fn a_log_gets_one_line() {
    assert_eq!(
        line(&frame()),
        "hopscope: 2 min 14 s, 4,816 req/s, 200 open, 641,254 requests, 6.2 % failed; tunnel: 12.4 % failed, \
         p50 7.8 ms, p99 1.01 s; lb-eu-central-1-internal: 0 % failed, p50 3.1 ms, p99 12 ms; mostly backend-error \
         (31,022)"
    );
}

#[test]
fn before_the_first_request_there_are_dashes_and_no_zeros() {
    let path = PathFrame {
        name: "direct".to_owned(),
        ..PathFrame::default()
    };
    let early = LiveFrame {
        paths: vec![path],
        rates: vec![0],
        ..LiveFrame::default()
    };
    let expected = "\
hopscope  0:00   0 req/s ▁   0 open   – failed
  path            req/s   open    requests    failed               p50      p99
  direct              0      0           0         0        –        –        –
  recording 0 B
";
    assert_eq!(render(&early, 100, false), expected);
}

#[test]
fn where_nothing_is_read_connections_are_counted() {
    let path = PathFrame {
        name: "direct".to_owned(),
        connections: 1_200,
        open: 7,
        ..PathFrame::default()
    };
    let opaque = LiveFrame {
        paths: vec![path],
        ..LiveFrame::default()
    };
    let table = render(&opaque, 60, false);
    assert!(
        table.starts_with("hopscope  0:00   0 req/s   7 open   1,200 connections\n"),
        "{table}"
    );
}

#[test]
fn a_frame_is_drawn_over_the_one_before() {
    let mut table = Table::default();
    let first = table.over("a\nb\n", 24);
    assert_eq!(first, "\x1b[?2026ha\x1b[K\r\nb\x1b[K\r\n\x1b[J\x1b[?2026l");
    let second = table.over("c\n", 24);
    assert_eq!(second, "\x1b[?2026h\x1b[2A\rc\x1b[K\r\n\x1b[J\x1b[?2026l");
    assert_eq!(table.erased(), "\x1b[1A\r\x1b[J");
    assert_eq!(table.erased(), "", "erased once");
    assert_eq!(
        table.over("a\nb\nc\nd\n", 3).matches("\r\n").count(),
        2,
        "never more than the screen holds"
    );
}

#[test]
fn what_is_recorded_is_what_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("run.sqlite");
    let live = Live::new(&facts().paths);
    let source = live.source();
    let (handle, closing) =
        create(&file, &facts(), &Options::default(), vec![Box::new(live)]).expect("a recording");
    handle.route(RouteId(0), "/a");
    let mut recorder = handle.recorder();
    for id in 0..5 {
        recorder.accepted(PathId(0));
        recorder.exchange(&exchange(
            0,
            0,
            if id < 3 { 200 } else { 429 },
            500_000 + id,
            2_000,
        ));
    }
    recorder.connection(connection(0, 0));
    drop(recorder);
    closing.finish(FinalFacts::default()).expect("the writer ends");
    let frame = source.frame();
    let tunnel = &frame.paths[0];
    assert_eq!(
        (tunnel.connections, tunnel.open, tunnel.requests, tunnel.failed),
        (5, 4, 5, 2)
    );
    assert_eq!(
        (tunnel.p50, tunnel.p99),
        (Some(Span::from_micros(2_000)), Some(Span::from_micros(2_000)))
    );
    assert_eq!(frame.causes, [(Cause::BackendRateLimited, 2)]);
    assert!(frame.bytes > 0);
}

/// What a display wrote.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_display_leaves_the_screen_as_it_found_it() {
    let paths = [Path {
        name: "direct".to_owned(),
        kind: PathKind::Direct,
        target: "h:1".to_owned(),
    }];
    let (live, screen) = (Live::new(&paths), Screen::default());
    let display = Display::start_on(
        live.source(),
        Mode::Table { colour: true },
        Box::new(screen.clone()),
        || (80, 24),
    );
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while screen.0.lock().expect("no panic").is_empty() {
        assert!(std::time::Instant::now() < deadline, "nothing was drawn");
        std::thread::yield_now();
    }
    drop(display);
    let drawn = String::from_utf8(screen.0.lock().expect("no panic").clone()).expect("text");
    assert!(
        drawn.contains("direct") && drawn.ends_with("\x1b[4A\r\x1b[J"),
        "{drawn:?}"
    );
}

#[test]
fn what_is_not_read_is_told_and_never_green() {
    let mut frame = frame();
    frame.paths.remove(0);
    frame.causes.clear();
    frame.paths[0].not_read = 12;
    let table = render(&frame, 79, true);
    assert!(table.contains("not read"), "{table}");
    assert!(table.contains("12 connections on lb-eu-centra…"), "{table}");
    assert!(!table.contains("\u{1b}[32m"), "nothing is green: {table:?}");
    assert!(
        line(&frame).contains("12 connections not read"),
        "{}",
        line(&frame)
    );
}
