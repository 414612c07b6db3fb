//! What is known of a cell once it is finished, and what follows from it beside the others.

use ddim::timing::{Comparison, Spread, error_of_ratio};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Verdict;
use crate::cell::{Cell, Role, file_name};

/// A finished cell: a line of `rows.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The method, as people write it.
    pub method: String,
    /// The steps asked for.
    pub steps: usize,
    /// Network calls of a picture.
    pub calls: usize,
    /// Why it was measured.
    pub role: Role,
    /// Pictures drawn.
    pub pictures: usize,
    /// Pictures drawn at once.
    pub batch_size: usize,
    /// The first step of the cell, which may compile and tune kernels; it is in none of the other times.
    pub warm_up_seconds: f64,
    /// The network's time for a call with a whole batch, over the batches.
    pub seconds_per_call: Quartiles,
    /// All the time for a picture, over the batches.
    pub seconds_per_picture: Quartiles,
    /// Pictures by their time.
    pub pictures_per_second: f64,
    /// The share of the time that is spent outside of the network.
    pub outside_network: f64,
    /// The most memory held at a time; none where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// How good the pictures are.
    pub quality: Verdict,
    /// How many pictures that is of, where they are not those drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<usize>,
}

/// How a measurement is spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quartiles {
    /// The smallest.
    pub least: f64,
    /// A quarter is at most this.
    pub lower_quartile: f64,
    /// Half is at most this.
    pub median: f64,
    /// Three quarters are at most this.
    pub upper_quartile: f64,
    /// The largest.
    pub most: f64,
}

/// One batch: a line of the file of an unfinished cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchTime {
    /// Its pictures.
    pub pictures: usize,
    /// Network calls.
    pub calls: usize,
    /// Seconds, all told.
    pub seconds: f64,
    /// Seconds in the network.
    pub in_network: f64,
    /// What the first step of the cell took in the process that drew this batch.
    pub warm_up_seconds: f64,
    /// The most memory held until then.
    pub peak_memory_bytes: Option<u64>,
}

impl From<&Quartiles> for Spread {
    fn from(quartiles: &Quartiles) -> Self {
        let Quartiles { least, lower_quartile, median, upper_quartile, most } = *quartiles;
        Self { least, lower_quartile, median, upper_quartile, most }
    }
}

impl From<Spread> for Quartiles {
    fn from(spread: Spread) -> Self {
        let Spread { least, lower_quartile, median, upper_quartile, most } = spread;
        Self { least, lower_quartile, median, upper_quartile, most }
    }
}

impl Row {
    /// Of the batches of a cell. A shorter last batch is left out of the spreads: a picture takes longer in it.
    /// None without batches.
    pub fn new(cell: &Cell, batch_size: usize, batches: &[BatchTime], quality: Verdict) -> Option<Self> {
        let first = batches.first()?;
        let whole: Vec<&BatchTime> = batches.iter().filter(|batch| batch.pictures == first.pictures).collect();
        let spread = |of: fn(&BatchTime) -> f64| {
            let values: Vec<f64> = whole.iter().map(|batch| of(batch)).collect();
            Spread::of(&values).map(Quartiles::from)
        };
        let sum = |of: fn(&BatchTime) -> f64| batches.iter().map(of).sum::<f64>();
        let seconds = sum(|batch| batch.seconds);
        let pictures = batches.iter().map(|batch| batch.pictures).sum();
        Some(Self {
            method: cell.method.clone(),
            steps: cell.steps,
            calls: cell.calls(),
            role: cell.role,
            pictures,
            batch_size,
            warm_up_seconds: first.warm_up_seconds,
            seconds_per_call: spread(|batch| batch.in_network / batch.calls as f64)?,
            seconds_per_picture: spread(|batch| batch.seconds / batch.pictures as f64)?,
            pictures_per_second: pictures as f64 / seconds,
            outside_network: (seconds - sum(|batch| batch.in_network)) / seconds,
            peak_memory_bytes: batches.iter().filter_map(|batch| batch.peak_memory_bytes).max(),
            quality,
            judged: None,
        })
    }

    /// Pictures that its quality is of.
    pub fn judged(&self) -> usize {
        self.judged.unwrap_or(self.pictures)
    }

    /// Whole batches that were drawn.
    pub fn batches(&self) -> usize {
        self.pictures / self.batch_size
    }

    /// A name for the files of its cell.
    pub fn file_name(&self) -> String {
        file_name(&self.method, self.steps)
    }

    /// Whether the times of the others are compared with its own.
    pub fn is_reference(&self) -> bool {
        self.role.is_reference()
    }

    /// Whether it is the row of this cell.
    pub fn is_of(&self, cell: &Cell) -> bool {
        (&self.method, self.steps) == (&cell.method, cell.steps)
    }
}

/// A row beside the one that all are compared with.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The row.
    pub row: Row,
    /// With the reference.
    pub comparison: Comparison,
    /// By what share its speed-up may be off: by the spread of both times, and by what the machine has drifted.
    pub error: f64,
    /// How long as many pictures take as the largest cell has.
    pub whole: Whole,
}

/// A time for a number of pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Whole {
    /// All of them were drawn.
    Measured(f64),
    /// Fewer were drawn: the time of those, times so many more.
    Extrapolated(f64),
}

/// What rows are compared with.
#[derive(Clone, Debug)]
pub struct Scale {
    /// The row of the reference.
    pub reference: Row,
    /// Pictures of the largest cell.
    pub most_pictures: usize,
    /// By what share the machine has drifted.
    pub drift: f64,
}

impl Scale {
    /// Puts a row beside the reference.
    pub fn compare(&self, row: &Row) -> Compared {
        let of = |row: &Row| (row.seconds_per_picture.median, row.calls);
        let seconds = self.most_pictures as f64 / row.pictures_per_second;
        let all = row.pictures >= self.most_pictures;
        let error = |row: &Row| Spread::from(&row.seconds_per_picture).error_of_median(row.batches());
        let errors = [row, &self.reference].map(error);
        Compared {
            row: row.clone(),
            comparison: Comparison::new(of(row), of(&self.reference)),
            error: if row.is_reference() { 0.0 } else { error_of_ratio(errors, self.drift) },
            whole: if all { Whole::Measured(seconds) } else { Whole::Extrapolated(seconds) },
        }
    }
}

impl Compared {
    /// Everything, as JSON.
    pub fn to_json(&self, most_pictures: usize) -> Value {
        let mut json = json!(self.row);
        json["speed_up"] = json!(self.comparison.speed_up);
        json["speed_up_error"] = json!(self.comparison.speed_up * self.error);
        json["deviation_from_linear"] = json!(self.comparison.deviation);
        let (seconds, from) = match self.whole {
            Whole::Measured(seconds) => (seconds, Value::Null),
            Whole::Extrapolated(seconds) => (seconds, json!(self.row.pictures)),
        };
        json["time"] =
            json!({ "pictures": most_pictures, "seconds": seconds, "extrapolated_from_pictures": from });
        json
    }
}
