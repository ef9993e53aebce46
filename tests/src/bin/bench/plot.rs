//! A bar for each subject, as SVG that is readable on light and dark pages.

use std::fmt::Write as _;

use crate::measure::Figures;

const WIDTH: f64 = 860.0;
const LABEL_WIDTH: f64 = 330.0;
const ROW: f64 = 22.0;
const BAR: f64 = 14.0;
const VALUE_WIDTH: f64 = 70.0;
const OURS: &str = "#2f7ed8";
const OTHERS: &str = "#8f9aa6";

/// Draws the speeds of all benches that have any.
pub(crate) fn bars(all: &[Figures]) -> String {
    let (mut body, mut y) = (String::new(), 0.0);
    for figures in all.iter().filter(|figures| !figures.series.is_empty()) {
        y += ROW * 1.4;
        text(&mut body, 4.0, y, "bold", &format!("{}, MB/s", figures.title));
        let most = figures.series.iter().map(crate::measure::Series::speed).fold(1.0, f64::max);
        for series in &figures.series {
            y += ROW;
            let length = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) * series.speed() / most;
            let color = if series.name.starts_with("Towpath") { OURS } else { OTHERS };
            text(&mut body, 4.0, y, "normal", &series.name);
            let top = y - BAR + 2.0;
            // Writing to a String cannot fail.
            let _ = writeln!(
                body,
                r#"<rect x="{LABEL_WIDTH}" y="{top:.1}" width="{length:.1}" height="{BAR}" fill="{color}"/>"#
            );
            text(&mut body, LABEL_WIDTH + length + 6.0, y, "normal", &format!("{:.1}", series.speed()));
        }
    }
    let height = y + ROW / 2.0;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<style>text {{ fill: #1f2933 }} @media (prefers-color-scheme: dark) {{ text {{ fill: #d8dee6 }} }}</style>
{body}</svg>
"#
    )
}

fn text(body: &mut String, x: f64, y: f64, weight: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, r#"<text x="{x:.1}" y="{y:.1}" font-weight="{weight}">{content}</text>"#);
}
