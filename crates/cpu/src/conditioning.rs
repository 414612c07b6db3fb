//! What times and labels come to before a picture is met.

mod back;
mod compute;

use std::ops::Range;

use ddim_graph::{Labels, Watched};

use crate::network::{Network, Rows};
use compute::Given;

pub(crate) use compute::RowWeights;

/// Times and labels, taken through all that depends on them alone: row k belongs to the k-th time.
///
/// Made by [`Network::condition`], once for a whole sampling plan if wanted. A pass takes one row for all
/// pictures, or one for each. A row has the same bits whatever other rows there are.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditioning {
    len: usize,
    /// As [`Graph::modulations`](ddim_graph::Graph::modulations).
    modulations: Vec<Table>,
    /// The rows on the way that can be observed, by name.
    observed: Vec<(String, Table)>,
}

/// Rows of numbers, one after the other.
#[derive(Clone, Debug, PartialEq)]
struct Table {
    values: Vec<f32>,
    width: usize,
}

impl Network {
    /// Takes times and labels through all that depends on them alone; one of either may hold for all.
    ///
    /// # Panics
    /// Times and labels that the graph does not take ([`Graph::rows_asked`](ddim_graph::Graph::rows_asked)); a
    /// time or label outside its table; a time that is not above 0 where its logarithm is taken.
    pub fn condition(&self, times: &[f64], labels: &Labels) -> Conditioning {
        let given = Given::new(&self.graph, times, labels);
        let rows = self.compute_rows(&given);
        let table =
            |row: ddim_graph::Row| Table { values: rows[row.index()].clone(), width: self.graph.row_width(row) };
        let observed = self.graph.points().iter().filter_map(|point| match point.watched {
            Watched::Row(row) => Some((point.name.clone(), table(row))),
            Watched::Value(_) | Watched::BeforeActivation(_) => None,
        });
        Conditioning {
            len: given.len(),
            modulations: self.graph.modulations().iter().map(|row| table(*row)).collect(),
            observed: observed.collect(),
        }
    }
}

impl Conditioning {
    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What [`Network::forward`] takes.
    pub fn modulations(&self) -> Vec<Rows<'_>> {
        self.modulations.iter().map(|table| table.all(self.len)).collect()
    }

    /// The rows that the graph lets one observe, in the order in which they come about.
    pub fn observed(&self) -> impl Iterator<Item = (&str, Rows<'_>)> {
        self.observed.iter().map(|(name, table)| (name.as_str(), table.all(self.len)))
    }

    /// The rows of `range`, in order.
    ///
    /// # Panics
    /// A range that is empty or ends after the last row.
    pub fn rows(&self, range: Range<usize>) -> Self {
        let len = self.len;
        assert!(range.start < range.end && range.end <= len, "rows {range:?} of a conditioning of {len} rows");
        self.map(range.len(), |table| table.values[range.start * table.width..range.end * table.width].to_vec())
    }

    /// The rows with these numbers, in this order; repeats are allowed.
    ///
    /// # Panics
    /// A number without a row.
    pub fn select(&self, rows: &[usize]) -> Self {
        let len = self.len;
        assert!(rows.iter().all(|row| *row < len), "rows {rows:?} of a conditioning of {len} rows");
        self.map(rows.len(), |table| rows.iter().flat_map(|row| table.row(*row)).copied().collect())
    }

    /// The rows of all `parts`, one after the other.
    ///
    /// # Panics
    /// No parts; parts of different networks.
    pub fn cat(parts: &[Self]) -> Self {
        let first = parts.first().expect("at least one conditioning to put together");
        let widths = |part: &Self| part.tables().map(|table| table.width).collect::<Vec<_>>();
        let equal = parts.iter().all(|part| widths(part) == widths(first));
        assert!(equal, "conditionings of different networks cannot be put together");
        let mut columns: Vec<_> = parts.iter().map(Self::tables).collect();
        first.map(parts.iter().map(Self::len).sum(), |_| {
            let next = columns.iter_mut().filter_map(Iterator::next);
            next.flat_map(|table| &table.values).copied().collect()
        })
    }

    /// All tables, in the order in which [`map`](Self::map) takes them.
    fn tables(&self) -> impl Iterator<Item = &Table> {
        self.modulations.iter().chain(self.observed.iter().map(|(_, table)| table))
    }

    /// The same with other numbers in each table, which are `len` rows.
    fn map(&self, len: usize, mut values: impl FnMut(&Table) -> Vec<f32>) -> Self {
        let mut of = |table: &Table| Table { values: values(table), width: table.width };
        let modulations = self.modulations.iter().map(&mut of).collect();
        let observed = self.observed.iter().map(|(name, table)| (name.clone(), of(table))).collect();
        Conditioning { len, modulations, observed }
    }
}

impl Table {
    fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }

    fn all(&self, rows: usize) -> Rows<'_> {
        Rows { values: &self.values, rows }
    }
}
