//! Searching for timesteps that cost the least, whatever a cost is.

use std::ops::ControlFlow;

use crate::{Tau, Timestep};

/// The cheapest way from node 0 to the last one in exactly `n_steps` steps, where a step from `i` to `j > i` costs
/// `cost(i, j)`: the nodes it visits, the last one left out. By dynamic programming (Watson et al. 2021, section
/// 3).
///
/// `None` if there is no such way: 0 steps, or more than nodes.
///
/// ```
/// use ddim_schedule::cheapest_path;
/// // Long steps are dear: four equal ones are best.
/// let path = cheapest_path(9, 4, |i, j| ((j - i) * (j - i)) as f64);
/// assert_eq!(path, Some(vec![0, 2, 4, 6]));
/// ```
pub fn cheapest_path(nodes: usize, n_steps: usize, cost: impl Fn(usize, usize) -> f64) -> Option<Vec<usize>> {
    if n_steps == 0 || nodes < n_steps + 1 {
        return None;
    }
    // best[j]: the cheapest way to node j in the steps so far, and from[k][j] the node before j on it.
    let mut best = vec![f64::INFINITY; nodes];
    best[0] = 0.0;
    let mut from = Vec::with_capacity(n_steps);
    for _ in 0..n_steps {
        let ways = (0..nodes).map(|j| {
            let ways = (0..j).map(|i| (best[i] + cost(i, j), i));
            ways.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((f64::INFINITY, 0))
        });
        let (costs, sources): (Vec<f64>, Vec<usize>) = ways.unzip();
        best = costs;
        from.push(sources);
    }
    let mut path: Vec<usize> = Vec::with_capacity(n_steps);
    let mut node = nodes - 1;
    for sources in from.iter().rev() {
        node = sources[node];
        path.push(node);
    }
    path.reverse();
    best[nodes - 1].is_finite().then_some(path)
}

/// Timesteps, and what they cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The timesteps.
    pub tau: Tau,
    /// Their cost.
    pub cost: f64,
}

/// Moves one timestep at a time as long as that lowers the cost: coordinate descent, first in strides of half the
/// room that a timestep has between its neighbours, then in halves of that, `rounds` times.
///
/// `cost` may break off, and the best so far is the result. It is called with every list once at most.
///
/// ```
/// use std::ops::ControlFlow;
/// use ddim_schedule::{Spacing, Tuned, descend};
/// let wanted = [700.0, 100.0];
/// let mut cost = |tau: &[usize]| -> ControlFlow<(), f64> {
///     ControlFlow::Continue(tau.iter().zip(wanted).map(|(&t, w)| (t as f64 - w).powi(2)).sum())
/// };
/// let tau = Spacing::Uniform.tau(2, 1000)?;
/// let start = Tuned { tau, cost: f64::INFINITY };
/// let found = descend(start, 1000, 8, &mut cost);
/// assert!(found.cost < 100.0, "{found:?}");
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
pub fn descend(
    start: Tuned,
    train_steps: usize,
    rounds: usize,
    cost: &mut impl FnMut(&[Timestep]) -> ControlFlow<(), f64>,
) -> Tuned {
    let mut search = Search { best: start.tau.as_slice().to_vec(), least: start.cost, seen: Vec::new(), cost };
    search.seen.push(search.best.clone());
    for round in 1..=rounds {
        let share = 0.5_f64.powi(round as i32);
        for place in 0..search.best.len() {
            if search.improve(place, share, train_steps).is_break() {
                return search.result(train_steps);
            }
        }
    }
    search.result(train_steps)
}

struct Search<'a, C> {
    best: Vec<Timestep>,
    least: f64,
    seen: Vec<Vec<Timestep>>,
    cost: &'a mut C,
}

impl<C: FnMut(&[Timestep]) -> ControlFlow<(), f64>> Search<'_, C> {
    /// Tries both neighbours of one timestep, and goes on in the direction that helps.
    fn improve(&mut self, place: usize, share: f64, train_steps: usize) -> ControlFlow<()> {
        for towards_noise in [true, false] {
            let mut moved = false;
            while self.try_move(place, share, towards_noise, train_steps)? {
                moved = true;
            }
            if moved {
                break;
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether a move lowers the cost.
    fn try_move(
        &mut self,
        place: usize,
        share: f64,
        towards_noise: bool,
        train_steps: usize,
    ) -> ControlFlow<(), bool> {
        let here = self.best[place];
        let room = if towards_noise {
            let above = if place == 0 { train_steps } else { self.best[place - 1] };
            above - here - 1
        } else {
            self.best.get(place + 1).map_or(here, |below| here - below - 1)
        };
        let stride = ((room as f64 * share).round() as usize).clamp(room.min(1), room);
        if stride == 0 {
            return ControlFlow::Continue(false);
        }
        let mut list = self.best.clone();
        list[place] = if towards_noise { here + stride } else { here - stride };
        if self.seen.contains(&list) {
            return ControlFlow::Continue(false);
        }
        self.seen.push(list.clone());
        let cost = (self.cost)(&list)?;
        let better = cost < self.least;
        if better {
            (self.best, self.least) = (list, cost);
        }
        ControlFlow::Continue(better)
    }

    fn result(self, train_steps: usize) -> Tuned {
        let tau = Tau::new(self.best, train_steps).expect("moves keep the order and the range");
        Tuned { tau, cost: self.least }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spacing;

    /// For costs of any shape the dynamic programme finds what trying all ways finds.
    #[test]
    fn no_way_is_cheaper() {
        let (nodes, n_steps) = (8, 3);
        for seed in 1..20_u64 {
            let cost = |i: usize, j: usize| (seed * (31 * i as u64 + 17 * j as u64 + 7) % 97) as f64;
            let mut least = f64::INFINITY;
            for a in 1..nodes - 1 {
                for b in a + 1..nodes - 1 {
                    least = least.min(cost(0, a) + cost(a, b) + cost(b, nodes - 1));
                }
            }
            let path = cheapest_path(nodes, n_steps, cost).unwrap();
            let total = cost(0, path[1]) + cost(path[1], path[2]) + cost(path[2], nodes - 1);
            assert_eq!(total, least, "{path:?}");
        }
    }

    #[test]
    fn impossible_ways() {
        assert_eq!(cheapest_path(3, 3, |_, _| 1.0), None);
        assert_eq!(cheapest_path(3, 0, |_, _| 1.0), None);
        assert_eq!(cheapest_path(3, 2, |_, _| 1.0), Some(vec![0, 1]));
        assert_eq!(cheapest_path(3, 1, |_, _| f64::INFINITY), None);
    }

    fn far_from(wanted: &[f64], tau: &[usize]) -> f64 {
        tau.iter().zip(wanted).map(|(&t, w)| (t as f64 - w).powi(2)).sum()
    }

    /// A convex cost without mixed terms: each coordinate ends within the last stride of its optimum.
    #[test]
    fn a_known_optimum_is_found() {
        let wanted = [950.0, 600.0, 300.0, 80.0, 3.0];
        let mut calls = Vec::new();
        let mut cost = |tau: &[usize]| {
            calls.push(tau.to_vec());
            ControlFlow::Continue(far_from(&wanted, tau))
        };
        let start = Tuned { tau: Spacing::Uniform.tau(5, 1000).unwrap(), cost: f64::INFINITY };
        let found = descend(start, 1000, 12, &mut cost);
        for (t, w) in found.tau.as_slice().iter().zip(wanted) {
            assert!((*t as f64 - w).abs() <= 5.0, "{found:?}");
        }
        let all = calls.len();
        calls.sort();
        calls.dedup();
        assert_eq!(calls.len(), all, "no list is tried twice");
    }

    #[test]
    fn a_broken_off_search_keeps_its_best() {
        let mut left = 7;
        let mut cost = |tau: &[usize]| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(far_from(&[900.0, 0.0], tau)) }
        };
        let tau = Spacing::Uniform.tau(2, 1000).unwrap();
        let before = far_from(&[900.0, 0.0], tau.as_slice());
        let found = descend(Tuned { tau, cost: before }, 1000, 20, &mut cost);
        assert!(found.cost < before && found.cost == far_from(&[900.0, 0.0], found.tau.as_slice()));
    }

    /// Neighbours without room stay where they are.
    #[test]
    fn a_full_list_cannot_move() {
        let start = Tuned { tau: Spacing::Uniform.tau(4, 4).unwrap(), cost: 1.0 };
        let found = descend(start.clone(), 4, 5, &mut |_| panic!("there is no other list"));
        assert_eq!(found, start);
    }
}
