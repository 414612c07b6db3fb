//! What a run starts from where that is given: pictures, noise between noises, or `--noise FILE`, the noise of another
//! implementation's run, to repeat it number by number.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use ddim_bench::units;
use ddim_checkpoint::fingerprint;
use ddim_sampler::GivenNoise;
use ddim_schedule::{Plan, StepNoise};
use ddim_tensor::Tensor;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

/// The tensor that a run starts from.
pub(crate) const INITIAL: &str = "initial_noise";
const STEPS: &str = "step_noise";
const USED_AT: &str = "step_noise_used_at_step";

/// The starts of pictures, and noise for their steps.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    /// The field of the run's record that says what it is.
    pub(crate) record: (&'static str, Value),
    /// The numbers.
    pub(crate) noise: GivenNoise,
}

impl Given {
    /// Reads the noise of a run with this plan, or of one that adds none on its way, for pictures of this shape (channels, height, width). `option` is what
    /// was typed before the file.
    pub(crate) fn read(option: &str, path: &Path, plan: Option<&Plan>, shape: [usize; 3]) -> anyhow::Result<Self> {
        let file = format!("{option}{}", path.display());
        let bytes = fs::read(path).with_context(|| file.clone())?;
        let tensors =
            SafeTensors::deserialize(&bytes).with_context(|| format!("{file}: not a safetensors file"))?;
        let noise = from_tensors(&tensors, plan, shape).with_context(|| file)?;
        let name = format!("{} ({})", path.display(), fingerprint(&bytes));
        Ok(Self { record: ("noise", json!(name)), noise })
    }

    /// This start, [n,c,h,w], for a run whose steps add no noise.
    pub(crate) fn start(record: (&'static str, Value), initial: Tensor) -> Self {
        Self { record, noise: GivenNoise { initial, steps: Vec::new() } }
    }

    /// How many pictures it is for.
    pub(crate) fn pictures(&self) -> usize {
        self.noise.initial.dims()[0]
    }
}

fn from_tensors(tensors: &SafeTensors<'_>, plan: Option<&Plan>, shape: [usize; 3]) -> anyhow::Result<GivenNoise> {
    let (found, initial) = floats(tensors, INITIAL)?;
    let [channels, height, width] = shape;
    let [pictures, rest @ ..] = found.as_slice() else { bail!("{INITIAL} has no axes; it must be [n,c,h,w]") };
    if rest != shape || *pictures == 0 {
        bail!("{INITIAL} is {found:?}; the model needs [n, {channels}, {height}, {width}] with n from 1 on");
    }
    let shape = [*pictures, channels, height, width];
    let steps = plan.map_or(Ok(Vec::new()), |plan| step_noise(tensors, plan, shape))?;
    Ok(GivenNoise { initial: Tensor::new(initial, shape), steps })
}

/// The noise by step; every step of the plan that adds noise has some.
fn step_noise(tensors: &SafeTensors<'_>, plan: &Plan, shape: [usize; 4]) -> anyhow::Result<Vec<Option<Tensor>>> {
    let mut steps = vec![None; plan.steps().len()];
    if tensors.tensor(STEPS).is_ok() {
        let (found, values) = floats(tensors, STEPS)?;
        let used_at = integers(tensors, USED_AT)?;
        if found.first() != Some(&used_at.len()) || found[1..] != shape {
            bail!(
                "{STEPS} is {found:?}; with {} in {USED_AT} it must be those times {shape:?}",
                units::counted(used_at.len(), "number")
            );
        }
        let one = shape.iter().product();
        for (step, noise) in used_at.into_iter().zip(values.chunks(one)) {
            let place = steps.get_mut(step).with_context(|| {
                format!("{USED_AT} names step {step}; the run has the steps 0 to {}", plan.steps().len() - 1)
            })?;
            *place = Some(Tensor::new(noise.to_vec(), shape));
        }
    }
    let needs_noise =
        plan.steps().iter().zip(&steps).position(|(step, noise)| step.noise != StepNoise::None && noise.is_none());
    match needs_noise {
        Some(step) => {
            bail!("step {step} adds noise and the file has none for it; give it in {STEPS} and {USED_AT}")
        }
        None => Ok(steps),
    }
}

/// A tensor's shape and its values in f32.
pub(crate) fn floats(tensors: &SafeTensors<'_>, name: &str) -> anyhow::Result<(Vec<usize>, Vec<f32>)> {
    let tensor = tensors.tensor(name).with_context(|| format!("there is no tensor {name}"))?;
    let values = match tensor.dtype() {
        Dtype::F32 => words(tensor.data()).map(f32::from_le_bytes).collect(),
        Dtype::F64 => words(tensor.data()).map(|word| f64::from_le_bytes(word) as f32).collect(),
        other => bail!("{name} is of type {other:?}; it must be F32 or F64"),
    };
    Ok((tensor.shape().to_vec(), values))
}

fn integers(tensors: &SafeTensors<'_>, name: &str) -> anyhow::Result<Vec<usize>> {
    let tensor = tensors.tensor(name).with_context(|| format!("there is no tensor {name}"))?;
    let numbers: Vec<i64> = match tensor.dtype() {
        Dtype::I64 => words(tensor.data()).map(i64::from_le_bytes).collect(),
        Dtype::I32 => words(tensor.data()).map(|word| i32::from_le_bytes(word).into()).collect(),
        other => bail!("{name} is of type {other:?}; it must be I64 or I32"),
    };
    numbers
        .into_iter()
        .map(|number| {
            usize::try_from(number).with_context(|| format!("{name} holds {number}; steps count from 0"))
        })
        .collect()
}

/// Groups of `N` bytes.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use ddim::Streams;
    use ddim_schedule::solvers::Ddim;
    use ddim_schedule::{BetaSchedule, Convention, Eta, NoiseSchedule, Settings};
    use ddim_tensor::Device;
    use safetensors::tensor::TensorView;

    use super::*;

    fn plan(eta: Eta) -> Plan {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the paper's schedule");
        Plan::new(&schedule, &Settings::new(Convention::Exact, Ddim { eta }, 2)).expect("a plan")
    }

    /// Writes two pictures of one number each, and noise for the steps named.
    fn file(used_at: &[i64]) -> tempfile::NamedTempFile {
        let bytes = |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        let (initial, noise) = (bytes(&[1.0, 2.0]), bytes(&vec![5.0; 2 * used_at.len()]));
        let at: Vec<u8> = used_at.iter().flat_map(|step| step.to_le_bytes()).collect();
        let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).expect("fits");
        let tensors = [
            (INITIAL, view(Dtype::F32, &[2, 1, 1, 1], &initial)),
            (STEPS, view(Dtype::F32, &[used_at.len(), 2, 1, 1, 1], &noise)),
            (USED_AT, view(Dtype::I64, &[used_at.len()], &at)),
        ];
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), safetensors::serialize(tensors, None).expect("encodes")).expect("writable");
        file
    }

    fn read(used_at: &[i64], eta: Eta, shape: [usize; 3]) -> anyhow::Result<Given> {
        Given::read("", file(used_at).path(), Some(&plan(eta)), shape)
    }

    #[test]
    fn picks_the_noise_of_the_pictures_asked_for() {
        let given = read(&[0], Eta::DDPM, [1, 1, 1]).expect("enough");
        assert!(given.noise.steps[0].is_some() && given.noise.steps[1].is_none());
        let (shape, device) = ([1, 1, 1, 1], Device::Cpu);
        let mut noise = Streams::Given(given.noise).of(&[1], &device);
        assert_eq!(
            (noise.initial(shape, &device).values(), noise.step(0, shape, &device).values()),
            (vec![2.0], vec![5.0])
        );
    }

    #[test]
    fn says_what_is_missing_or_misshapen() {
        let error = |used_at: &[i64], eta, shape| format!("{:#}", read(used_at, eta, shape).expect_err("refused"));
        assert!(error(&[], Eta::DDPM, [1, 1, 1]).contains("step 0 adds noise"));
        assert!(error(&[], Eta::DDIM, [3, 8, 8]).contains("the model needs [n, 3, 8, 8]"));
        assert!(error(&[7], Eta::DDIM, [1, 1, 1]).contains("names step 7; the run has the steps 0 to 1"));
        assert!(error(&[-1], Eta::DDIM, [1, 1, 1]).contains("steps count from 0"));
    }

    #[test]
    fn noise_without_axes_is_an_error() {
        let (initial, one) = ([0; 4], [0; 4]);
        let view = |shape: &[usize], data| TensorView::new(Dtype::F32, shape.to_vec(), data).expect("fits");
        let used_at = TensorView::new(Dtype::I64, vec![1], &[0; 8]).expect("fits");
        let tensors = [(INITIAL, view(&[1, 1, 1, 1], &initial)), (STEPS, view(&[], &one)), (USED_AT, used_at)];
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), safetensors::serialize(tensors, None).expect("encodes")).expect("writable");
        let error = Given::read("", file.path(), Some(&plan(Eta::DDPM)), [1, 1, 1]).expect_err("refused");
        assert!(format!("{error:#}").contains("step_noise is []; with 1 number in"), "{error:#}");
    }

    #[test]
    fn a_file_of_something_else_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "not tensors").expect("writable");
        let error = Given::read("", file.path(), Some(&plan(Eta::DDIM)), [1, 1, 1]).expect_err("refused");
        assert!(format!("{error:#}").contains("not a safetensors file"));
    }
}
