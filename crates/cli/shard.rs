//! `--shard auto`: which share of a run this process draws, as its scheduler says in the environment.

use std::env;

use crate::args::{Shard, ShardChoice, misused};

const SLURM_ID: &str = "SLURM_ARRAY_TASK_ID";
const SLURM_COUNT: &str = "SLURM_ARRAY_TASK_COUNT";
const SLURM_MIN: &str = "SLURM_ARRAY_TASK_MIN";
const SLURM_STEP: &str = "SLURM_ARRAY_TASK_STEP";
const KUBERNETES_ID: &str = "JOB_COMPLETION_INDEX";
/// How many shards there are, where nobody else says so, or says something else.
const SHARDS: &str = "DDIM_SHARDS";

/// A shard, and what said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) shard: Shard,
    /// The variables that were read, as `NAME=VALUE`; empty where it was typed.
    pub(crate) variables: String,
}

/// The shard that was asked for.
pub(crate) fn find(choice: ShardChoice) -> anyhow::Result<Found> {
    match choice {
        ShardChoice::Typed(shard) => Ok(Found { shard, variables: String::new() }),
        ShardChoice::Auto => {
            in_environment(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
        }
    }
}

/// What the variables say that `look` finds. One that is empty is as good as none.
fn in_environment(look: impl Fn(&str) -> Option<String>) -> anyhow::Result<Found> {
    let variables = Variables { look: &|name| look(name).filter(|value| !value.is_empty()) };
    let names = match (variables.is_set(SLURM_ID), variables.is_set(KUBERNETES_ID)) {
        (true, true) => misused!(
            "--shard auto: both {SLURM_ID} and {KUBERNETES_ID} are set: unset the one that is not meant, or type \
             the shard, as in --shard 3/8"
        ),
        (false, false) => misused!(
            "--shard auto: neither {SLURM_ID} (a Slurm array) nor {KUBERNETES_ID} (a Kubernetes Indexed Job) is set: \
             type the shard, as in --shard 3/8"
        ),
        // A task that is submitted once more is alone in its array, and its number says what it is all the same.
        (true, false) if variables.is_set(SHARDS) => [SLURM_ID, SHARDS].as_slice(),
        (true, false) => &[SLURM_ID, SLURM_COUNT, SLURM_MIN, SLURM_STEP],
        (false, true) => &[KUBERNETES_ID, SHARDS],
    };
    let said: Vec<String> =
        names.iter().filter_map(|name| Some(format!("{name}={}", variables.get(name)?))).collect();
    let variables_said = said.join(", ");
    let (index, count) = match *names {
        [id, count] => (variables.number(id)?, variables.number(count)?),
        _ => variables.of_array()?,
    };
    match Shard::new(index, count) {
        Ok(shard) => Ok(Found { shard, variables: variables_said }),
        Err(problem) => misused!("--shard auto: {variables_said}: {problem}"),
    }
}

struct Variables<'a> {
    look: &'a dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.look)(name)
    }

    fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn number(&self, name: &str) -> anyhow::Result<usize> {
        let Some(text) = self.get(name) else {
            misused!(
                "--shard auto: {name} is not set: set {SHARDS} to how many shards there are, or type the shard, as \
                 in --shard 3/8"
            )
        };
        match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => misused!("--shard auto: {name} is \"{text}\", and a whole number from 0 on was expected"),
        }
    }

    /// The place of a task among those of a Slurm array: `--array=0-31`, `1-8` or `0-14:2`.
    fn of_array(&self) -> anyhow::Result<(usize, usize)> {
        let (id, count) = (self.number(SLURM_ID)?, self.number(SLURM_COUNT)?);
        let or = |name: &str, usual: usize| if self.is_set(name) { self.number(name) } else { Ok(usual) };
        let (min, step) = (or(SLURM_MIN, 0)?, or(SLURM_STEP, 1)?);
        if count == 1 && min > 0 {
            misused!(
                "--shard auto: {SLURM_ID}={id} is alone in its array, and by its number was one of several: set {SHARDS} \
                 to how many shards there are"
            );
        }
        let place = id.checked_sub(min).filter(|apart| step > 0 && apart.is_multiple_of(step));
        match place.map(|apart| apart / step).filter(|index| *index < count) {
            Some(index) => Ok((index, count)),
            None => misused!(
                "--shard auto: {SLURM_ID}={id} is none of {count} tasks from {SLURM_MIN}={min} on in steps of \
                 {SLURM_STEP}={step}: submit an array without gaps, as in --array=0-31, or set {SHARDS} to how many \
                 shards there are and number them from 0"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<(String, String), String> {
        let look =
            |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        in_environment(look)
            .map(|found| (found.shard.to_string(), found.variables))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn slurm_and_kubernetes_say_which() {
        for (variables, shard) in [
            (vec![(SLURM_ID, "3"), (SLURM_COUNT, "8"), (SLURM_MIN, "0"), (SLURM_STEP, "1")], "3/8"),
            (vec![(SLURM_ID, "8"), (SLURM_COUNT, "8"), (SLURM_MIN, "1")], "7/8"),
            (vec![(SLURM_ID, "14"), (SLURM_COUNT, "8"), (SLURM_MIN, "0"), (SLURM_STEP, "2")], "7/8"),
            // One task of eight, submitted once more by itself.
            (vec![(SLURM_ID, "3"), (SLURM_COUNT, "1"), (SLURM_MIN, "3"), (SHARDS, "8")], "3/8"),
            (vec![(KUBERNETES_ID, "0"), (SHARDS, "1")], "0/1"),
            (vec![(KUBERNETES_ID, "2"), (SHARDS, "5"), (SLURM_ID, "")], "2/5"),
        ] {
            assert_eq!(found(&variables).expect("a shard").0, shard, "{variables:?}");
        }
        let (_, said) = found(&[(KUBERNETES_ID, "2"), (SHARDS, "5"), (SLURM_COUNT, "9")]).expect("a shard");
        assert_eq!(said, "JOB_COMPLETION_INDEX=2, DDIM_SHARDS=5");
    }

    #[test]
    fn what_is_missing_or_contradicts_itself_is_named() {
        for (variables, named) in [
            (vec![], "neither SLURM_ARRAY_TASK_ID"),
            (vec![(SHARDS, "8")], "nor JOB_COMPLETION_INDEX"),
            (vec![(SLURM_ID, "1"), (KUBERNETES_ID, "1")], "both SLURM_ARRAY_TASK_ID and JOB_COMPLETION_INDEX"),
            (vec![(KUBERNETES_ID, "1")], "DDIM_SHARDS is not set"),
            (vec![(SLURM_ID, "1")], "SLURM_ARRAY_TASK_COUNT is not set"),
            (vec![(SLURM_ID, "x"), (SLURM_COUNT, "8")], "SLURM_ARRAY_TASK_ID is \"x\""),
            (vec![(KUBERNETES_ID, "1"), (SHARDS, "-3")], "DDIM_SHARDS is \"-3\""),
            (vec![(SLURM_ID, "9"), (SLURM_COUNT, "8"), (SLURM_MIN, "0")], "SLURM_ARRAY_TASK_ID=9 is none of 8"),
            (vec![(SLURM_ID, "3"), (SLURM_COUNT, "2"), (SLURM_MIN, "0"), (SLURM_STEP, "2")], "in steps of"),
            (vec![(SLURM_ID, "3"), (SLURM_COUNT, "2"), (SLURM_STEP, "0")], "SLURM_ARRAY_TASK_STEP=0"),
            (vec![(SLURM_ID, "5"), (SLURM_COUNT, "1"), (SLURM_MIN, "5")], "alone in its array"),
            (vec![(KUBERNETES_ID, "8"), (SHARDS, "8")], "DDIM_SHARDS=8: shards count from 0"),
        ] {
            let said = found(&variables).expect_err("no shard");
            assert!(said.starts_with("--shard auto: ") && said.contains(named), "{variables:?}: {said}");
        }
    }
}
