//! The finished graph.

use crate::{Asked, Layer, Modulation, Parameter, ParameterInfo, Row, RowOperation, Value};

/// A network: what it does, in the order in which it is done.
///
/// Made by a [`Builder`](crate::Builder). The last value is the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    pub(crate) parameters: Vec<ParameterInfo>,
    pub(crate) rows: Vec<RowOperation>,
    /// Numbers in each row.
    pub(crate) row_widths: Vec<usize>,
    pub(crate) modulations: Vec<Row>,
    pub(crate) layers: Vec<Layer>,
    /// Channels of each value.
    pub(crate) channels: Vec<usize>,
    /// The layer with which each block begins.
    pub(crate) blocks: Vec<(String, usize)>,
    pub(crate) points: Vec<Point>,
}

/// A place where what the network computes can be observed.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The name that the part has in other programs: `down_blocks.0.resnets.0`.
    pub name: String,
    /// What is seen there.
    pub watched: Watched,
}

/// Times that a network can be asked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// All finite ones.
    Finite,
    /// Those above 0.
    Positive,
    /// Whole ones from 0.
    Whole {
        /// The first that it cannot be asked at.
        below: usize,
    },
}

/// What is seen at a [`Point`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// A row of the conditioning.
    Row(Row),
    /// A value.
    Value(Value),
    /// What a normalisation gives before its activation; the value is what it gives behind it.
    BeforeActivation(Value),
}

impl Graph {
    /// The parameters, in the order in which they are first used.
    pub fn parameters(&self) -> &[ParameterInfo] {
        &self.parameters
    }

    /// Name and shape of a parameter.
    pub fn parameter(&self, parameter: Parameter) -> &ParameterInfo {
        &self.parameters[parameter.0]
    }

    /// The layers, in the order in which they run.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// How the rows of times and labels come about, in that order.
    pub fn rows(&self) -> &[RowOperation] {
        &self.rows
    }

    /// How many numbers a row has.
    pub fn row_width(&self, row: Row) -> usize {
        self.row_widths[row.0]
    }

    /// The rows that layers take, in the order in which they take them.
    pub fn modulations(&self) -> &[Row] {
        &self.modulations
    }

    /// How many numbers a layer takes there for each picture.
    pub fn modulation_width(&self, modulation: Modulation) -> usize {
        self.row_width(self.modulations[modulation.0])
    }

    /// Channels of a value.
    pub fn channels(&self, value: Value) -> usize {
        self.channels[value.0]
    }

    /// How many values there are; the last is the result.
    pub fn values(&self) -> usize {
        self.channels.len()
    }

    /// Channels of the pictures that the network takes.
    pub fn input_channels(&self) -> usize {
        self.channels[0]
    }

    /// Channels of what it gives.
    pub fn output_channels(&self) -> usize {
        self.channels[self.channels.len() - 1]
    }

    /// Where it can be observed, in the order in which that comes about.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The block that a layer belongs to; empty for one before the first.
    pub fn block_of(&self, layer: usize) -> &str {
        let begun = self.blocks.iter().rev().find(|(_, first)| *first <= layer);
        begun.map_or("", |(name, _)| name)
    }

    /// The kind of labels that the network takes beside the time, if any.
    pub fn label(&self) -> Option<Asked> {
        let asked = |row: &RowOperation| match row {
            RowOperation::Waves { of, .. }
            | RowOperation::LogarithmicWaves { of, .. }
            | RowOperation::Lookup { of, .. } => Some(*of),
            RowOperation::Given { .. } => Some(Asked::Vector),
            _ => None,
        };
        self.rows.iter().filter_map(asked).find(|asked| *asked != Asked::Time)
    }

    /// Rows of the table of classes; none for a network without.
    pub fn classes(&self) -> Option<usize> {
        self.rows.iter().find_map(|row| match row {
            RowOperation::Lookup { of: Asked::Class, table } => Some(self.parameter(*table).shape[0]),
            _ => None,
        })
    }

    /// Numbers of a label that is a row of numbers; none for a network that takes no such labels.
    pub fn label_width(&self) -> Option<usize> {
        self.rows.iter().find_map(|row| match row {
            RowOperation::Given { width } => Some(*width),
            _ => None,
        })
    }

    /// The times that the network can be asked at.
    pub fn times(&self) -> Times {
        let times = self.rows.iter().find_map(|row| match row {
            RowOperation::LogarithmicWaves { of: Asked::Time, .. } => Some(Times::Positive),
            RowOperation::Lookup { of: Asked::Time, table } => {
                Some(Times::Whole { below: self.parameter(*table).shape[0] })
            }
            _ => None,
        });
        times.unwrap_or(Times::Finite)
    }

    /// The last layer that reads each value; none for the result.
    pub fn last_reads(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.values()];
        for (k, layer) in self.layers.iter().enumerate() {
            for value in layer.operation.reads() {
                last[value.0] = Some(k);
            }
        }
        last
    }

    /// How many layers read each value.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = vec![0; self.values()];
        for value in self.layers.iter().flat_map(|layer| layer.operation.reads()) {
            readers[value.0] += 1;
        }
        readers
    }
}
