//! A plot as an SVG picture: both axes logarithmic, readable on a light and on a dark page.

use std::fmt::Write;

use crate::curves::Plot;
use crate::data::Point;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 56.0;

/// Nothing smaller is shown.
const SMALLEST: f64 = 0.1;

/// Each line has a colour of its own, and a mark for those who do not tell colours apart.
const COLOURS: usize = 3;

/// A logarithmic axis: the exponents of its ends, and where those are in the picture.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// From the least to the most of the values.
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            low = low.min(value.max(SMALLEST).log10());
            high = high.max(value.max(SMALLEST).log10());
        }
        Self { low, high, from, to }
    }

    /// Made longer, to whole powers of ten.
    fn rounded(self) -> Self {
        let low = self.low.floor();
        let high = self.high.ceil().max(low + 1.0);
        Self { low, high, ..self }
    }

    fn place(&self, value: f64) -> f64 {
        let share = (value.max(SMALLEST).log10() - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// The powers of ten; also what is between them if there are few.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let steps: &[f64] = if self.high - self.low > 2.0 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let (low, high) = (self.low - 1e-9, self.high + 1e-9);
        let powers = low.floor() as i32..=high.ceil() as i32;
        let ticks = powers.flat_map(move |power| steps.iter().map(move |step| step * 10_f64.powi(power)));
        ticks.filter(move |tick| (low..=high).contains(&tick.log10()))
    }
}

pub(crate) fn draw(plot: &Plot, points: &[&Point]) -> String {
    let x = Axis::new(points.iter().map(|point| point.x as f64), LEFT, WIDTH - RIGHT);
    let values = points.iter().flat_map(|point| [point.least, point.most]);
    let y = Axis::new(values, HEIGHT - BOTTOM, TOP).rounded();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>{}: {} over {}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"24\">{}</text>\n",
        plot.title, plot.y, plot.x, plot.title
    );
    grid(&mut svg, plot, &x, &y);
    let mut lines: Vec<&str> = Vec::new();
    for point in points {
        if !lines.contains(&point.line.as_str()) {
            lines.push(&point.line);
        }
    }
    let mut legend = LEFT;
    for (number, line) in lines.iter().enumerate() {
        let class = number % COLOURS;
        let own = points.iter().filter(|point| point.line == *line);
        let own: Vec<_> = own.map(|point| (x.place(point.x as f64), *point)).collect();
        let path: Vec<String> = own
            .iter()
            .map(|(x, point)| format!("{x:.1},{:.1}", y.place(point.median)))
            .collect();
        put(
            &mut svg,
            format_args!(
                "<polyline class=\"line c{class}\" points=\"{}\"/>",
                path.join(" ")
            ),
        );
        for (x, point) in own {
            let (least, most) = (y.place(point.least), y.place(point.most));
            put(
                &mut svg,
                format_args!("<path class=\"spread c{class}\" d=\"M{x:.1} {least:.1}V{most:.1}\"/>"),
            );
            mark(&mut svg, class, x, y.place(point.median));
        }
        mark(&mut svg, class, legend + 4.0, 46.0);
        put(
            &mut svg,
            format_args!("<text x=\"{:.1}\" y=\"50\">{line}</text>", legend + 14.0),
        );
        legend += 34.0 + 7.0 * line.len() as f64;
    }
    svg + "</svg>\n"
}

fn grid(svg: &mut String, plot: &Plot, x: &Axis, y: &Axis) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for tick in x.ticks() {
        let at = x.place(tick);
        put(
            svg,
            format_args!("<path class=\"grid\" d=\"M{at:.1} {TOP}V{bottom}\"/>"),
        );
        put(
            svg,
            format_args!(
                "<text class=\"x\" x=\"{at:.1}\" y=\"{}\">{}</text>",
                bottom + 18.0,
                number(tick)
            ),
        );
    }
    for tick in y.ticks() {
        let at = y.place(tick);
        put(
            svg,
            format_args!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>"),
        );
        put(
            svg,
            format_args!(
                "<text class=\"y\" x=\"{}\" y=\"{:.1}\">{}</text>",
                LEFT - 8.0,
                at + 4.0,
                number(tick)
            ),
        );
    }
    let middle = (LEFT + right) / 2.0;
    put(
        svg,
        format_args!(
            "<text class=\"x\" x=\"{middle}\" y=\"{}\">{}</text>",
            HEIGHT - 14.0,
            plot.x
        ),
    );
    let middle = (TOP + bottom) / 2.0;
    put(
        svg,
        format_args!(
            "<text class=\"x\" transform=\"translate(18 {middle}) rotate(-90)\">{}</text>",
            plot.y
        ),
    );
}

fn mark(svg: &mut String, class: usize, x: f64, y: f64) {
    match class {
        0 => put(
            svg,
            format_args!("<circle class=\"mark c0\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        ),
        1 => put(
            svg,
            format_args!(
                "<path class=\"mark c1\" d=\"M{:.1} {:.1}h8v8h-8z\"/>",
                x - 4.0,
                y - 4.0
            ),
        ),
        _ => put(
            svg,
            format_args!("<path class=\"mark c2\" d=\"M{x:.1} {:.1}l5 9h-10z\"/>", y - 5.0),
        ),
    }
}

/// With the prefixes of the metric system.
fn number(value: f64) -> String {
    if value >= 1e6 {
        format!("{} M", value / 1e6)
    } else if value >= 1e3 {
        format!("{} k", value / 1e3)
    } else {
        format!("{value}")
    }
}

fn put(svg: &mut String, element: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(svg, "{element}");
}

const STYLE: &str = "\
.page{fill:#fff}text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-size:16px;font-weight:600}\
.x{text-anchor:middle}.y{text-anchor:end}.grid{stroke:#d0d7de;fill:none}\
.line{fill:none;stroke-width:2}.spread{stroke-width:1.5}.mark{stroke:none}\
.c0{stroke:#0969da}.c1{stroke:#bc4c00}.c2{stroke:#1a7f37}\
.mark.c0{fill:#0969da}.mark.c1{fill:#bc4c00}.mark.c2{fill:#1a7f37}\
@media(prefers-color-scheme:dark){.page{fill:#0d1117}text{fill:#e6edf3}.grid{stroke:#30363d}\
.c0{stroke:#58a6ff}.c1{stroke:#f0883e}.c2{stroke:#3fb950}\
.mark.c0{fill:#58a6ff}.mark.c1{fill:#f0883e}.mark.c2{fill:#3fb950}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_where_the_axis_says() {
        let axis = Axis::new([1.0, 1000.0].into_iter(), 100.0, 400.0);
        assert_eq!(
            [1.0, 10.0, 1000.0].map(|value| axis.place(value)),
            [100.0, 200.0, 400.0]
        );
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [1.0, 10.0, 100.0, 1000.0]);
        let short = Axis::new([15.0, 30.0].into_iter(), 0.0, 1.0).rounded();
        assert_eq!(short.ticks().collect::<Vec<_>>(), [10.0, 20.0, 50.0, 100.0]);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.1, 5.0, 20_000.0, 1e6].map(number), ["0.1", "5", "20 k", "1 M"]);
    }

    #[test]
    fn a_picture_has_its_axes_lines_and_legend() {
        let points = [(1, 20.0), (100, 30.0)].map(|(x, y)| Point {
            plot: "size".to_owned(),
            line: "publish".to_owned(),
            x,
            median: y,
            least: y,
            most: 2.0 * y,
        });
        let plot = crate::data::plots().next().unwrap();
        let svg = draw(plot, &points.iter().collect::<Vec<_>>());
        for part in [
            plot.title,
            plot.x,
            plot.y,
            ">publish</text>",
            "prefers-color-scheme:dark",
        ] {
            assert!(svg.contains(part), "{part}");
        }
        assert_eq!(svg.matches("class=\"spread").count(), 2);
    }
}
