//! How long drawing takes, in the network and around it: what [`Run::timed`](crate::Run::timed) tells.
//!
//! Time is an argument like randomness: a [`Clock`] tells it, and a test has one of its own.

use std::time::{Duration, Instant};

use ddim_sampler::SampleError;
use ddim_tensor::{Device, DeviceError};

use crate::Error;

/// What tells the time.
pub trait Clock {
    /// The time since some moment, the same for all calls; it never goes back.
    fn now(&self) -> Duration;
}

/// The system's clock: the time since this instant.
impl Clock for Instant {
    fn now(&self) -> Duration {
        self.elapsed()
    }
}

/// Where the time of one batch went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Laps {
    /// From the start to the last step, all told.
    pub total: Duration,
    /// The part of it inside the network, its time and class embeddings included.
    pub network: Duration,
    /// How often the network was called.
    pub calls: usize,
}

/// Times the calls of a network; without a clock it calls.
pub(crate) struct Stopwatch<'a> {
    device: &'a Device,
    clock: Option<&'a dyn Clock>,
    start: Duration,
    laps: Laps,
    failed: Option<DeviceError>,
}

impl<'a> Stopwatch<'a> {
    /// One that times nothing.
    pub(crate) fn none(device: &'a Device) -> Self {
        Self::start(device, None)
    }

    /// Begins to time what is computed on this device, if there is a clock.
    pub(crate) fn start(device: &'a Device, clock: Option<&'a dyn Clock>) -> Self {
        let mut watch = Self { device, clock, start: Duration::ZERO, laps: Laps::default(), failed: None };
        watch.start = watch.settled();
        watch
    }

    /// Makes one call of the network.
    pub(crate) fn call<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let start = self.settled();
        let out = call();
        let end = self.settled();
        self.laps.network += end.saturating_sub(start);
        self.laps.calls += 1;
        out
    }

    /// The times.
    pub(crate) fn stop(mut self) -> Result<Laps, Error> {
        let total = self.settled().saturating_sub(self.start);
        match self.failed {
            Some(error) => Err(Error::from(SampleError::from(error))),
            None => Ok(Laps { total, ..self.laps }),
        }
    }

    /// The time when the device has done what it was asked for; none without a clock.
    fn settled(&mut self) -> Duration {
        let Some(clock) = self.clock else { return Duration::ZERO };
        if let Err(error) = self.device.sync() {
            self.failed = Some(error);
        }
        clock.now()
    }
}

/// How numbers are spread: the quartiles, and the ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// A quarter is at most this.
    pub lower_quartile: f64,
    /// Half is at most this.
    pub median: f64,
    /// Three quarters are at most this.
    pub upper_quartile: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of these numbers; none of none. Between two neighbours in order it goes along a straight line (Hyndman &
    /// Fan 1996, definition 7, which is also numpy's).
    ///
    /// ```
    /// let spread = ddim::timing::Spread::of(&[4.0, 1.0, 2.0, 3.0]).expect("four numbers");
    /// assert_eq!((spread.least, spread.lower_quartile, spread.median, spread.most), (1.0, 1.75, 2.5, 4.0));
    /// ```
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let below = place.floor() as usize;
            let above = sorted[(below + 1).min(last)];
            sorted[below] + (place - place.floor()) * (above - sorted[below])
        };
        Some(Self {
            least: at(0.0),
            lower_quartile: at(0.25),
            median: at(0.5),
            upper_quartile: at(0.75),
            most: at(1.0),
        })
    }
}

impl Spread {
    /// By what share the median of so many numbers may be off: the standard error of the median of normal numbers,
    /// whose quartiles lie 1.349 standard deviations apart. 0 for a single number, which tells nothing about it.
    ///
    /// ```
    /// let spread = ddim::timing::Spread::of(&[0.9, 1.0, 1.1]).expect("three numbers");
    /// // 1.2533 times 0.1 / 1.349 over the root of 3
    /// assert!((spread.error_of_median(3) - 0.0536).abs() < 1e-4);
    /// assert_eq!(spread.error_of_median(1), 0.0);
    /// ```
    pub fn error_of_median(&self, count: usize) -> f64 {
        if count < 2 {
            return 0.0;
        }
        let deviation = (self.upper_quartile - self.lower_quartile) / 1.349;
        (std::f64::consts::FRAC_PI_2 / count as f64).sqrt() * deviation / self.median
    }
}

/// How the same work took at the start of a run and at its end, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// At the start.
    pub start: f64,
    /// At the end.
    pub end: f64,
}

impl Drift {
    /// How much longer it took at the end, as a share.
    ///
    /// ```
    /// let drift = ddim::timing::Drift { start: 2.0, end: 2.5 };
    /// assert_eq!(drift.share(), 0.25);
    /// ```
    pub fn share(&self) -> f64 {
        self.end / self.start - 1.0
    }
}

/// By what share a ratio of two times may be off, that are off by these shares each, while the machine has drifted
/// by the third.
pub fn error_of_ratio([one, other]: [f64; 2], drift: f64) -> f64 {
    one.hypot(other).hypot(drift)
}

/// A picture's time beside that of the run that everything is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// How many times faster it is.
    pub speed_up: f64,
    /// How much longer it takes than its network calls alone would make it, as a share: 0 where time is
    /// proportional to calls.
    pub deviation: f64,
}

impl Comparison {
    /// Of a picture that takes `seconds` and `calls` with one that takes `reference`, both in that order.
    ///
    /// ```
    /// // 20 calls of 1000 take a fiftieth, and this one a tenth more than that.
    /// let found = ddim::timing::Comparison::new((0.22, 20), (10.0, 1000));
    /// assert!((found.deviation - 0.1).abs() < 1e-12 && (found.speed_up - 10.0 / 0.22).abs() < 1e-12);
    /// ```
    pub fn new((seconds, calls): (f64, usize), (of_reference, all_calls): (f64, usize)) -> Self {
        let expected = of_reference * calls as f64 / all_calls as f64;
        Self { speed_up: of_reference / seconds, deviation: seconds / expected - 1.0 }
    }
}

/// A kind of picture, for [`Shares`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kind {
    /// How long one takes.
    pub seconds: f64,
    /// How much one varies, beside those of other kinds. 0 for a kind of which one batch is enough.
    pub variance: f64,
}

/// How many pictures of each kind a time allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Pictures drawn at once, of every kind.
    pub batch_size: usize,
    /// Pictures of each kind: whole batches, at least one.
    pub counts: Vec<usize>,
}

impl Shares {
    /// For these kinds, in `budget` seconds; none if one of each takes longer.
    ///
    /// What is known of a kind from `n` pictures has a variance of `variance/n`. The sum of these is smallest,
    /// within a sum of seconds, where `n` is proportional to `sqrt(variance/seconds)` (Neyman 1934, section III).
    /// Batches are halved until each kind can have one.
    ///
    /// ```
    /// use ddim::timing::{Kind, Shares};
    /// let kinds = [1.0, 4.0].map(|seconds| Kind { seconds, variance: 1.0 });
    /// // 16 of the first take 16 seconds, and half as many of the second, which take four times as long, 32.
    /// assert_eq!(Shares::new(&kinds, 48.0, 1).expect("time enough").counts, [16, 8]);
    /// ```
    pub fn new(kinds: &[Kind], budget: f64, batch_size: usize) -> Option<Self> {
        let one_of_each: f64 = kinds.iter().map(|kind| kind.seconds).sum();
        let mut batch_size = batch_size;
        while one_of_each * batch_size as f64 > budget {
            batch_size /= 2;
            if batch_size == 0 {
                return None;
            }
        }
        let least = batch_size as f64;
        let share = |kind: &Kind| (kind.variance / kind.seconds).sqrt();
        // Kinds whose share is less than a batch have one, which leaves the others less.
        let mut scale = f64::INFINITY;
        loop {
            // Not 0 times infinity.
            let has_one = |kind: &&Kind| kind.variance == 0.0 || scale * share(kind) < least;
            let ones: f64 = kinds.iter().filter(has_one).map(|kind| kind.seconds * least).sum();
            let others: f64 =
                kinds.iter().filter(|kind| !has_one(kind)).map(|kind| kind.seconds * share(kind)).sum();
            let next = (budget - ones) / others;
            if others == 0.0 || next >= scale {
                break;
            }
            scale = next;
        }
        let batches =
            |kind: &Kind| if kind.variance == 0.0 { 1 } else { ((scale * share(kind) / least) as usize).max(1) };
        Some(Self { batch_size, counts: kinds.iter().map(|kind| batches(kind) * batch_size).collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::ops::ControlFlow;

    use super::*;
    use crate::{Model, Options, device};

    /// A second passes whenever somebody asks for the time.
    #[derive(Default)]
    struct Ticks(Cell<u64>);

    impl Clock for Ticks {
        fn now(&self) -> Duration {
            self.0.set(self.0.get() + 1);
            Duration::from_secs(self.0.get())
        }
    }

    #[test]
    fn calls_are_timed_apart_from_the_rest_and_pictures_are_the_same() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
        let model = Model::load(folder, &device::cpu()).expect("it is in the repository");
        let run = model.run(&Options { steps: 3, seed: 5, count: 2, ..Options::default() }).expect("three steps");
        let timed = run.timed(&[0, 1], &Ticks::default(), |_| ControlFlow::Continue(()));
        let (timed, laps) = timed.expect("a run");
        // Asked at the start, before and after each of three calls, and at the end: seven seconds, three inside.
        let seconds = Duration::from_secs;
        assert_eq!(laps, Laps { total: seconds(7), network: seconds(3), calls: 3 });
        let (plain, _) = run.all(|_, _| ControlFlow::Continue(())).expect("a run");
        assert_eq!(timed.expect("nobody stopped it").into_values(), plain.tensor().values());
    }

    #[test]
    fn a_single_number_is_spread_nowhere_and_none_has_no_spread() {
        let spread = Spread::of(&[2.0]).expect("a number");
        assert_eq!((spread.least, spread.median, spread.most), (2.0, 2.0, 2.0));
        assert_eq!(Spread::of(&[]), None);
    }

    /// Runs of 10, 20, 50, 100 and 1000 calls of 5 ms: 5.9 s for one of each.
    fn kinds() -> [Kind; 5] {
        [0.05, 0.1, 0.25, 0.5, 5.0].map(|seconds| Kind { seconds, variance: 1.0 })
    }

    #[test]
    fn a_kind_that_does_not_vary_has_one_batch_and_the_others_the_rest() {
        let kinds = [Kind { seconds: 4.0, variance: 0.0 }, Kind { seconds: 1.0, variance: 1.0 }];
        assert_eq!(Shares::new(&kinds, 40.0, 4).expect("time enough").counts, [4, 24]);
        assert_eq!(Shares::new(&kinds[..1], 40.0, 4).expect("time enough").counts, [4]);
    }

    #[test]
    fn shares_stay_within_the_time_and_every_kind_has_a_batch() {
        for budget in [6.0, 10.0, 60.0, 600.0, 1e6] {
            for batch_size in [1, 3, 16] {
                let shares = Shares::new(&kinds(), budget, batch_size).expect("more than 5.9 seconds");
                let spent: f64 = shares.counts.iter().zip(kinds()).map(|(n, kind)| *n as f64 * kind.seconds).sum();
                assert!(spent <= budget, "{spent} of {budget}: {shares:?}");
                assert!(shares.counts.iter().all(|count| *count >= 1 && count % shares.batch_size == 0));
                assert!(shares.counts.is_sorted_by(|a, b| a >= b), "{shares:?}");
            }
        }
        assert_eq!(Shares::new(&kinds(), 5.8, 16), None);
    }

    /// With 95 seconds a batch of 16 of each kind just fits: 5.9 s times 16 is 94.4 s.
    #[test]
    fn batches_are_halved_only_where_they_must_be() {
        let of = |budget| Shares::new(&kinds(), budget, 16).expect("time enough").batch_size;
        assert_eq!((of(95.0), of(94.0), of(12.0), of(6.0)), (16, 8, 2, 1));
    }
}
