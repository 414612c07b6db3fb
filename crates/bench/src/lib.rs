//! What a benchmark of samplers says. A [`Cell`] is a method with a number of steps; a [`Row`] is what was
//! measured of it, batch by batch; a [`Scale`] puts rows beside that of the reference; a [`Report`] is all of it,
//! as a table, as plots and as a page that needs nothing else. Nothing here draws, waits or prints.
//!
//! ```
//! use ddim_bench::units;
//! assert_eq!(units::time(0.0123), "12.3 ms");
//! ```

mod axis;
mod cell;
mod chart;
mod csv;
mod drift;
mod frontier;
mod frontier_plot;
mod html;
mod quality_plot;
mod report;
mod row;
mod strip;
mod svg;
mod table;
#[cfg(test)]
mod testing;
mod time_plot;
pub mod units;
mod verdict;

pub use cell::{Cell, Role, file_name, is_file_name};
pub use drift::{MachineDrift, Steadiness, described, most, steadiness};
pub use frontier::Frontier;
pub use report::{Report, ReportFile};
pub use row::{BatchTime, Compared, Quartiles, Row, Scale, Whole};
pub use table::{Columns, legend};
pub use verdict::Verdict;
