//! Requests and failures over time: one bar a bucket, drawn in SVG inside the page.

use maud::{Markup, html};

use crate::model::{Bucket, Report};
use crate::section::Measure;
use hopscope_text::figures::{float, grouped};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 120.0;
/// Room for the times under the bars.
const AXIS: f64 = 20.0;

pub(super) fn markup(report: &Report) -> Markup {
    let timeline = &report.timeline;
    let most = timeline
        .buckets
        .iter()
        .map(|bucket| bucket.requests)
        .max()
        .unwrap_or(0);
    if most == 0 {
        return html! {};
    }
    let count = u32::try_from(timeline.buckets.len()).unwrap_or(u32::MAX);
    let step = WIDTH / f64::from(count);
    let gap = if step > 4.0 { 1.0 } else { 0.0 };
    let length = f64::from(timeline.bucket_seconds);
    html! {
        section {
            h2 { "Failures over time" }
            p.legend {
                span.k-undelivered { (Measure::Undelivered.name()) }
                span.k-error { (Measure::DeliveredErrors.name()) }
                span.k-ok { (Measure::Ok.name()) }
                span { "each bar " (seconds(timeline.bucket_seconds)) ", the highest " (grouped(most)) " requests" }
            }
            svg.strip viewBox={ "0 0 " (WIDTH) " " (HEIGHT + AXIS) } role="img" aria-label="Requests and failures over time" {
                @for (at, bucket) in (0..count).zip(&timeline.buckets) {
                    (bar(bucket, f64::from(at) * step, step - gap, most, f64::from(at) * length))
                }
                line x1="0" y1=(HEIGHT) x2=(WIDTH) y2=(HEIGHT) {}
                @for second in ticks(f64::from(count) * length) {
                    text x=(format!("{:.1}", f64::from(second) / (f64::from(count) * length) * WIDTH)) y=(HEIGHT + AXIS - 5.0)
                        text-anchor=(if second == 0 { "start" } else { "middle" }) { (clock(second.into())) }
                }
            }
        }
    }
}

/// Failures stand on the axis, where the eye compares them; what went well is stacked upon them.
fn bar(bucket: &Bucket, left: f64, width: f64, most: u64, from: f64) -> Markup {
    if bucket.requests == 0 {
        return html! {};
    }
    let failed = bucket.delivered_errors.saturating_add(bucket.undelivered);
    let mut bottom = HEIGHT;
    let parts = [
        ("k-undelivered", bucket.undelivered),
        ("k-error", bucket.delivered_errors),
        ("k-ok", bucket.requests.saturating_sub(failed)),
    ]
    .map(|(class, count)| {
        let height = float(count) / float(most) * HEIGHT;
        bottom -= height;
        (class, bottom, height)
    });
    html! {
        g {
            title {
                (clock(from)) ": " (grouped(bucket.requests)) " " (Measure::Requests.name()) ", "
                (grouped(bucket.delivered_errors)) " " (Measure::DeliveredErrors.name()) ", "
                (grouped(bucket.undelivered)) " " (Measure::Undelivered.name())
            }
            @for (class, top, height) in parts.into_iter().filter(|(_, _, height)| *height > 0.0) {
                rect.(class) x=(format!("{left:.2}")) y=(format!("{top:.2}")) width=(format!("{width:.2}"))
                    height=(format!("{height:.2}")) {}
            }
        }
    }
}

/// The seconds that have a mark on the axis. The last mark needs room for its text.
fn ticks(total: f64) -> Vec<u32> {
    let length = tick_length(total).max(1);
    (0..u32::MAX)
        .step_by(usize::try_from(length).unwrap_or(usize::MAX))
        .take_while(|second| f64::from(*second) < total * 0.97)
        .collect()
}

/// The shortest distance between marks on the axis that a clock would show and that leaves at most eight of them.
fn tick_length(total: f64) -> u32 {
    const LENGTHS: [u32; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 21_600];
    LENGTHS
        .into_iter()
        .find(|length| total / f64::from(*length) <= 8.0)
        .unwrap_or_else(|| {
            u32::try_from(hopscope_text::figures::span(total).as_micros() / 7_000_000).unwrap_or(u32::MAX / 2)
        })
}

/// A bucket's length: `5 s`, `1 min`.
fn seconds(length: u32) -> String {
    match length {
        0..60 => format!("{length} s"),
        60..3_600 => format!("{} min", length / 60),
        _ => format!("{} h", length / 3_600),
    }
}

/// A time since the start, as a clock shows it: `1:45`.
fn clock(seconds: f64) -> String {
    let whole = hopscope_text::figures::span(seconds).as_micros() / 1_000_000;
    if whole >= 3_600 {
        format!("{}:{:02}:{:02}", whole / 3_600, whole / 60 % 60, whole % 60)
    } else {
        format!("{}:{:02}", whole / 60, whole % 60)
    }
}
