//! Whether the machine stayed as fast as it was.

use ddim::timing::Drift;
use serde::{Deserialize, Serialize};

use crate::units::{signed_percent, time};

/// From this share on the user is told that times cannot be trusted.
const NOISY: f64 = 0.05;

/// What the reference took for a network call when a run began and when it ended: a line of `drift.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineDrift {
    /// Seconds at the start.
    pub start: f64,
    /// Seconds at the end.
    pub end: f64,
}

impl MachineDrift {
    fn share(&self) -> f64 {
        Drift { start: self.start, end: self.end }.share()
    }

    fn is_noisy(&self) -> bool {
        self.share().abs() > NOISY
    }

    /// What to say where it was much.
    pub fn warning(&self) -> Option<String> {
        self.is_noisy().then(|| {
            format!(
                "this machine is noisy: a call of the reference took {} at the start and {} at the end ({}), and \
                 so much may every time be off; run it again while nothing else computes",
                time(self.start),
                time(self.end),
                signed_percent(self.share())
            )
        })
    }
}

/// Whether times may be quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steadiness {
    /// The machine stayed about as fast as it was, as far as is known.
    Steady,
    /// It did not.
    Noisy,
}

/// How steady the machine was in all of these runs.
pub fn steadiness(drifts: &[MachineDrift]) -> Steadiness {
    if drifts.iter().any(MachineDrift::is_noisy) { Steadiness::Noisy } else { Steadiness::Steady }
}

/// The most that the machine has drifted in any of these runs, as a share.
pub fn most(drifts: &[MachineDrift]) -> f64 {
    drifts.iter().map(|drift| drift.share().abs()).fold(0.0, f64::max)
}

/// The same in words.
pub fn described(drifts: &[MachineDrift]) -> String {
    let largest = drifts.iter().max_by(|a, b| a.share().abs().total_cmp(&b.share().abs()));
    let Some(drift) = largest else { return "not measured: no run came to its end".to_owned() };
    format!(
        "a call of the reference took {} at the start and {} at the end, {}{}",
        time(drift.start),
        time(drift.end),
        signed_percent(drift.share()),
        if drift.is_noisy() { ": noisy" } else { "" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noisy_machine_is_told() {
        let (calm, noisy) = (MachineDrift { start: 0.1, end: 0.102 }, MachineDrift { start: 0.1, end: 0.09 });
        assert!(calm.warning().is_none() && noisy.warning().is_some_and(|words| words.contains("(-10.0%)")));
        assert!((most(&[calm, noisy]) - 0.1).abs() < 1e-12);
        assert_eq!(
            described(&[calm, noisy]),
            "a call of the reference took 100 ms at the start and 90.0 ms at the end, -10.0%: noisy"
        );
        assert_eq!([steadiness(&[calm, noisy]), steadiness(&[calm])], [Steadiness::Noisy, Steadiness::Steady]);
        assert_eq!((most(&[]), described(&[]).as_str()), (0.0, "not measured: no run came to its end"));
    }
}
