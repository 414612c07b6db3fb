//! What is said and written about a benchmark.

use std::fs;

use anyhow::Context;
use serde_json::{Value, json};

use super::chart::{Curve, Point};
use super::drift::Steadiness;
use super::folder::Folder;
use super::row::Compared;
use super::strip::Strip;
use super::{csv, html, quality_plot, time_plot};

/// All there is to report.
#[derive(Debug)]
pub(super) struct Report {
    /// The rows in the order of the table.
    pub(super) rows: Vec<Compared>,
    /// How many cells were asked for.
    pub(super) cells: usize,
    /// Pictures of the largest cell.
    pub(super) most_pictures: usize,
    /// Steps of the run that all are compared with.
    pub(super) reference_steps: usize,
    /// What the quality is, in words.
    pub(super) quality: String,
    /// How steady the machine was, in words.
    pub(super) drift: String,
    /// Whether it was steady enough for a headline.
    pub(super) steadiness: Steadiness,
    /// The settings of the run.
    pub(super) settings: Value,
    /// The device, in words.
    pub(super) device: String,
    /// What was typed.
    pub(super) command: String,
}

/// The files that are written, in this order.
const FILES: [&str; 6] = ["report.html", "quality.svg", "time.svg", "strip.svg", "strip.png", "table.csv"];

impl Report {
    /// The rows that were asked for.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Compared> {
        self.rows.iter().filter(|compared| compared.row.role.is_asked())
    }

    /// A curve for each method, through the points that `point` makes of its rows.
    pub(super) fn curves(&self, point: impl Fn(&Compared) -> Option<Point>) -> Vec<Curve> {
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

    /// Writes the files; what is there is replaced, what there is nothing to show for is left out.
    pub(super) fn write(&self, folder: &Folder) -> anyhow::Result<Vec<&'static str>> {
        let strip = Strip::read(self, folder)?;
        let contents = [
            Some(html::page(self, &strip)?.into_bytes()),
            quality_plot::svg(self).map(String::into_bytes),
            time_plot::svg(self).map(String::into_bytes),
            strip.svg()?.map(String::into_bytes),
            strip.png()?,
            Some(csv::table(self).into_bytes()),
        ];
        let mut written = Vec::new();
        for (name, content) in FILES.into_iter().zip(contents) {
            match content {
                Some(content) => {
                    ddim_data::write_whole(&folder.file(name), &content)?;
                    written.push(name);
                }
                // Of an earlier run in the same folder.
                None if folder.file(name).exists() => fs::remove_file(folder.file(name))
                    .with_context(|| format!("cannot remove {}", folder.file(name).display()))?,
                None => {}
            }
        }
        Ok(written)
    }

    /// Everything, for `--json`.
    pub(super) fn to_json(&self, out: &std::path::Path, files: &[&str]) -> Value {
        json!({
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
        })
    }
}
