//! The pictures of a job in 8 bits, for commands that look at them and do not write them.

use std::ops::ControlFlow;

use ddim_data::Picture;
use ddim_sampler::{AdaptiveOutcome, Outcome};
use ddim_tensor::Tensor;

use crate::Ending;
use crate::job::Job;
use crate::signals::Interrupt;

/// Draws these pictures batch by batch, and hands each batch over with the numbers of its pictures.
///
/// # Errors
/// When a picture cannot be drawn, and whatever `each` refuses.
pub(crate) fn draw(
    job: &Job<'_>,
    pictures: &[usize],
    interrupt: &Interrupt,
    mut each: impl FnMut(&[usize], Vec<Picture>) -> anyhow::Result<()>,
) -> anyhow::Result<Ending> {
    for batch in pictures.chunks(job.batch_size) {
        match finished(job, batch, interrupt)? {
            Some(x) => each(batch, in_8_bits(job, &x))?,
            None => return Ok(Ending::Interrupted),
        }
    }
    Ok(Ending::Done)
}

/// A batch, unless Ctrl-C came first.
fn finished(job: &Job<'_>, batch: &[usize], interrupt: &Interrupt) -> anyhow::Result<Option<Tensor>> {
    let go_on = || if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let start = job.start(batch);
    Ok(match &job.plan.adaptive {
        None => match job.draw(batch, start, |_| go_on())? {
            Outcome::Finished(x) => Some(x),
            Outcome::Stopped { .. } => None,
        },
        Some(adaptive) => match job.draw_adaptive(adaptive, batch, start, |_| go_on())? {
            AdaptiveOutcome::Finished { pictures, .. } => Some(pictures),
            AdaptiveOutcome::Stopped { .. } => None,
        },
    })
}

fn in_8_bits(job: &Job<'_>, x: &Tensor) -> Vec<Picture> {
    let values = x.values();
    let picture = values.chunks(job.shape.iter().product());
    picture.map(|values| Picture::from_values(values, job.shape, |value| job.rounding().to_u8(value))).collect()
}
