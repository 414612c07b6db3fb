//! What is said and written about a benchmark.

use std::path::{Path, PathBuf};

use ddim_data::DataError;
use serde_json::{Value, json};

use crate::chart::{Curve, Point};
use crate::drift::Steadiness;
use crate::frontier::Frontier;
use crate::row::{Compared, Row};
use crate::strip::Strip;
use crate::{csv, frontier_plot, html, quality_plot, time_plot};

/// All there is to report.
#[derive(Debug)]
pub struct Report {
    /// The rows in the order of the table.
    pub rows: Vec<Compared>,
    /// How many cells were asked for.
    pub cells: usize,
    /// Pictures of the largest cell.
    pub most_pictures: usize,
    /// Steps of the run that all are compared with.
    pub reference_steps: usize,
    /// What the quality is, in words.
    pub quality: String,
    /// How steady the machine was, in words.
    pub drift: String,
    /// Whether it was steady enough for a headline.
    pub steadiness: Steadiness,
    /// The settings of the run.
    pub settings: Value,
    /// The device, in words.
    pub device: String,
    /// What was typed.
    pub command: String,
    /// Whether the frontier of time and quality was asked for.
    pub frontier: bool,
}

/// A file of a report: its name and what goes into it, none where there is nothing to show.
pub type ReportFile = (&'static str, Option<Vec<u8>>);

impl Report {
    /// The rows that were asked for.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &Compared> {
        self.rows.iter().filter(|compared| compared.row.role.is_asked())
    }

    /// A curve for each method, through the points that `point` makes of its rows.
    pub(crate) fn curves(&self, point: impl Fn(&Compared) -> Option<Point>) -> Vec<Curve> {
        let mut curves: Vec<Curve> = Vec::new();
        for compared in self.asked() {
            let name = &compared.row.method;
            if curves.last().is_none_or(|curve| curve.name != *name) {
                // The colour of a method is the same in all figures, whether or not they show it.
                let colour = curves.len();
                curves.push(Curve { name: name.clone(), colour, points: Vec::new() });
            }
            if let Some(curve) = curves.last_mut() {
                curve.points.extend(point(compared));
            }
        }
        curves.retain(|curve| !curve.points.is_empty());
        curves
    }

    /// The frontier of time and quality, where it was asked for.
    pub fn frontier(&self) -> Option<Frontier<'_>> {
        self.frontier.then(|| Frontier::of(self))
    }

    /// The files of the report. `picture` says where a picture of a row's cell is kept.
    ///
    /// # Errors
    /// A kept picture that cannot be read.
    pub fn files(&self, picture: impl Fn(&Row) -> PathBuf) -> Result<[ReportFile; 7], DataError> {
        let strip = Strip::read(self, picture)?;
        let text = |text: Option<String>| text.map(String::into_bytes);
        Ok([
            ("report.html", text(Some(html::page(self, &strip)?))),
            ("quality.svg", text(quality_plot::svg(self))),
            ("frontier.svg", text(frontier_plot::svg(self))),
            ("time.svg", text(time_plot::svg(self))),
            ("strip.svg", text(strip.svg()?)),
            ("strip.png", strip.png()?),
            ("table.csv", text(Some(csv::table(self)))),
        ])
    }

    /// Everything, as JSON.
    pub fn to_json(&self, out: &Path, files: &[&str]) -> Value {
        let mut json = json!({
            "out": out.to_string_lossy(),
            "files": files,
            "cells": self.cells,
            "finished": self.rows.len(),
            "compared_with": { "method": "ddpm", "steps": self.reference_steps },
            "quality": self.quality,
            "machine": self.drift,
            "rows": self.rows.iter().map(|row| row.to_json(self.most_pictures)).collect::<Vec<_>>(),
            "command": self.command,
            "settings": self.settings,
        });
        if let Some(frontier) = self.frontier() {
            json["frontier"] = frontier.to_json();
        }
        json
    }
}
