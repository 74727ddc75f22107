//! Requests and failures over time: one bar a bucket, drawn in SVG inside the page.

use super::markup::{Page, page};
use crate::report::figures::{float, grouped, length};
use crate::report::model::{Bucket, Report};

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
        length(bucket_seconds),
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
    for quarter in 0..=4_u8 {
        let at = f64::from(quarter) / 4.0;
        let anchor = match quarter {
            0 => "start",
            4 => "end",
            _ => "middle",
        };
        page!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>\n",
            at * WIDTH,
            HEIGHT + AXIS - 5.0,
            clock(at * from),
        );
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

/// A time since the start, as a clock shows it: `1:45`.
fn clock(seconds: f64) -> String {
    let whole = crate::report::figures::span(seconds).0 / 1_000_000;
    if whole >= 3_600 {
        format!("{}:{:02}:{:02}", whole / 3_600, whole / 60 % 60, whole % 60)
    } else {
        format!("{}:{:02}", whole / 60, whole % 60)
    }
}
