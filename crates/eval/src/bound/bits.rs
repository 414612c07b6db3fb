//! The bound in bits per dimension.

use std::f64::consts::LN_2;

use crate::{Bound, BoundEstimate, Mean, PictureBound};

/// The variational bound of a set of pictures in bits per dimension: means over the pictures, with standard errors
/// that hold the choice of the pictures, of the noise and of the terms together.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundBits {
    /// All terms together.
    pub total: Mean,
    /// `L_T`: how far the noisiest pictures are from pure noise.
    pub prior: Mean,
    /// The sum of the terms between prior and decoder.
    pub between: Mean,
    /// `L_0`: the pictures, from the cleanest noisy ones.
    pub decoder: Mean,
    /// The terms between, one by one, in the order of [`Bound::times`]: over the pictures it was computed for.
    pub steps: Vec<StepBits>,
}

/// One term between prior and decoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepBits {
    /// The time of its network call.
    pub time: f64,
    /// Its mean; none where no picture had it among its random terms.
    pub bits: Option<Mean>,
    /// For how many pictures it was computed.
    pub pictures: usize,
}

impl BoundBits {
    /// Of pictures measured with this bound. None of no pictures.
    pub fn of(bound: &Bound, batches: &[BoundEstimate]) -> Option<Self> {
        let pictures = || {
            batches
                .iter()
                .flat_map(|batch| batch.pictures.iter().map(|picture| (picture, batch.dims as f64 * LN_2)))
        };
        let mean = |nats: fn(&PictureBound) -> f64| {
            Mean::of(&pictures().map(|(picture, bit)| nats(picture) / bit).collect::<Vec<_>>())
        };
        let mut steps = vec![Vec::new(); bound.steps.len()];
        for (picture, bit) in pictures() {
            picture.steps.iter().for_each(|term| steps[term.step].push(term.nats / bit));
        }
        let of_step =
            |(time, bits): (f64, Vec<f64>)| StepBits { time, bits: Mean::of(&bits), pictures: bits.len() };
        Some(Self {
            total: mean(PictureBound::nats)?,
            prior: mean(|picture| picture.prior)?,
            between: mean(PictureBound::between)?,
            decoder: mean(|picture| picture.decoder)?,
            steps: bound.times().into_iter().zip(steps).map(of_step).collect(),
        })
    }
}
