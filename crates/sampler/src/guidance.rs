//! Classifier-free guidance.

use ddim_schedule::{Level, Step};
use ddim_tensor::Tensor;

/// How strongly a run follows its labels.
///
/// ```
/// use ddim_sampler::{Guidance, GuidanceInterval};
/// let interval = GuidanceInterval::NoiseLevels { above: 0.2, up_to: 5.0 };
/// let guidance = Guidance { interval, rescale: 0.7, ..Guidance::from(3.0) };
/// assert!(!guidance.is_off() && Guidance::OFF.is_off());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// The scale of [`guide`]; 1 is none.
    pub scale: f64,
    /// The steps that are guided.
    pub interval: GuidanceInterval,
    /// How much of the guided prediction is replaced by its twin with the conditional one's contrast, from 0 to 1:
    /// the phi of [`rescale`].
    pub rescale: f64,
    /// The channels that are guided.
    pub channels: GuidedChannels,
}

/// The channels of a prediction that are guided; the others follow the label without guidance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuidedChannels {
    /// All.
    #[default]
    All,
    /// The first so many: facebookresearch/DiT guides three of its four.
    First(usize),
}

impl GuidedChannels {
    /// How many of so many.
    pub fn of(self, channels: usize) -> usize {
        match self {
            Self::All => channels,
            Self::First(first) => first.min(channels),
        }
    }
}

/// The steps of a run that are guided.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum GuidanceInterval {
    /// All.
    #[default]
    Always,
    /// Those that start at a noise level `sqrt((1 - alpha_bar)/alpha_bar)` in this interval: the sigma of
    /// Kynkaanniemi et al. 2024, whose best intervals leave out both the noisiest and the cleanest steps. The
    /// others follow the label without guidance and need half the computation.
    NoiseLevels {
        /// The level that is too low, from 0 on.
        above: f64,
        /// The highest level; it may be infinite.
        up_to: f64,
    },
}

impl Guidance {
    /// None: the model as it is.
    pub const OFF: Self =
        Self { scale: 1.0, interval: GuidanceInterval::Always, rescale: 0.0, channels: GuidedChannels::All };

    /// Whether no step is guided.
    pub fn is_off(&self) -> bool {
        self.scale == 1.0
    }

    /// Whether this step is guided, and so needs the prediction without a label.
    pub fn acts_at(&self, step: &Step) -> bool {
        let level = Level { time: step.time, alpha_bar: step.alpha_bar }.noise_level();
        !self.is_off() && self.interval.contains(level)
    }

    /// The guided prediction of `halves`, `[2n, c, h, w]`: what the network gives for the batch with its labels
    /// and then without. Only the first `channels` are a prediction of the picture. A learned variance behind them
    /// is the conditional one's (as in OpenAI's code of GLIDE): a line through two variances leaves their range.
    ///
    /// # Panics
    ///
    /// If the batch is odd.
    pub fn guided(&self, halves: Tensor, channels: usize) -> Tensor {
        let [n2, all, ..] = halves.dims();
        let predicted = halves.channels(0..channels);
        let conditional = predicted.pictures(0..n2 / 2);
        let first = self.channels.of(channels);
        let guided = guide(predicted.channels(0..first), self.scale);
        let guided = match first == channels {
            true => guided,
            false => guided.join_channels(&conditional.channels(first..channels)),
        };
        let guided = rescale(guided, conditional, self.rescale);
        if all == channels {
            return guided;
        }
        guided.join_channels(&halves.pictures(0..n2 / 2).channels(channels..all))
    }
}

impl GuidanceInterval {
    fn contains(self, noise_level: f64) -> bool {
        match self {
            Self::Always => true,
            Self::NoiseLevels { above, up_to } => above < noise_level && noise_level <= up_to,
        }
    }
}

impl Default for Guidance {
    fn default() -> Self {
        Self::OFF
    }
}

/// Guidance of this scale in every step.
impl From<f64> for Guidance {
    fn from(scale: f64) -> Self {
        Self { scale, ..Self::OFF }
    }
}

/// The guided prediction of Ho & Salimans 2022, `unconditional + scale (conditional - unconditional)`.
///
/// `halves` is `[2n, c, h, w]`, what the network gives for the batch twice: first with its labels, then
/// without. Scale 1 is the conditional prediction, 0 the unconditional one. The paper writes the scale as
/// `1 + w` (its Eq. 6).
///
/// # Panics
///
/// If the batch is odd.
pub fn guide(halves: Tensor, scale: f64) -> Tensor {
    let [n2, ..] = halves.dims();
    assert!(n2.is_multiple_of(2), "guidance needs the batch twice, not {n2} pictures");
    let (conditional, unconditional) = (halves.pictures(0..n2 / 2), halves.pictures(n2 / 2..n2));
    unconditional.clone() + (conditional - unconditional) * scale
}

/// `phi guided std(conditional)/std(guided) + (1 - phi) guided`, with the standard deviation of each picture: it
/// takes back the contrast that guidance adds (Lin et al. 2023, section 3.4). Like diffusers' `rescale_noise_cfg`
/// it acts on what the network predicts, be that eps, v or x0. A prediction without any contrast is left as it is.
pub fn rescale(guided: Tensor, conditional: Tensor, phi: f64) -> Tensor {
    if phi == 0.0 {
        return guided;
    }
    let variance = |x: Tensor| {
        let mean = x.mean_each();
        (x - mean).square().mean_each()
    };
    let found = variance(guided.clone());
    let ratio = variance(conditional).divided_or(found, 1.0).sqrt();
    guided * (ratio * phi + (1.0 - phi))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_near;
    use crate::{Noise, PictureNoise};
    use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
    use ddim_tensor::Device;

    #[test]
    fn scale_goes_through_both_predictions() {
        let halves = Tensor::new(vec![3.0, 1.0], [2, 1, 1, 1]);
        for (scale, expected) in [(0.0, 1.0f32), (1.0, 3.0), (2.5, 6.0)] {
            assert_near(&guide(halves.clone(), scale), &[expected]);
        }
    }

    /// diffusers 0.42.1, `rescale_noise_cfg`, on the numbers below: the mean moves with the contrast.
    #[test]
    fn rescaling_is_that_of_diffusers() {
        let two = |values: [f32; 8]| Tensor::new(values.to_vec(), [2, 1, 1, 4]);
        let guided = two([1.0, 2.0, 3.0, 6.0, 0.0, -1.0, 1.0, 0.5]);
        let conditional = two([1.0, 1.5, 2.0, 3.5, 0.5, -0.5, 2.0, 0.25]);
        let expected = [0.65, 1.3, 1.95, 3.9, 0.0, -1.159_360_2, 1.159_360_2, 0.579_680_1];
        assert_near(&rescale(guided, conditional, 0.7), &expected);
    }

    #[test]
    fn a_whole_rescale_has_the_contrast_of_the_conditional_prediction() {
        let device = Device::Cpu;
        let halves = PictureNoise::new(3, 0..4).initial([4, 3, 8, 8], &device);
        let (guided, conditional) = (guide(halves.clone(), 5.0), halves.pictures(0..2));
        let spread = |x: Tensor| {
            let mean = x.mean_each();
            (x - mean).square().mean_each().sqrt()
        };
        let rescaled = rescale(guided.clone(), conditional.clone(), 1.0);
        assert_near(&spread(rescaled), &spread(conditional.clone()).values());
        assert_eq!(rescale(guided.clone(), conditional, 0.0).values(), guided.values());
    }

    #[test]
    fn no_contrast_is_no_division_by_zero() {
        let flat = || Tensor::full(0.5, [1, 1, 2, 2]);
        assert_eq!(rescale(flat(), flat(), 1.0).values(), flat().values());
    }

    #[test]
    fn a_learned_variance_is_not_guided() {
        let halves = PictureNoise::new(3, 0..4).initial([4, 6, 2, 2], &Device::Cpu);
        let guided = Guidance::from(4.0).guided(halves.clone(), 3);
        assert_eq!(guided.channels(3..6).values(), halves.pictures(0..2).channels(3..6).values());
        assert_eq!(guided.channels(0..3).values(), guide(halves.channels(0..3), 4.0).values());
    }

    #[test]
    fn channels_that_are_not_guided_follow_the_label() {
        let halves = PictureNoise::new(3, 0..4).initial([4, 6, 2, 2], &Device::Cpu);
        let some = Guidance { channels: GuidedChannels::First(2), ..Guidance::from(4.0) };
        let guided = some.guided(halves.clone(), 3);
        assert_eq!(guided.channels(0..2).values(), guide(halves.channels(0..2), 4.0).values());
        assert_eq!(guided.channels(2..6).values(), halves.pictures(0..2).channels(2..6).values());
        let all = Guidance { channels: GuidedChannels::First(3), ..some };
        assert_eq!(all.guided(halves.clone(), 3).values(), Guidance::from(4.0).guided(halves, 3).values());
    }

    #[test]
    fn an_interval_is_open_below_and_closed_above() {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
        let plan = Plan::new(&schedule, &Settings { n_steps: 4, ..Settings::default() }).unwrap();
        let levels: Vec<f64> = plan.steps().iter().map(|step| (1.0 / step.alpha_bar - 1.0).sqrt()).collect();
        let acting = |above, up_to| {
            let interval = GuidanceInterval::NoiseLevels { above, up_to };
            let guidance = Guidance { interval, ..Guidance::from(2.0) };
            plan.steps().iter().map(|step| guidance.acts_at(step)).collect::<Vec<_>>()
        };
        // A hair above each level, since a square root may round.
        let [a, _, c, d] = levels[..] else { panic!("four steps") };
        assert_eq!(acting(d * 1.0001, a * 1.0001), [true, true, true, false]);
        assert_eq!(acting(c * 1.0001, f64::INFINITY), [true, true, false, false]);
        assert_eq!(acting(0.0, f64::INFINITY), [true; 4]);
        assert!(!Guidance::OFF.acts_at(&plan.steps()[0]));
    }
}
