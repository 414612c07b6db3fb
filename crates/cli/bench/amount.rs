//! How many pictures each cell has.

use std::collections::BTreeMap;

use ddim::timing::{Kind, Shares};
use ddim_bench::{Cell, units};

use super::folder::Chosen;
use super::measure::Runner;
use crate::args::{BenchArgs, Budget, Counts, WrongUsage, misused};

/// Seconds to spend when nothing else was asked for.
pub(super) const USUAL_BUDGET: Budget = Budget(600.0);

/// As `--num` says, or as many as fit in `--budget` by a first measurement. What would do is said where they are fewer
/// than the quality `needs` of each cell.
pub(super) fn choose(
    args: &BenchArgs,
    cells: &[Cell],
    runner: &Runner<'_>,
    needs: usize,
) -> anyhow::Result<Chosen> {
    let batch_size = args.computing.batch_size;
    if let Some(counts) = &args.num {
        let chosen = fixed(counts, cells, batch_size)?;
        if let Some(few) = fewest(&chosen, cells).filter(|few| *few < needs) {
            tracing::warn!(
                "--num: a cell has {}, and a quality needs {needs} of each: --num {needs}",
                units::pictures(few)
            );
        }
        return Ok(chosen);
    }
    let seconds = runner.seconds_per_call(&cells[0], batch_size)?;
    let budget = args.budget.unwrap_or(USUAL_BUDGET);
    let share = if args.frontier { evenly } else { within };
    let chosen = share(budget, cells, batch_size, seconds)?;
    if let Some(few) = fewest(&chosen, cells).filter(|few| *few < needs) {
        let would_do = match enough(share, budget, cells, batch_size, seconds, needs) {
            Some(enough) => format!("--budget {enough} would do, or --num {needs}"),
            None => format!("--num {needs} would do, and take longer than a year"),
        };
        tracing::warn!(
            "--budget: {} leave {} for some cells, and a quality needs {needs} of each: {would_do}",
            units::time(budget.0),
            units::pictures(few),
        );
    }
    Ok(chosen)
}

/// How a budget is shared out, for a time of so many seconds for a network call of one picture in a batch.
type Sharing = fn(Budget, &[Cell], usize, f64) -> anyhow::Result<Chosen>;

/// Pictures of the smallest cell whose pictures are all judged.
fn fewest(chosen: &Chosen, cells: &[Cell]) -> Option<usize> {
    let asked = cells.iter().zip(&chosen.pictures).filter(|(cell, _)| !cell.role.is_one_batch());
    asked.map(|(_, count)| *count).min()
}

/// A budget that gives each cell so many pictures, at most a twentieth above the least; none below a year.
fn enough(
    share: Sharing,
    budget: Budget,
    cells: &[Cell],
    batch_size: usize,
    seconds: f64,
    needs: usize,
) -> Option<Budget> {
    let budgets = std::iter::successors(Some(budget.0), |last| Some(last * 1.05));
    let mut below_a_year = budgets.take_while(|budget| *budget < 3.2e7).map(Budget);
    below_a_year.find(|budget| {
        let chosen = share(*budget, cells, batch_size, seconds).ok();
        chosen.and_then(|chosen| fewest(&chosen, cells)).is_some_and(|few| few >= needs)
    })
}

/// What was chosen, in words.
pub(super) fn described(chosen: &Chosen, cells: &[Cell]) -> String {
    let mut by_steps = BTreeMap::new();
    for (cell, count) in cells.iter().zip(&chosen.pictures) {
        let counts: &mut Vec<usize> = by_steps.entry(cell.steps).or_default();
        if !counts.contains(count) {
            counts.push(*count);
        }
    }
    let words = by_steps.iter().map(|(steps, counts)| {
        let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
        format!("{} in {}", counts.join(" or "), units::steps(*steps))
    });
    format!("pictures a cell: {}; {} at once", words.collect::<Vec<_>>().join(", "), chosen.batch_size)
}

fn fixed(counts: &Counts, cells: &[Cell], batch_size: usize) -> anyhow::Result<Chosen> {
    let is_there = |steps: usize| cells.iter().any(|cell| cell.steps == steps);
    if let Some((steps, _)) = counts.of_steps.iter().find(|(steps, _)| !is_there(*steps)) {
        let mut there: Vec<usize> = cells.iter().map(|cell| cell.steps).collect();
        there.sort_unstable();
        there.dedup();
        misused!("--num {steps}:...: no cell has {}; there are {there:?}", units::steps(*steps));
    }
    let count = |cell: &Cell| match counts.of_steps.iter().find(|(steps, _)| *steps == cell.steps) {
        Some((_, count)) => Ok(Some(*count)),
        // One batch: only its time is needed, or a few pictures to compare with.
        None if cell.role.is_one_batch() => Ok(None),
        None => counts.usual.map(Some).ok_or_else(|| {
            let steps = units::steps(cell.steps);
            WrongUsage::new(format!("--num: nothing is said for {steps}; give a number for all cells as well"))
        }),
    };
    let counts = cells.iter().map(count).collect::<Result<Vec<_>, _>>()?;
    // Times are compared, so that no cell may have smaller batches than the others.
    let batch_size = counts.iter().flatten().fold(batch_size, |size, count| size.min(*count));
    Ok(Chosen { batch_size, pictures: counts.into_iter().map(|count| count.unwrap_or(batch_size)).collect() })
}

/// For a time of `seconds` for a network call of one picture in a batch.
fn within(budget: Budget, cells: &[Cell], batch_size: usize, seconds: f64) -> anyhow::Result<Chosen> {
    let kind = |cell: &Cell| Kind {
        seconds: cell.calls() as f64 * seconds,
        variance: if cell.role.is_one_batch() { 0.0 } else { 1.0 },
    };
    let kinds: Vec<Kind> = cells.iter().map(kind).collect();
    let Some(shares) = Shares::new(&kinds, budget.0, batch_size) else {
        return Err(too_little(budget, cells, seconds));
    };
    Ok(Chosen { batch_size: shares.batch_size, pictures: shares.counts })
}

/// The same with as many pictures in each cell.
fn evenly(budget: Budget, cells: &[Cell], batch_size: usize, seconds: f64) -> anyhow::Result<Chosen> {
    let calls = |is_once: bool| -> f64 {
        cells.iter().filter(|cell| cell.role.is_one_batch() == is_once).map(|cell| cell.calls() as f64).sum()
    };
    let count = |batch_size: usize| (budget.0 / seconds - calls(true) * batch_size as f64) / calls(false);
    // Of fewer pictures than a batch holds all are one.
    let (batch_size, count) = match count(batch_size) {
        count if count >= batch_size as f64 => (batch_size, count as usize),
        _ => {
            let all = (budget.0 / seconds / (calls(true) + calls(false))) as usize;
            (all.min(batch_size), all)
        }
    };
    if count == 0 {
        return Err(too_little(budget, cells, seconds));
    }
    let pictures = cells.iter().map(|cell| if cell.role.is_one_batch() { batch_size } else { count }).collect();
    Ok(Chosen { batch_size, pictures })
}

/// A budget that is not enough for a picture of each cell.
fn too_little(budget: Budget, cells: &[Cell], seconds: f64) -> anyhow::Error {
    let least: f64 = cells.iter().map(|cell| cell.calls() as f64 * seconds).sum();
    anyhow::anyhow!(
        "--budget: one picture in each of {} takes about {} here, and {} were given: give more, or fewer --steps \
         and --eta",
        units::counted(cells.len(), "cell"),
        units::time(least),
        units::time(budget.0)
    )
}

#[cfg(test)]
mod tests {
    use ddim_bench::Role;
    use ddim_schedule::solvers::SigmaHat;
    use ddim_schedule::{Convention, NoiseSchedule, Plan, Settings};

    use super::*;

    fn cells() -> Vec<Cell> {
        let schedule = NoiseSchedule::new(&ddim_schedule::BetaSchedule::DDPM, 1000).expect("the DDPM paper's");
        let cell = |place: usize, role, steps| Cell {
            reuse: None,
            method: "eta 1".into(),
            steps,
            plan: Plan::new(&schedule, &Settings::new(Convention::Exact, SigmaHat, steps)).expect("a plan"),
            role,
            place,
        };
        vec![cell(2, Role::Reference, 1000), cell(0, Role::Asked, 10), cell(1, Role::Asked, 20)]
    }

    fn of(counts: &str) -> anyhow::Result<Chosen> {
        fixed(&counts.parse().expect("counts"), &cells(), 16)
    }

    #[test]
    fn every_cell_has_its_number_and_all_the_same_batches() {
        assert_eq!(of("64,20:32").expect("all cells"), Chosen { batch_size: 16, pictures: vec![16, 64, 32] });
        assert_eq!(of("64,20:5").expect("all cells"), Chosen { batch_size: 5, pictures: vec![5, 64, 5] });
        assert_eq!(of("64,1000:4").expect("all cells"), Chosen { batch_size: 4, pictures: vec![4, 64, 64] });
    }

    /// 10 and 20 steps of a millisecond each: 65 of the latter take 1.3 s, and the former have more by then.
    #[test]
    fn a_budget_that_would_do_is_found() {
        let cells = cells();
        let count = |budget| within(budget, &cells, 4, 0.001).ok().and_then(|chosen| fewest(&chosen, &cells));
        let found = enough(within, Budget(6.0), &cells, 4, 0.001, 65).expect("not a year");
        assert!(count(found) >= Some(65) && count(Budget(found.0 / 1.06)) < Some(65), "{found:?}");
        assert_eq!(enough(within, Budget(6.0), &cells, 4, 1e6, 65), None);
    }

    /// 1030 calls of a millisecond for a picture in each cell; with DDPM drawn before 1000 for each picture of a
    /// batch, and 30 for a picture in each other.
    #[test]
    fn a_frontier_has_as_many_pictures_everywhere() {
        let mut cells = cells();
        cells[0].role = Role::AskedReference;
        let all = |count: usize, batch_size| Chosen { batch_size, pictures: vec![count; 3] };
        assert_eq!(evenly(Budget(103.0), &cells, 16, 0.001).expect("time enough"), all(100, 16));
        assert_eq!(evenly(Budget(10.3), &cells, 16, 0.001).expect("time enough"), all(10, 10));
        assert!(evenly(Budget(1.0), &cells, 16, 0.001).is_err());
        cells[0].role = Role::DrawnReference;
        let chosen = evenly(Budget(19.0), &cells, 16, 0.001).expect("time enough");
        assert_eq!(chosen, Chosen { batch_size: 16, pictures: vec![16, 100, 100] });
    }

    #[test]
    fn a_cell_without_a_number_and_a_number_without_a_cell_are_named() {
        let text = |counts: &str| of(counts).expect_err("refused").to_string();
        assert!(text("10:5").starts_with("--num: nothing is said for 20 steps"), "{}", text("10:5"));
        assert!(text("5,30:5").starts_with("--num 30:...: no cell has 30 steps"), "{}", text("5,30:5"));
    }

    #[test]
    fn a_budget_that_is_too_small_says_the_least() {
        let error = within(Budget(1.0), &cells(), 16, 0.01).expect_err("10.3 seconds").to_string();
        assert!(
            error.starts_with("--budget: one picture in each of 3 cells takes about 10.3 s here, and 1.00 s"),
            "{error}"
        );
        let chosen = within(Budget(600.0), &cells(), 16, 0.01).expect("time enough");
        // 160 seconds are the reference's; of 440 the other two get 182 and 258 by the roots of their costs.
        assert_eq!((chosen.batch_size, chosen.pictures), (16, vec![16, 1808, 1280]));
    }

    #[test]
    fn what_was_chosen_is_said_by_steps() {
        let chosen = Chosen { batch_size: 8, pictures: vec![8, 64, 32] };
        assert_eq!(
            described(&chosen, &cells()),
            "pictures a cell: 64 in 10 steps, 32 in 20 steps, 8 in 1000 steps; 8 at once"
        );
    }
}
