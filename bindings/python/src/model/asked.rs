//! Which pictures are asked for, with what guidance and what labels.

use ddim::{Guidance, GuidanceInterval, GuidedChannels, LabelRows, Labels, Reuse, Tensor};
use pyo3::prelude::*;

use crate::errors::value;
use crate::input::{self, numbers};
use crate::noise::Noise;
use crate::options::{MOST, Options, listed};

/// Which pictures are drawn.
pub(super) struct Drawn {
    pub(super) indices: Vec<usize>,
    pub(super) streams: Vec<(u64, u64)>,
    values: Option<Tensor>,
}

impl Drawn {
    pub(super) fn take(num: Option<usize>, options: &mut Options<'_>) -> PyResult<Self> {
        let seed: Option<u64> = options.take("seed")?;
        let first: Option<usize> = options.take("first")?;
        let seeds: Option<Vec<u64>> = options.list("seeds")?;
        let noise = options.any("noise")?;
        if num.is_some_and(|num| num > MOST) || first.is_some_and(|first| first > usize::MAX - MOST) {
            return Err(value(format!("num is at most {MOST} in one call: draw the rest with first={MOST}")));
        }
        let alone =
            |name: &str| value(format!("{name} says which pictures are drawn: leave out seed, seeds and first"));
        let (streams, values) = match (seeds, noise) {
            (Some(_), None) if seed.or(first.map(|_| 0)).is_some() => return Err(alone("seeds")),
            (Some(seeds), None) => (seeds.into_iter().map(|seed| (seed, 0)).collect(), None),
            (seeds, Some(_)) if seeds.is_some() || seed.is_some() || first.is_some() => {
                return Err(alone("noise"));
            }
            (_, Some(noise)) => match noise.cast::<Noise>() {
                Ok(noise) => (noise.get().streams.clone(), None),
                Err(_) => {
                    let values = input::batch(&noise, "noise")?;
                    ((0..values.dims()[0] as u64).map(|picture| (0, picture)).collect(), Some(values))
                }
            },
            (None, None) => {
                let (seed, first) = (seed.unwrap_or(0), first.unwrap_or(0));
                let pictures = first..first + num.unwrap_or(1);
                let streams = pictures.clone().map(|picture| (seed, picture as u64)).collect();
                return Ok(Self { indices: pictures.collect(), streams, values: None });
            }
        };
        let streams: Vec<(u64, u64)> = streams;
        match num {
            Some(num) if num != streams.len() => {
                let count = streams.len();
                Err(value(format!("num is {num}, and {count} seeds or noises are given: leave num out")))
            }
            _ => Ok(Self { indices: (0..streams.len()).collect(), streams, values }),
        }
    }

    /// The noise that was given in numbers.
    pub(super) fn given(&self, [c, h, w]: [usize; 3]) -> PyResult<Option<Tensor>> {
        match &self.values {
            Some(values) if values.dims()[1..] != [c, h, w] => {
                Err(value(format!("noise has shape {:?}: it must be [n, {c}, {h}, {w}]", values.dims())))
            }
            values => Ok(values.clone()),
        }
    }
}

pub(super) fn guidance(options: &mut Options<'_>) -> PyResult<Guidance> {
    let scale: Option<f64> = options.take("guidance")?;
    let interval: Option<(f64, f64)> = options.take("guidance_interval")?;
    let rescale: Option<f64> = options.take("guidance_rescale")?;
    let channels: Option<usize> = options.take("guided_channels")?;
    if scale.unwrap_or(1.0) == 1.0 && (interval.is_some() || rescale.is_some() || channels.is_some()) {
        let said = "guidance_interval, guidance_rescale and guided_channels change nothing without guidance: add";
        return Err(value(format!("{said} guidance=3, or leave them out")));
    }
    let channels = channels.map_or(GuidedChannels::All, GuidedChannels::First);
    let interval = match interval {
        None => GuidanceInterval::Always,
        Some((above, up_to)) => GuidanceInterval::NoiseLevels { above, up_to },
    };
    Ok(Guidance { scale: scale.unwrap_or(1.0), interval, rescale: rescale.unwrap_or(0.0), channels })
}

/// Features that calls keep for later ones.
pub(super) fn reuse(options: &mut Options<'_>) -> PyResult<Option<Reuse>> {
    let text: Option<String> = options.take("reuse")?;
    text.map(|text| text.parse().map_err(|error| value(format!("reuse: {error}")))).transpose()
}

/// Numbers, or rows of them.
pub(super) fn labels_of(labels: &Bound<'_, PyAny>) -> PyResult<Labels> {
    if let Ok(list) = listed::<f64>(labels, "labels") {
        return Ok(list.into());
    }
    let found = numbers(labels, "labels")?;
    match found.shape.as_slice() {
        [_] => Ok(found.values.into_iter().map(f64::from).collect::<Vec<_>>().into()),
        &[_, width] if width > 0 => {
            let rows: Vec<Vec<f32>> = found.values.chunks_exact(width).map(<[f32]>::to_vec).collect();
            Ok(LabelRows::new(&rows).map_err(value)?.into())
        }
        shape => {
            Err(value(format!("labels has shape {shape:?}: it is a list of numbers, or an array [n, width]")))
        }
    }
}
