//! `.safetensors` files of raw numbers, to check a run against another implementation.

use std::collections::HashMap;

use anyhow::Context;
use ddim_schedule::Direction;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::noise;

/// Metadata key of the run's JSON: the same word as in a PNG's text chunk.
pub(crate) const RUN_KEY: &str = "ddim";

/// Raw results of a run, all pictures in order.
#[derive(Debug)]
pub(crate) struct RawRun<'a> {
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    /// The last state of every picture, unclipped.
    pub(crate) finals: &'a [f32],
    /// Channels, height, width of the states.
    pub(crate) state: [usize; 3],
    /// The last state of every picture that was decoded from one; empty where states are pictures.
    pub(crate) latents: &'a [f32],
    /// Whether that is a picture or noise.
    pub(crate) direction: Direction,
    /// The timesteps, in order of use.
    pub(crate) timesteps: &'a [f64],
    /// Every state from the noise to the last; empty without `--trajectory`.
    pub(crate) states: &'a [Vec<f32>],
}

/// The bytes of a safetensors file: `final` [n,c,h,w], called `initial_noise` where the run ends at noise, `final_latent`
/// where that was decoded, `timesteps` [k], and `x` [k+1,n,c,h,w] where kept.
pub(crate) fn encode(raw: &RawRun<'_>, run: &str) -> anyhow::Result<Vec<u8>> {
    let [channels, height, width] = raw.shape;
    let pictures = raw.finals.len() / (channels * height * width);
    let finals = little_endian(raw.finals);
    let states: Vec<u8> = raw.states.iter().flat_map(|state| little_endian(state)).collect();
    let (times_type, timesteps) = timesteps(raw.timesteps);
    let name = match raw.direction {
        Direction::Decode => "final",
        Direction::Encode => noise::INITIAL,
    };
    let mut tensors = vec![
        (name, TensorView::new(Dtype::F32, vec![pictures, channels, height, width], &finals)?),
        ("timesteps", TensorView::new(times_type, vec![raw.timesteps.len()], &timesteps)?),
    ];
    let [channels, height, width] = raw.state;
    let latents = little_endian(raw.latents);
    if !latents.is_empty() {
        let shape = vec![pictures, channels, height, width];
        tensors.push(("final_latent", TensorView::new(Dtype::F32, shape, &latents)?));
    }
    if !raw.states.is_empty() {
        let shape = vec![raw.states.len(), pictures, channels, height, width];
        tensors.push(("x", TensorView::new(Dtype::F32, shape, &states)?));
    }
    let metadata = HashMap::from([(RUN_KEY.to_owned(), run.to_owned())]);
    safetensors::serialize(tensors, Some(metadata)).context("cannot encode the tensors")
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Whole numbers where all are: only then can they index a table.
fn timesteps(times: &[f64]) -> (Dtype, Vec<u8>) {
    if times.iter().all(|time| time.fract() == 0.0) {
        (Dtype::I64, times.iter().flat_map(|time| (*time as i64).to_le_bytes()).collect())
    } else {
        (Dtype::F64, times.iter().flat_map(|time| time.to_le_bytes()).collect())
    }
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn holds_finals_timesteps_states_and_the_run() {
        let states = [vec![3.0, 4.0], vec![1.5, 2.5]];
        let raw = RawRun {
            shape: [1, 1, 1],
            finals: &[1.5, 2.5],
            state: [1, 1, 1],
            latents: &[],
            direction: Direction::Decode,
            timesteps: &[999.0],
            states: &states,
        };
        let bytes = encode(&raw, r#"{"steps":1}"#).expect("encodes");
        let read = SafeTensors::deserialize(&bytes).expect("decodes");
        assert_eq!(read.tensor("final").expect("there").shape(), [2, 1, 1, 1]);
        assert_eq!(read.tensor("final").expect("there").data(), little_endian(&[1.5, 2.5]));
        assert_eq!(read.tensor("timesteps").expect("there").data(), 999_i64.to_le_bytes());
        assert_eq!(read.tensor("x").expect("there").shape(), [2, 2, 1, 1, 1]);
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
        assert_eq!(header.metadata().as_ref().expect("metadata")["ddim"], r#"{"steps":1}"#);
    }

    /// Under the name by which `--noise` reads it.
    #[test]
    fn noise_is_called_noise() {
        let raw = RawRun {
            shape: [1, 1, 1],
            finals: &[1.5],
            state: [1, 1, 1],
            latents: &[],
            direction: Direction::Encode,
            timesteps: &[0.0],
            states: &[],
        };
        let bytes = encode(&raw, "{}").expect("encodes");
        let read = SafeTensors::deserialize(&bytes).expect("decodes");
        assert_eq!(read.tensor("initial_noise").expect("there").shape(), [1, 1, 1, 1]);
        assert!(read.tensor("final").is_err());
    }
}
