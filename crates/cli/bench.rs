//! `ddim bench`: what few steps cost and give, beside DDPM in all of them.

mod amount;
mod cells;
mod clock;
mod drawn;
mod folder;
mod lines;
mod machine;
mod measure;
mod memory;
mod quality;
mod unfinished;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim::Labels;
use ddim_bench::{Cell, Columns, MachineDrift, Report, Row, Scale, units};
use serde_json::{Value, json};

use self::clock::Instruments;
use self::drawn::Drawn;
use self::folder::{Chosen, Folder};
use self::measure::Runner;
use self::quality::{Needs, Quality};
use crate::args::{BenchArgs, ClockChoice};
use crate::device::Chosen as Device;
use crate::ending::Ending;
use crate::files::Existing;
use crate::model::Model;
use crate::run_record::LABELS;
use crate::signals::{Interrupt, Parting};
use crate::{device, labels, printing, progress};

/// The folder for results when nothing says otherwise.
const USUAL_OUT: &str = "bench";

/// Measures cell after cell, prints each row as it is known, and writes the report.
pub(crate) fn run(args: &BenchArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let device = device::choose(args.computing.device.device)?;
    let model = Model::load(&args.model.request(), &device.device)?.in_precision(args.precision)?;
    let cells = cells::cells(args, &model)?;
    let labels = labels(args, &model)?;
    let Some(quality) = quality::of(args, &model, &device, interrupt)? else { return Ok(Ending::Interrupted) };
    let cells = match quality.needs() {
        Needs::Target => cells::with_target(cells, args, &model)?,
        Needs::Pictures(_) => cells,
    };
    let open = |folder: &PathBuf| Drawn::open(folder, (args, &cells[0]), &model, &device);
    let drawn = args.drawn.as_ref().map(open).transpose()?;
    let mut settings = settings(args, (&model, &labels), &device, &cells, quality.as_ref())?;
    if let Some(drawn) = &drawn {
        settings["drawn"] = drawn.record();
    }
    let existing = Existing::from_force(args.force);
    let (folder, chosen) = match &args.out {
        Some(out) => Folder::open(out, &settings, existing)?,
        None => Folder::open_usual(Path::new(USUAL_OUT), &settings, existing)?,
    };
    let again = if args.force { "the same command without --force" } else { "the same command" };
    interrupt.leave(Parting::free(format!("interrupted; every finished batch is kept, and {again} goes on")));
    tracing::info!("device: {}", device.description);
    let instruments = Instruments::new(args.clock);
    let mut runner = Runner::new(&model, instruments, interrupt, quality.as_ref(), (args.seed, labels))?;
    let chosen = match chosen {
        // What is typed wins over what was written down.
        Some(found) if args.num.is_none() => found,
        found => {
            let chosen = amount::choose(args, &cells, &runner, quality.needs().pictures())?;
            if found.as_ref() != Some(&chosen) {
                folder.begin(&settings, &chosen, &machine::command())?;
            }
            chosen
        }
    };
    tracing::info!("{}", amount::described(&chosen, &cells));
    let judged = drawn.map(|drawn| drawn.judged(most_pictures(&chosen), args).map(|count| (drawn, count)));
    runner.drawn = judged.transpose()?;
    runner.bar = progress::bar(calls(&cells, &chosen), "network calls");
    let rows = Rows { args, folder: &folder, cells: &cells, chosen: &chosen };
    let found = rows.measure_between(&runner);
    runner.bar.finish_and_clear();
    let found = found?;
    let report = report(&found, &rows, quality.as_ref(), settings, &device)?;
    finish(args, &folder, report.as_ref())?;
    found.ending(cells.len(), existing)
}

/// What the pictures are told in turn: all classes, or the labels typed for a model that takes numbers.
fn labels(args: &BenchArgs, model: &Model) -> anyhow::Result<Labels> {
    let typed = labels::of_numbers(&model.inner, &args.labels.label, labels::ALL_IN_TURN)?;
    Ok(if typed.is_empty() { model.inner.class_labels().into() } else { typed })
}

/// Network calls of all pictures.
fn calls(cells: &[Cell], chosen: &Chosen) -> u64 {
    cells.iter().zip(&chosen.pictures).map(|(cell, count)| (cell.calls() * count) as u64).sum()
}

/// What decides the numbers: a run with other settings is another run.
fn settings(
    args: &BenchArgs,
    (model, labels): (&Model, &Labels),
    device: &Device,
    cells: &[Cell],
    quality: &dyn Quality,
) -> anyhow::Result<Value> {
    let cell = |cell: &Cell| {
        let mut plan = ddim::settings_json(&cell.plan);
        plan["method"] = json!(cell.method);
        plan
    };
    let (methods, steps) = axes(cells);
    let of_any_cell = cells.first().context("there is a cell")?.plan.settings();
    let mut settings = json!({
        "program": machine::program(),
        "model": model.name,
        "weights": model.weights,
        "scheduler": serde_json::from_str::<Value>(&model.training.scheduler.to_json())?,
        "spacing": of_any_cell.spacing.to_string(),
        "convention": of_any_cell.convention.to_string(),
        "methods": methods,
        "steps": steps,
        "pictures": pictures_asked(args),
        "pictures_at_once": args.computing.batch_size,
        "seed": args.seed,
        "quality": quality.identity(),
        "device": device.name,
        "precision": args.precision.name(),
        "machine": machine::machine(),
        "cells": cells.iter().map(cell).collect::<Vec<_>>(),
    });
    if let Some(stage) = &model.first_stage {
        settings["first_stage"] = json!(stage);
    }
    if args.frontier {
        settings["frontier"] = json!(true);
    }
    if args.clock == ClockChoice::Fake {
        settings["clock"] = json!("fake");
    }
    if let Some(labels) = labels::record(labels) {
        settings[LABELS] = labels;
    }
    Ok(settings)
}

/// How many pictures were asked for.
fn pictures_asked(args: &BenchArgs) -> Value {
    match &args.num {
        Some(counts) => json!({ "usual": counts.usual, "of_steps": counts.of_steps }),
        None => json!({ "budget_seconds": args.budget.unwrap_or(amount::USUAL_BUDGET).0 }),
    }
}

/// The methods and the numbers of steps that were asked for, in the order of the table.
fn axes(cells: &[Cell]) -> (Vec<&str>, Vec<usize>) {
    let mut in_table: Vec<&Cell> = cells.iter().filter(|cell| cell.role.is_asked()).collect();
    in_table.sort_by_key(|cell| cell.place);
    let mut methods: Vec<&str> = in_table.iter().map(|cell| cell.method.as_str()).collect();
    methods.dedup();
    let mut steps: Vec<usize> = in_table.iter().map(|cell| cell.steps).collect();
    steps.sort_unstable();
    steps.dedup();
    (methods, steps)
}

/// What was measured, and how that ended.
struct Found {
    /// Finished rows in the order in which they were run, the reference first.
    rows: Vec<Row>,
    failed: usize,
    ending: Ending,
}

impl Found {
    /// How the run ends.
    fn ending(&self, cells: usize, existing: Existing) -> anyhow::Result<Ending> {
        if self.ending == Ending::Interrupted {
            let without = if existing == Existing::Replace { " without --force" } else { "" };
            tracing::warn!(
                "interrupted with {} of {}; the same command{without} goes on",
                self.rows.len(),
                units::counted(cells, "cell")
            );
            return Ok(Ending::Interrupted);
        }
        match self.failed {
            0 => Ok(Ending::Done),
            1 => bail!("one cell could not be measured, as said above"),
            count => bail!("{count} cells could not be measured, as said above"),
        }
    }
}

/// The rows of a run.
struct Rows<'a> {
    args: &'a BenchArgs,
    folder: &'a Folder,
    cells: &'a [Cell],
    chosen: &'a Chosen,
}

impl Rows<'_> {
    /// Measures what is missing, and before and after it how fast the machine is.
    fn measure_between(&self, runner: &Runner<'_>) -> anyhow::Result<Found> {
        let before = self.folder.rows()?;
        let is_whole = self.cells.iter().all(|cell| before.iter().any(|row| row.is_of(cell)));
        let call = || match is_whole {
            true => Ok(None),
            false => runner.seconds_of_call(&self.cells[0], self.chosen.batch_size),
        };
        let start = call()?;
        let found = self.measure(runner, &before)?;
        if let (Some(start), Some(end)) = (start, call()?) {
            let drift = MachineDrift { start, end };
            self.folder.add_drift(&drift)?;
            if let Some(warning) = drift.warning() {
                runner.bar.suspend(|| tracing::warn!("{warning}"));
            }
        }
        Ok(found)
    }

    /// Measures what is missing, and prints all rows.
    fn measure(&self, runner: &Runner<'_>, before: &[Row]) -> anyhow::Result<Found> {
        let methods = self.cells.iter().map(|cell| cell.method.as_str());
        let columns = Columns::new(methods, most_pictures(self.chosen), self.cells[0].steps);
        let mut found = Found { rows: Vec::new(), failed: 0, ending: Ending::Done };
        for (cell, count) in self.cells.iter().zip(&self.chosen.pictures) {
            let row = match before.iter().find(|row| row.is_of(cell) && row.pictures == *count) {
                Some(row) => {
                    runner.bar.inc((cell.calls() * count) as u64);
                    Ok(Some(row.clone()))
                }
                None => runner.cell(self.folder, cell, *count, self.chosen.batch_size),
            };
            match row {
                Ok(Some(row)) => {
                    found.rows.push(row);
                    runner.bar.suspend(|| self.print(&columns, &found.rows))?;
                }
                Ok(None) => {
                    found.ending = Ending::Interrupted;
                    break;
                }
                // A method may fail where others do not; without the reference there is nothing to compare with.
                Err(error) if error.is::<ddim::Error>() && !cell.is_reference() => {
                    tracing::error!("{cell}: {}", crate::ending::chain(&error));
                    found.failed += 1;
                }
                Err(error) => return Err(error).with_context(|| cell.to_string()),
            }
        }
        Ok(found)
    }

    /// Prints the last of the rows, the first below the headings.
    fn print(&self, columns: &Columns, rows: &[Row]) -> io::Result<()> {
        let (Some(reference), Some(row), false) = (rows.first(), rows.last(), self.args.json) else {
            return Ok(());
        };
        let scale = Scale { reference: reference.clone(), most_pictures: most_pictures(self.chosen), drift: 0.0 };
        let header = if rows.len() == 1 { columns.header() } else { String::new() };
        printing::results(&(header + &columns.row(&scale.compare(row))))
    }
}

/// Pictures of the largest cell.
fn most_pictures(chosen: &Chosen) -> usize {
    chosen.pictures.iter().copied().max().unwrap_or(1)
}

/// The rows in the order of the table; nothing to report without the reference.
fn report(
    found: &Found,
    Rows { args, folder, cells, chosen }: &Rows<'_>,
    quality: &dyn Quality,
    settings: Value,
    device: &Device,
) -> anyhow::Result<Option<Report>> {
    let Some(reference) = found.rows.first().cloned() else { return Ok(None) };
    let drifts = folder.drift()?;
    let scale = Scale { reference, most_pictures: most_pictures(chosen), drift: ddim_bench::most(&drifts) };
    let mut in_table: Vec<&Cell> = cells.iter().collect();
    in_table.sort_by_key(|cell| cell.place);
    let row = |cell: &&Cell| found.rows.iter().find(|row| row.is_of(cell)).map(|row| scale.compare(row));
    Ok(Some(Report {
        rows: in_table.iter().filter_map(row).collect(),
        cells: cells.len(),
        most_pictures: scale.most_pictures,
        reference_steps: cells[0].steps,
        quality: quality.identity(),
        drift: ddim_bench::described(&drifts),
        steadiness: ddim_bench::steadiness(&drifts),
        settings,
        device: device.description.clone(),
        command: machine::command(),
        frontier: args.frontier,
    }))
}

/// Writes the report, and prints what the table is and where its files are.
fn finish(args: &BenchArgs, folder: &Folder, report: Option<&Report>) -> anyhow::Result<()> {
    let Some(report) = report else { return Ok(()) };
    let files = write(report, folder)?;
    let text = if args.json {
        units::json(&report.to_json(folder.path(), &files))
    } else {
        let frontier = report.frontier().map_or_else(String::new, |frontier| frontier.lines() + "\n");
        let legend = frontier + &ddim_bench::legend(report);
        let paths = files.iter().map(|name| format!("{}\n", folder.file(name).display()));
        format!("\n{legend}\n{}", paths.collect::<String>())
    };
    printing::results(&text)?;
    Ok(())
}

/// Writes the files of a report and says which; what is there is replaced, what there is nothing to show for goes.
fn write(report: &Report, folder: &Folder) -> anyhow::Result<Vec<&'static str>> {
    let mut written = Vec::new();
    for (name, content) in report.files(|row| folder.picture(&row.file_name()))? {
        let file = folder.file(name);
        match content {
            Some(content) => {
                ddim_data::write_whole(&file, &content)?;
                written.push(name);
            }
            // Of an earlier run in the same folder.
            None if file.exists() => {
                fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
            }
            None => {}
        }
    }
    Ok(written)
}
