//! UniPC (Zhao et al. 2023).

use super::exponential::{Exponential, nodes, one_call_older, quadrature, sum};
use super::{Ending, Equation, Order, Predicted};
use crate::solver_option::Words;
use crate::{Kept, Level, Path, Row, ScheduleError, Solver, SolverOption};

/// A multistep predictor, whose every state is corrected, once the network has been called on it, by the step that
/// it would have taken with that call in view. No call more than without.
///
/// ```
/// use ddim_schedule::{Solver, solvers};
/// let solver = solvers::parse("unipc:order=3,disable_corrector=0+1")?;
/// assert_eq!(solver.options()[4], ("disable_corrector", "0+1".to_owned()));
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct UniPc {
    /// How many calls a prediction looks at; a correction looks at one more.
    pub order: Order,
    /// The function B(h) of the paper.
    pub variant: StepFunction,
    /// What a step works with.
    pub predicted: Predicted,
    /// Whether a run ends with lower orders; here a long one too.
    pub ending: Ending,
    /// Which steps are corrected.
    pub corrector: Corrector,
}

/// B(h), which tends to h for small steps (Zhao et al. 2023, section 3). It cancels wherever the polynomial is
/// integrated as it is, and is left in the published shortcut for two calls: their slope times `B/2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepFunction {
    /// h.
    Bh1,
    /// `e^h - 1`.
    Bh2,
}

impl Words for StepFunction {
    const WORDS: &'static [(&'static str, Self)] = &[("bh1", Self::Bh1), ("bh2", Self::Bh2)];
}

/// Which steps have their result corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Corrector {
    /// All but the last, after which the network is not called.
    Everywhere,
    /// None: the predictor alone, UniP.
    Nowhere,
    /// All but these, counted from 0: under strong guidance the first are better left alone.
    NotAfter(Vec<usize>),
}

impl Corrector {
    /// Whether the result of this step is corrected.
    fn follows(&self, step: usize) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Nowhere => false,
            Self::NotAfter(steps) => !steps.contains(&step),
        }
    }

    /// Where it is switched off: "none", "all", "0+1".
    fn word(&self) -> String {
        match self {
            Self::Everywhere => "none".to_owned(),
            Self::Nowhere => "all".to_owned(),
            Self::NotAfter(steps) => steps.iter().map(usize::to_string).collect::<Vec<_>>().join("+"),
        }
    }

    fn read(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::Everywhere),
            "all" => Some(Self::Nowhere),
            _ => word.split('+').map(|step| step.parse().ok()).collect::<Option<_>>().map(Self::NotAfter),
        }
    }
}

impl Default for UniPc {
    /// Order 2, bh2, in x0.
    fn default() -> Self {
        Self {
            order: Order::Two,
            variant: StepFunction::Bh2,
            predicted: Predicted::X0,
            ending: Ending::Lowered,
            corrector: Corrector::Everywhere,
        }
    }
}

impl Solver for UniPc {
    fn name(&self) -> &'static str {
        "unipc"
    }

    fn about(&self) -> &'static str {
        "multistep predictor with a corrector that costs no call (Zhao et al. 2023)"
    }

    fn table(&mut self) -> Vec<SolverOption<'_>> {
        let steps = "none|all|0+1 (the steps after which there is none)";
        let corrector = self.corrector.word();
        vec![
            SolverOption::word("order", &mut self.order),
            SolverOption::word("variant", &mut self.variant),
            SolverOption::word("predicts", &mut self.predicted),
            SolverOption::word("lower_order_final", &mut self.ending),
            SolverOption::new("disable_corrector", steps, corrector, |text| {
                self.corrector = Corrector::read(text)?;
                Some(())
            }),
        ]
    }

    fn keeps(&self) -> Kept {
        self.predicted.kept()
    }

    fn min_steps(&self) -> usize {
        self.order.number()
    }

    fn rows(&self, path: &Path) -> Result<Vec<Row>, ScheduleError> {
        let row = |i: usize| {
            let (from, to) = (path.levels()[i], path.levels()[i + 1]);
            let step = self.step(from, to);
            let weights = sum(1.0, &self.predictor(i, path), step.c_x, &self.correction(i, path));
            step.row(self.predicted, from, to, step.c_x, &weights)
        };
        Ok((0..path.n_steps()).map(row).collect())
    }
}

impl UniPc {
    fn step(&self, from: Level, to: Level) -> Exponential {
        Exponential::new(self.predicted, Equation::Ode, from, to)
    }

    /// The order of a prediction: no more than there are calls, nor, where it is lowered, steps to go.
    fn order(&self, i: usize, path: &Path) -> usize {
        let left = match self.ending {
            Ending::Lowered => path.n_steps() - i,
            Ending::Full if path.levels()[i + 1].alpha_bar == 1.0 => 1,
            Ending::Full => usize::MAX,
        };
        self.order.number().min(i + 1).min(left)
    }

    /// The weights of the calls from `i` back in the prediction of step `i` (UniP).
    fn predictor(&self, i: usize, path: &Path) -> Vec<f64> {
        let levels = path.levels();
        let step = self.step(levels[i], levels[i + 1]);
        self.integrate(&step, &nodes(levels[i], &levels[i + 1 - self.order(i, path)..=i]))
    }

    /// The weights of the calls from `i` back in what is added to the state before step `i` (UniC): the last step,
    /// taken again with the call at its end in view, less the step as it was taken.
    fn correction(&self, i: usize, path: &Path) -> Vec<f64> {
        let Some(last) = i.checked_sub(1).filter(|&last| self.corrector.follows(last)) else {
            return Vec::new();
        };
        let levels = path.levels();
        let step = self.step(levels[last], levels[i]);
        let again = self.integrate(&step, &nodes(levels[last], &levels[i - self.order(last, path)..=i]));
        sum(1.0, &again, -1.0, &one_call_older(&self.predictor(last, path)))
    }

    /// The weights of predictions at these nodes in the integral of a step.
    fn integrate(&self, step: &Exponential, nodes: &[f64]) -> Vec<f64> {
        let mut moments = step.moments(nodes.len());
        if let [_, slope] = &mut moments[..] {
            let b = match self.variant {
                StepFunction::Bh1 => step.linear(),
                StepFunction::Bh2 => step.moment(0),
            };
            *slope = step.h * b / 2.0;
        }
        quadrature(nodes, &moments)
    }
}

#[cfg(test)]
mod tests {
    use super::super::exponential::rows_of_halving_noise;
    use super::*;

    /// Order 1 from noise level 4 to 2 and on to 1, e^-h = 1/2: the first step is `signal' B x0_before` with
    /// B = 1 - e^-h = 1/2 (bh2), its correction adds `signal' B/2 (x0 - x0_before)`, and the next step starts from
    /// there.
    #[test]
    fn a_correction_of_order_1() {
        let mut solver = UniPc { order: Order::One, ..UniPc::default() };
        let (at, to) = (0.2_f64.sqrt(), 0.5_f64.sqrt());
        let c_x = (0.5_f64 / 0.8).sqrt();
        let row = &rows_of_halving_noise(&solver)[1];
        assert!((row.c_x - c_x).abs() < 1e-14);
        assert!((row.c_x0 - (to / 2.0 + c_x * at / 4.0)).abs() < 1e-14, "{row:?}");
        assert!((row.history[0] + c_x * at / 4.0).abs() < 1e-14, "{row:?}");
        solver.variant = StepFunction::Bh1; // B = h
        let row = &rows_of_halving_noise(&solver)[1];
        assert!((row.history[0] + c_x * at * 2.0_f64.ln() / 2.0).abs() < 1e-14, "{row:?}");
        solver.corrector = Corrector::NotAfter(vec![0]);
        let row = &rows_of_halving_noise(&solver)[1];
        assert!((row.c_x0 - to / 2.0).abs() < 1e-14 && row.history.is_empty(), "{row:?}");
    }
}
