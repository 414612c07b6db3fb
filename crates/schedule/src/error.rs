//! What can be wrong with a request, and what to ask for instead.

mod nearest;
mod quoted;
mod similar;

use thiserror::Error;

pub use self::nearest::Nearest;
pub use self::quoted::quoted;
pub use self::similar::{nearest_names, nearest_said};
use crate::{NoiseSchedule, Resampling, Timestep, Tolerance};

/// Why a schedule, a spacing or a plan was refused. Every message names the value, what is allowed,
/// and the nearest request that would work.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// A schedule needs at least one training step, and a table of a sane size.
    #[error(
        "{train_steps} training steps: choose between 1 and {}, most models have 1000",
        NoiseSchedule::MAX_TRAIN_STEPS
    )]
    TrainSteps {
        /// The number asked for.
        train_steps: usize,
    },

    /// A list of betas of the wrong length.
    #[error(
        "{given} betas were given for {train_steps} training steps: give exactly one beta for each \
         training step, or set the number of training steps to {given}"
    )]
    BetaCount {
        /// How many betas the list holds.
        given: usize,
        /// How many training steps the schedule has.
        train_steps: usize,
    },

    /// A beta that is not a noise fraction.
    #[error(
        "beta at timestep {timestep} is {value}: every beta must be at least {} and below 1 (only the \
         last of several may be 1); check the start, the end and the list of betas",
        NoiseSchedule::MIN_BETA
    )]
    Beta {
        /// Where in the schedule.
        timestep: Timestep,
        /// The value found.
        value: f64,
    },

    /// The betas are so large that nothing of the picture is left before the last step.
    #[error(
        "alpha_bar is 0 before timestep {timestep}: the betas up to there are too large for f64; use \
         smaller betas, or at most {timestep} training steps"
    )]
    AlphaBarVanishes {
        /// The first timestep that is no noisier than the one before.
        timestep: Timestep,
    },

    /// Ends of a range of noise levels.
    #[error(
        "noise levels from {min} to {max}: both must lie between 1e-7 and 1e150, and the second must be the \
         larger one, by enough for every timestep between them to have a noise level of its own; EDM's are 0.002 \
         and 80"
    )]
    NoiseLevels {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
    },

    /// `eta` outside `[0, 1]`.
    #[error(
        "eta is {value}, it must lie in [0, 1]: 0 is DDIM (no noise), 1 is DDPM. Above 1 the square root \
         in Eq. (12) has no real value at every step; for the larger noise of the paper's last table row \
         use the method sigma-hat"
    )]
    Eta {
        /// The value asked for.
        value: f64,
    },

    /// Zero steps, or more than the model was trained with.
    #[error(
        "{n_steps} steps: choose between 1 and {train_steps}, the number of training steps; the nearest \
         is {}", nearest_count(*.n_steps, *.train_steps)
    )]
    StepCount {
        /// The number asked for.
        n_steps: usize,
        /// The number of training steps.
        train_steps: usize,
    },

    /// The spacing has no sound list of this length.
    #[error(
        "spacing {spacing} cannot take {n_steps} steps of {train_steps}: it {problem}; the nearest step \
         counts that work are {nearest}, and spacing uniform takes any"
    )]
    Spacing {
        /// The spacing's name.
        spacing: String,
        /// The number of steps asked for.
        n_steps: usize,
        /// The number of training steps.
        train_steps: usize,
        /// What is wrong with its list.
        problem: String,
        /// What to ask for instead.
        nearest: Nearest,
    },

    /// A list of whole timesteps was asked of a spacing in the noise level.
    #[error(
        "spacing {spacing} is a list of noise levels, not of whole timesteps: choose another, such as uniform"
    )]
    NotWhole {
        /// The spacing's name.
        spacing: String,
    },

    /// A spacing in the noise level on a schedule whose last noise level is infinite.
    #[error(
        "spacing {spacing} begins at timestep {timestep}, where alpha_bar is 0 (zero terminal SNR) and the noise \
         level infinite: choose a spacing of timesteps, such as trailing"
    )]
    InfiniteSpacing {
        /// The spacing's name.
        spacing: String,
        /// The last timestep.
        timestep: Timestep,
    },

    /// The spacing names its own number of steps, and another was asked for.
    #[error("spacing {spacing} is of {}, and {n_steps} were asked for: ask for {own}", steps(*.own))]
    SpacingCount {
        /// The spacing's name.
        spacing: String,
        /// The number of steps it stands for.
        own: usize,
        /// The number of steps asked for.
        n_steps: usize,
    },

    /// A section of an OpenAI respacing asks for more steps than it has.
    #[error(
        "section {section} of the spacing asks for {count} steps but holds {size} of the {train_steps} \
         training steps: ask for at most {size} there"
    )]
    Section {
        /// Counted from 0, at the clean end.
        section: usize,
        /// Steps asked for.
        count: usize,
        /// Training steps in the section.
        size: usize,
        /// The number of training steps in all.
        train_steps: usize,
    },

    /// A timestep the model was not trained at.
    #[error(
        "timestep {timestep} does not exist: timesteps run from 0 to {}, the nearest is {}",
        .train_steps - 1, .train_steps - 1
    )]
    TimestepRange {
        /// The timestep asked for.
        timestep: Timestep,
        /// The number of training steps.
        train_steps: usize,
    },

    /// A list of timesteps that does not run from noisy to clean.
    #[error(
        "timestep {next} follows {timestep}: a list of timesteps runs from noisy to clean, each smaller \
         than the one before; sorted, yours is {}", join(.sorted)
    )]
    TimestepOrder {
        /// The earlier entry of the offending pair.
        timestep: Timestep,
        /// The later one, which should be smaller.
        next: Timestep,
        /// The same timesteps in a legal order.
        sorted: Vec<Timestep>,
    },

    /// A limit of x0 that limits nothing or everything.
    #[error("{what} is {value}: it must be {allowed}")]
    Limit {
        /// Which number of the limit.
        what: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },

    /// A network that predicts eps cannot start where the picture has no signal.
    #[error(
        "at timestep {timestep} alpha_bar is 0 (zero terminal SNR): there x0 cannot be computed from a \
         predicted eps; use a model that predicts v or x0, a schedule that was not rescaled, or a spacing \
         that stops below {timestep}, such as leading"
    )]
    EpsilonWithoutSignal {
        /// The timestep without signal.
        timestep: Timestep,
    },

    /// A tolerance that allows nothing or everything.
    #[error(
        "the {which} tolerance is {value}: it must be from {} to 1; the smaller, the more exact and the slower, \
         0.001 is usual",
        Tolerance::MIN
    )]
    Tolerance {
        /// Relative or absolute.
        which: &'static str,
        /// The value asked for.
        value: f64,
    },

    /// A run that takes none of its steps.
    #[error(
        "strength {strength} of {}: it must be above 0 and at most 1, and large enough for one step, at least {}",
        steps(*.n_steps), 0.5 / *.n_steps as f64
    )]
    Strength {
        /// The share asked for.
        strength: f64,
        /// The steps of the whole run.
        n_steps: usize,
    },

    /// Jumps that the run has no room for.
    #[error(
        "jumps of {}, {times} times, in a run of {}: the length must be from 1 to {} and the times from 1 to at \
         most {}",
        steps(*.length), steps(*.n_steps), .n_steps.saturating_sub(1), Resampling::MOST_TIMES
    )]
    Resampling {
        /// The length asked for.
        length: usize,
        /// The times asked for.
        times: usize,
        /// The steps of the run.
        n_steps: usize,
    },

    /// A jump back for a method that remembers what lies behind it.
    #[error(
        "solver {solver} looks back at earlier calls, which mean nothing after a jump (RePaint): use a one-step \
         solver such as ddim, ddpm or euler, or inpaint by replacement"
    )]
    ResamplingHistory {
        /// The solver's name.
        solver: &'static str,
    },

    /// A jump back for a step whose noise only the network knows.
    #[error(
        "a jump back (RePaint) needs noise of a known size, and this method has a learned variance: use solver \
         ddim with eta 1, which is the same without it"
    )]
    ResamplingLearned,

    /// A jump to a level that is not noisier.
    #[error(
        "the steps of solver {solver} do not become less noisy from timestep {time} on, so that there is no noise \
         to jump back with (RePaint): use solver ddim or fewer steps"
    )]
    ResamplingUpwards {
        /// The method's name.
        solver: &'static str,
        /// The time of the level that the jump should reach.
        time: f64,
    },

    /// A solver that divides by a noise level that is infinite.
    #[error(
        "solver {solver} cannot start at timestep {time}, where alpha_bar is 0 (zero terminal SNR) and the noise \
         level infinite: use solver ddim, the convention diffusers (which holds alpha_bar at 2^-24), or a spacing \
         that stops below it, such as leading"
    )]
    InfiniteNoise {
        /// The solver's name.
        solver: &'static str,
        /// The time of the level.
        time: f64,
    },

    /// A solver that looks back at more calls than there are.
    #[error(
        "solver {solver} looks at {calls} calls in a step, and the run has only {n_steps}: take at least \
         {calls} steps, or a lower order, as in {solver}:order={n_steps}"
    )]
    History {
        /// The solver's name.
        solver: &'static str,
        /// How many calls a step looks at.
        calls: usize,
        /// The steps of the run.
        n_steps: usize,
    },

    /// A solver on levels for which it has no coefficients.
    #[error("solver {solver}: {problem}")]
    Solver {
        /// The solver's name.
        solver: &'static str,
        /// What is wrong, and what to do instead.
        problem: String,
    },

    /// A word that names no solver.
    #[error("there is no solver {text:?}: choose one of {known}{}", nearest_said(.text, .known.split(", ")))]
    UnknownSolver {
        /// The word.
        text: String,
        /// The names of all solvers.
        known: String,
    },

    /// What another program calls a method of its own.
    #[error("{text:?} is not a solver here: it is {what}; the nearest is {nearest}")]
    ForeignSolver {
        /// The word.
        text: String,
        /// What it means elsewhere.
        what: &'static str,
        /// What to ask for instead.
        nearest: String,
    },

    /// An option that the solver does not have, or a value that it cannot have.
    #[error("solver {solver} has no option {option}={value}: it has {known}")]
    SolverOption {
        /// The solver's name.
        solver: &'static str,
        /// The option's name.
        option: String,
        /// The value asked for.
        value: String,
        /// The solver's options as they are.
        known: String,
    },

    /// Encoding by a method that cannot run backwards.
    #[error("{method} cannot encode a picture: only ddim with eta 0 runs both ways")]
    OneWay {
        /// The method's name.
        method: &'static str,
    },

    /// A word that names nothing here.
    #[error("there is no {what} {text:?}: choose one of {known}{}", nearest_said(.text, plain(.known)))]
    UnknownName {
        /// What kind of thing was to be named.
        what: &'static str,
        /// The word.
        text: String,
        /// The words that are known.
        known: &'static str,
    },
}

/// `1 step`, `20 steps`.
fn steps(count: usize) -> String {
    format!("{count} step{}", if count == 1 { "" } else { "s" })
}

/// The words of a list in which some are explained, as in `logsnr (or exponential)`.
fn plain(known: &str) -> impl Iterator<Item = &str> {
    known.split(", ").filter_map(|word| word.split(' ').next())
}

/// The legal number of steps next to one that is 0 or above `train_steps`.
fn nearest_count(n_steps: usize, train_steps: usize) -> usize {
    if n_steps == 0 { 1 } else { train_steps }
}

/// "900,500,100".
pub(crate) fn join(list: &[usize]) -> String {
    let words: Vec<String> = list.iter().map(usize::to_string).collect();
    words.join(",")
}
