//! `loss.csv`: a line a step.

use crate::TrainError;
use ddim_data::write_whole;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The first columns; those of the loss's parts follow.
const HEADER: [&str; 2] = ["step", "loss"];

/// The loss curve, appended to as it goes.
pub(crate) struct Log {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Log {
    /// Opens the curve at a step: later lines, of a run that was killed after its last checkpoint, are cut off,
    /// since those steps are taken again.
    pub(crate) fn open(path: &Path, step: u64, parts: &[&str]) -> Result<Self, TrainError> {
        let header = [&HEADER, parts].concat();
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(TrainError::io(path))?,
        };
        let columns = header.len();
        let done = text.lines().skip(1).filter(|line| number(line, columns).is_some_and(|number| number <= step));
        let header = header.join(",");
        let kept: String = std::iter::once(header.as_str()).chain(done).flat_map(|line| [line, "\n"]).collect();
        write_whole(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).map_err(TrainError::io(path))?;
        Ok(Log { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Shortest digits that read back to the same number.
    pub(crate) fn append(&mut self, step: u64, loss: f64, parts: &[f64]) -> Result<(), TrainError> {
        let numbers: String = [loss].iter().chain(parts).map(|number| format!(",{number}")).collect();
        writeln!(self.file, "{step}{numbers}").map_err(TrainError::io(&self.path))
    }

    /// Hands all lines to the system; called before a checkpoint is written, so that none is missing after it.
    pub(crate) fn flush(&mut self) -> Result<(), TrainError> {
        self.file.flush().map_err(TrainError::io(&self.path))
    }
}

/// The step of a whole line of so many columns.
fn number(line: &str, columns: usize) -> Option<u64> {
    let (step, numbers) = line.split_once(',')?;
    let numbers: Vec<f64> = numbers.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    if numbers.len() + 1 != columns { None } else { step.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_comes_after_the_checkpoint_is_cut_off() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("loss.csv");
        for (before, step, after) in [
            ("", 0, "step,loss\n"),
            ("step,loss\n1,0.5\n2,0.25\n3,0.125\n", 2, "step,loss\n1,0.5\n2,0.25\n"),
            ("step,loss\n1,0.5\n2,0.25\n3,0.1", 2, "step,loss\n1,0.5\n2,0.25\n"),
            ("step,loss\n1,0.5\n2", 1, "step,loss\n1,0.5\n"),
        ] {
            fs::write(&path, before).expect("writable");
            let mut log = Log::open(&path, step, &[]).expect("fine");
            assert_eq!(fs::read_to_string(&path).expect("there"), after);
            log.append(step + 1, 1.0 / 3.0, &[]).expect("writable");
            log.flush().expect("writable");
            let line = format!("{},0.3333333333333333\n", step + 1);
            assert_eq!(fs::read_to_string(&path).expect("there"), format!("{after}{line}"));
        }
    }

    /// Also where a kill has left a line with a number too few.
    #[test]
    fn parts_of_the_loss_are_columns() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("loss.csv");
        fs::write(&path, "step,loss,a,b\n1,0.5,2,3\n2,0.5,2\n").expect("writable");
        let mut log = Log::open(&path, 2, &["a", "b"]).expect("fine");
        log.append(2, 0.25, &[-1.5, 0.0]).expect("writable");
        log.flush().expect("writable");
        assert_eq!(fs::read_to_string(&path).expect("there"), "step,loss,a,b\n1,0.5,2,3\n2,0.25,-1.5,0\n");
    }
}
