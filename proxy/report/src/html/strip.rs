//! Requests and failures over time: one bar a bucket, drawn in SVG inside the page.

use super::markup::{Page, page};
use crate::model::{Bucket, Report};
use hopscope_text::figures::{float, grouped};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 120.0;
/// Room for the times under the bars.
const AXIS: f64 = 20.0;

pub(super) fn write(out: &mut Page, report: &Report) {
    let timeline = &report.timeline;
    let most = timeline
        .buckets
        .iter()
        .map(|bucket| bucket.requests)
        .max()
        .unwrap_or(0);
    if most == 0 {
        return;
    }
    let bucket_seconds = f64::from(timeline.bucket_seconds);
    page!(
        out,
        "<section>\n<h2>Failures over time</h2>\n<p class=\"legend\"><span class=\"k-undelivered\">without a full \
         answer</span><span class=\"k-error\">answered with an error</span><span class=\"k-ok\">ok</span>\
         <span>each bar {}, the highest {} requests</span></p>\n\
         <svg class=\"strip\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"Requests and failures over time\">\n",
        seconds(timeline.bucket_seconds),
        grouped(most),
        HEIGHT + AXIS,
    );
    let step = WIDTH / float(u64::try_from(timeline.buckets.len()).unwrap_or(u64::MAX));
    let gap = if step > 4.0 { 1.0 } else { 0.0 };
    let mut left = 0.0;
    let mut from = 0.0;
    for bucket in &timeline.buckets {
        bar(out, bucket, left, step - gap, most, from);
        left += step;
        from += bucket_seconds;
    }
    page!(
        out,
        "<line x1=\"0\" y1=\"{HEIGHT}\" x2=\"{WIDTH}\" y2=\"{HEIGHT}\"/>\n"
    );
    let tick = tick_length(from);
    let mut second = 0_u32;
    // The last mark needs room for its text.
    while f64::from(second) < from * 0.97 {
        let anchor = if second == 0 { "start" } else { "middle" };
        page!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>\n",
            f64::from(second) / from * WIDTH,
            HEIGHT + AXIS - 5.0,
            clock(second.into()),
        );
        second = second.saturating_add(tick.max(1));
        if second == u32::MAX {
            break;
        }
    }
    page!(out, "</svg>\n</section>\n");
}

/// Failures stand on the axis, where the eye compares them; what went well is stacked upon them.
fn bar(out: &mut Page, bucket: &Bucket, left: f64, width: f64, most: u64, from: f64) {
    if bucket.requests == 0 {
        return;
    }
    let failed = bucket.delivered_errors.saturating_add(bucket.undelivered);
    page!(
        out,
        "<g><title>{}: {} requests, {} answered with an error, {} without a full answer</title>",
        clock(from),
        grouped(bucket.requests),
        grouped(bucket.delivered_errors),
        grouped(bucket.undelivered)
    );
    let mut bottom = HEIGHT;
    for (class, count) in [
        ("k-undelivered", bucket.undelivered),
        ("k-error", bucket.delivered_errors),
        ("k-ok", bucket.requests.saturating_sub(failed)),
    ] {
        if count > 0 {
            let height = float(count) / float(most) * HEIGHT;
            bottom -= height;
            page!(
                out,
                "<rect class=\"{class}\" x=\"{left:.2}\" y=\"{bottom:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"/>"
            );
        }
    }
    page!(out, "</g>\n");
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
