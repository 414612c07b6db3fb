//! One noise at every number of steps.

use std::path::PathBuf;

use ddim_data::{DataError, Layout, Picture, Scale, encode_png, grid};

use crate::report::Report;
use crate::row::Row;
use crate::svg::{self, Anchor};

/// A picture is at least so wide in the figure.
const TILE: f64 = 64.0;
const GAP: f64 = 4.0;

/// A row for each method and a column for each number of steps.
#[derive(Debug)]
pub(crate) struct Strip {
    methods: Vec<String>,
    steps: Vec<usize>,
    /// Row by row; none where a cell is not finished.
    pictures: Vec<Option<Picture>>,
}

impl Strip {
    /// From the pictures that the cells have kept.
    pub(crate) fn read(report: &Report, picture: impl Fn(&Row) -> PathBuf) -> Result<Self, DataError> {
        let mut strip = Self { methods: Vec::new(), steps: Vec::new(), pictures: Vec::new() };
        for compared in report.asked() {
            if !strip.methods.contains(&compared.row.method) {
                strip.methods.push(compared.row.method.clone());
            }
            strip.steps.push(compared.row.steps);
        }
        strip.steps.sort_unstable();
        strip.steps.dedup();
        for method in &strip.methods {
            for steps in &strip.steps {
                let is_it = |row: &Row| row.method == *method && row.steps == *steps;
                let row = report.asked().find(|compared| is_it(&compared.row));
                let file = row.map(|compared| picture(&compared.row));
                strip.pictures.push(file.map(|file| Picture::read(&file)).transpose()?);
            }
        }
        Ok(strip)
    }

    /// The pictures alone; none where there is none.
    pub(crate) fn png(&self) -> Result<Option<Vec<u8>>, DataError> {
        let Some(first) = self.pictures.iter().flatten().next() else { return Ok(None) };
        let blank = Picture { pixels: vec![255; first.pixels.len()], ..first.clone() };
        let all: Vec<Picture> =
            self.pictures.iter().map(|picture| picture.clone().unwrap_or_else(|| blank.clone())).collect();
        let sheet = grid(&all, Layout::Columns(self.steps.len()), Scale::Viewed);
        Ok(Some(encode_png(&sheet, "{}")?))
    }

    /// The figure, with the pictures in it; none where there is none.
    pub(crate) fn svg(&self) -> Result<Option<String>, DataError> {
        if self.steps.is_empty() {
            return Ok(None);
        }
        let title = "One noise at every number of steps";
        let longest = self.methods.iter().map(|name| svg::width_of(name)).fold(0.0, f64::max);
        let (left, top) = (28.0 + longest, 64.0);
        let mut body = svg::text(16.0, 24.0, Anchor::Start, "title", title);
        let column = |index: usize| left + index as f64 * (TILE + GAP);
        let row = |index: usize| top + index as f64 * (TILE + GAP);
        for (index, steps) in self.steps.iter().enumerate() {
            let words = if index == 0 { crate::units::steps(*steps) } else { steps.to_string() };
            body += &svg::text(column(index) + TILE / 2.0, top - 10.0, Anchor::Middle, "faint", &words);
        }
        for (index, method) in self.methods.iter().enumerate() {
            let (at, height) = (left - 12.0, row(index) + TILE / 2.0 + 4.0);
            body += &svg::text(at, height, Anchor::End, &format!("label fill{}", index % svg::COLOURS), method);
        }
        for (index, picture) in self.pictures.iter().enumerate() {
            let Some(picture) = picture else { continue };
            let (x, y) = (column(index % self.steps.len()), row(index / self.steps.len()));
            let data = base64(&encode_png(picture, "{}")?);
            body += &format!(
                "<image x=\"{x}\" y=\"{y}\" width=\"{TILE}\" height=\"{TILE}\" \
                 href=\"data:image/png;base64,{data}\"/>\n"
            );
        }
        let (width, height) = (column(self.steps.len()) + 16.0, row(self.methods.len()) + 12.0);
        // Wide enough for the title.
        Ok(Some(svg::document(width.max(320.0), height, title, &body)))
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]);
            text.push(if place <= group.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_standard() {
        let of = |text: &str| base64(text.as_bytes());
        assert_eq!([of(""), of("f"), of("fo"), of("foo"), of("foobar")], ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy"]);
    }

    #[test]
    fn a_cell_that_is_not_finished_leaves_its_place_white() {
        let picture = Picture { width: 96, height: 96, channels: 1, pixels: vec![0; 96 * 96] };
        let strip =
            Strip { methods: vec!["eta 0".into()], steps: vec![10, 20], pictures: vec![Some(picture), None] };
        let png = strip.png().expect("grey").expect("a picture");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("strip.png"), png).expect("writable");
        let read = Picture::read(&folder.path().join("strip.png")).expect("a picture");
        let black = read.pixels.iter().filter(|level| **level == 0).count();
        assert_eq!((read.width, black), (2 * 98 + 2, 96 * 96));
        assert_eq!(strip.svg().expect("grey").expect("a picture").matches("<image").count(), 1);
    }
}
