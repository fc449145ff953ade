//! The data file: what was measured, one line for each point.

use std::fs;
use std::path::Path;

use crate::curves::{CURVES, Plot, Sample};

const HEAD: &str = "plot,line,x,median,least,most";

/// A point, from several rounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) plot: String,
    pub(crate) line: String,
    pub(crate) x: u64,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// Puts the rounds together, in the order of the curves, and their lines in the order in which they came.
pub(crate) fn points(samples: &[Sample]) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    for sample in samples {
        let known =
            |point: &Point| (&point.plot, &point.line, point.x) == (&sample.plot, &sample.line, sample.x);
        if points.iter().any(known) {
            continue;
        }
        let same = samples
            .iter()
            .filter(|other| (&other.plot, &other.line, other.x) == (&sample.plot, &sample.line, sample.x));
        let mut values: Vec<f64> = same.map(|sample| sample.y).collect();
        values.sort_by(f64::total_cmp);
        points.push(Point {
            plot: sample.plot.clone(),
            line: sample.line.clone(),
            x: sample.x,
            median: values[values.len() / 2],
            least: values[0],
            most: values[values.len() - 1],
        });
    }
    points
}

/// Replaces the plots that were measured in the file, and keeps the others.
pub(crate) fn write(file: &Path, measured: Vec<Point>) -> Result<(), String> {
    let mut points = if file.exists() { read(file)? } else { Vec::new() };
    points.retain(|old| measured.iter().all(|new| new.plot != old.plot));
    points.extend(measured);
    let mut text = format!("{HEAD}\n");
    for plot in plots() {
        for point in points.iter().filter(|point| point.plot == plot.name) {
            let Point {
                plot,
                line,
                x,
                median,
                least,
                most,
            } = point;
            text += &format!("{plot},{line},{x},{median:.1},{least:.1},{most:.1}\n");
        }
    }
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

pub(crate) fn read(file: &Path) -> Result<Vec<Point>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let lines = text.lines().skip(1);
    lines
        .map(|line| parse(line).ok_or_else(|| format!("{}: not a point: {line}", file.display())))
        .collect()
}

fn parse(text: &str) -> Option<Point> {
    let (rest, most) = text.rsplit_once(',')?;
    let (rest, least) = rest.rsplit_once(',')?;
    let (rest, median) = rest.rsplit_once(',')?;
    let (rest, x) = rest.rsplit_once(',')?;
    let (plot, line) = rest.split_once(',')?;
    Some(Point {
        plot: plot.to_owned(),
        line: line.to_owned(),
        x: x.parse().ok()?,
        median: median.parse().ok()?,
        least: least.parse().ok()?,
        most: most.parse().ok()?,
    })
}

pub(crate) fn plots() -> impl Iterator<Item = &'static Plot> {
    CURVES.iter().flat_map(|curve| curve.plots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(plot: &str, x: u64, y: f64) -> Sample {
        Sample {
            plot: plot.to_owned(),
            line: "a line".to_owned(),
            x,
            y,
        }
    }

    #[test]
    fn rounds_become_a_median_and_its_spread() {
        let rounds = [3.0, 100.0, 1.0, 2.0, 4.0].map(|y| sample("size", 7, y));
        let points = points(&rounds);
        assert_eq!(points.len(), 1);
        let point = &points[0];
        assert_eq!((point.least, point.median, point.most), (1.0, 3.0, 100.0));
    }

    #[test]
    fn what_is_written_is_read_and_plots_that_were_not_measured_stay() {
        let file = std::env::temp_dir().join(format!("callmq-growth-{}.csv", std::process::id()));
        let (first, second) = (sample("size", 1, 2.5), sample("window", 4, 8.0));
        write(&file, points(&[first.clone(), second.clone()])).unwrap();
        let changed = sample("size", 1, 9.5);
        write(&file, points(std::slice::from_ref(&changed))).unwrap();
        let read = read(&file);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(read, Ok(points(&[changed, second])));
    }

    #[test]
    fn a_line_that_is_no_point_is_refused() {
        for line in ["", "size,publish,1,2,3", "size,publish,x,1,1,1"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
