//! The pictures of a job in 8 bits, for commands that look at them and do not write them.

use std::ops::ControlFlow;

use ddim::{Drawn, Observer, Seen};
use ddim_data::Picture;

use crate::ending::Ending;
use crate::job::Job;
use crate::signals::Interrupt;

/// Draws these pictures, and hands each batch over with the numbers of its pictures.
pub(crate) fn draw(
    job: &Job<'_>,
    pictures: &[usize],
    interrupt: &Interrupt,
    each: impl FnMut(&[usize], Vec<Picture>) -> anyhow::Result<()>,
) -> anyhow::Result<Ending> {
    Ok(job.drawing.walk(pictures, &mut In8Bits { job, interrupt, each })?.into())
}

struct In8Bits<'a, F> {
    job: &'a Job<'a>,
    interrupt: &'a Interrupt,
    each: F,
}

impl<F: FnMut(&[usize], Vec<Picture>) -> anyhow::Result<()>> Observer for In8Bits<'_, F> {
    type Error = anyhow::Error;

    fn see(&mut self, _: &[usize], _: Seen<'_>) -> ControlFlow<()> {
        self.interrupt.go_on()
    }

    fn take(&mut self, batch: Drawn) -> anyhow::Result<ControlFlow<()>> {
        let values = batch.x.into_values();
        let pictures = values.chunks(self.job.shape.iter().product()).map(|values| self.job.picture(values));
        (self.each)(&batch.indices, pictures.collect())?;
        Ok(self.interrupt.go_on())
    }
}
