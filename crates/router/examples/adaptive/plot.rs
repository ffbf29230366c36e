//! The plot: the troubled vendor's share, and the mean time of an answer, over time and by policy.

use std::fmt::Write as _;

use crate::world::{Served, means, share};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 60.0;
const PLOT: f64 = 640.0;
const HEIGHT: f64 = 190.0;
/// Seconds of a point.
const STEP: f64 = 20.0;
const COLOURS: [&str; 5] = ["#8a8a8a", "#b07aa1", "#4e79a7", "#e15759", "#2c8a4b"];

/// One panel's frame: where it lies, and how high its values go.
struct Panel {
    top: f64,
    most: f64,
    length: f64,
}

impl Panel {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + PLOT * seconds / self.length
    }

    fn y(&self, value: f64) -> f64 {
        self.top + HEIGHT * (1.0 - value.min(self.most) / self.most)
    }

    fn frame(&self, svg: &mut String, title: &str, slow: (f64, f64), ticks: &[(f64, &str)]) {
        let (left, right) = (self.x(slow.0), self.x(slow.1));
        let _ = writeln!(
            svg,
            r##"<rect x="{left:.1}" y="{:.1}" width="{:.1}" height="{HEIGHT}" fill="#f6e7d7"/>"##,
            self.top,
            right - left
        );
        let _ =
            writeln!(svg, r#"<text x="{LEFT}" y="{:.1}" font-weight="bold">{title}</text>"#, self.top - 10.0);
        for (value, label) in ticks {
            let y = self.y(*value);
            let _ = writeln!(
                svg,
                r##"<line x1="{LEFT}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}" stroke="#dddddd"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"##,
                LEFT + PLOT,
                LEFT - 6.0,
                y + 4.0
            );
        }
        for minute in (0..=40).step_by(5) {
            let x = self.x(f64::from(minute) * 60.0);
            let _ = writeln!(
                svg,
                r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{minute}</text>"#,
                self.top + HEIGHT + 16.0
            );
        }
    }

    fn line(&self, svg: &mut String, colour: &str, value: impl Fn(f64, f64) -> f64) {
        let mut points = String::new();
        let mut at = 0.0;
        while at + STEP <= self.length {
            let value = value(at, at + STEP);
            if !value.is_nan() {
                let _ = write!(points, "{:.1},{:.1} ", self.x(at + STEP / 2.0), self.y(value));
            }
            at += STEP;
        }
        let points = points.trim_end();
        let _ = writeln!(
            svg,
            r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>"#
        );
    }
}

/// Draws both panels.
pub fn draw(runs: &[(&str, Vec<Served>)], vendor: usize, length: f64, slow: (f64, f64)) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} 520\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"520\" fill=\"white\"/>\n"
    );
    let shares = Panel { top: 40.0, most: 1.0, length };
    let title = "Share of requests that ask the cheapest vendor first (shaded: it is 8 times slower)";
    shares.frame(&mut svg, title, slow, &[(0.0, "0"), (0.5, "0.5"), (1.0, "1")]);
    let times = Panel { top: 290.0, most: 40.0, length };
    let ticks = [(0.0, "0 s"), (10.0, "10 s"), (20.0, "20 s"), (30.0, "30 s"), (40.0, "≥ 40 s")];
    times.frame(
        &mut svg,
        "Mean time of an answer over 20 seconds (simulated); minutes on the axis",
        slow,
        &ticks,
    );
    for (at, ((name, served), colour)) in runs.iter().zip(COLOURS).enumerate() {
        shares.line(&mut svg, colour, |from, to| share(served, vendor, from, to));
        times.line(&mut svg, colour, |from, to| means(served, from, to).seconds);
        let y = 50.0 + 20.0 * f64::from(u32::try_from(at).unwrap_or(0));
        let _ = writeln!(
            svg,
            r#"<line x1="720" x2="744" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/><text x="750" y="{:.1}">{name}</text>"#,
            y + 4.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}
