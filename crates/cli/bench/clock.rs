//! What tells the time of a benchmark.

use std::cell::Cell;
use std::time::{Duration, Instant};

use ddim::timing::Clock;

use super::memory::Memory;
use crate::args::ClockChoice;

/// What measures the machine.
pub(super) struct Instruments {
    /// Time.
    pub(super) clock: Box<dyn Clock>,
    /// Memory.
    pub(super) memory: Memory,
}

impl Instruments {
    /// Those asked for.
    pub(super) fn new(choice: ClockChoice) -> Self {
        match choice {
            ClockChoice::System => Self { clock: Box::new(Instant::now()), memory: Memory::OfProcess },
            ClockChoice::Fake => Self { clock: Box::new(Ticking::default()), memory: Memory::NotMeasured },
        }
    }
}

/// A millisecond passes whenever somebody asks for the time.
#[derive(Default)]
struct Ticking(Cell<u64>);

impl Clock for Ticking {
    fn now(&self) -> Duration {
        self.0.set(self.0.get() + 1);
        Duration::from_millis(self.0.get())
    }
}
