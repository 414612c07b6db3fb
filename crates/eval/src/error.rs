//! What can go wrong.

use ddim_data::Size;

/// An evaluation that gave no number.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A grid of no steps.
    #[error("0 steps lead nowhere: use at least 1")]
    Steps,
    /// A trace estimated from nothing.
    #[error("0 probes estimate nothing: use at least 1, or the exact trace")]
    Probes,
    /// The network's output made a log-density infinite or undefined.
    #[error(
        "the log-density of picture {picture} of the batch is {nats}; check the weights, and that a network that \
         predicts eps has a noise schedule that ends above alpha_bar 0"
    )]
    NotFinite {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// What came out.
        nats: f64,
    },
    /// A picture of another size than the features are made for.
    #[error(
        "picture {picture} of the batch is {found} (height x width x channels); these features are those of \
         pictures of {expected}: bring the pictures to that size, or choose other features"
    )]
    PictureSize {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// Its size.
        found: Size,
        /// The size that can be taken.
        expected: Size,
    },
    /// A picture that has no colours.
    #[error("picture {picture} of the batch has {found} channels; pictures are grey (1), RGB (3) or RGBA (4)")]
    PictureChannels {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// How many channels it has.
        found: usize,
    },
    /// A feature that is not a number.
    #[error(
        "feature {feature} of picture {picture} of the batch is {value}; check the weights of the feature network"
    )]
    FeatureNotFinite {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// Which of its features, counted from 0.
        feature: usize,
        /// Its value.
        value: f32,
    },
    /// A bound of a sampler without noise.
    #[error(
        "a step without noise has no finite bound: eta has to be above 0, up to 1; what the model without noise \
         says about pictures is their likelihood by the probability flow"
    )]
    Deterministic,
    /// A bound of a sampler that has none.
    #[error(
        "the variational bound is that of ddim with an eta above 0, of sigma-hat and of ddpm, not of {solver}"
    )]
    NoFamily {
        /// The sampler.
        solver: &'static str,
    },
    /// A bound of a list of steps that is no chain.
    #[error(
        "step {step} of {n_steps} ends at alpha_bar {end}, and what follows is at {start}: a bound needs steps \
         that join and lead to the clean picture; use the exact convention"
    )]
    Disjoint {
        /// The step, counted from 1.
        step: usize,
        /// The steps of the plan.
        n_steps: usize,
        /// Where the step ends.
        end: f64,
        /// Where the next one starts, or the clean picture.
        start: f64,
    },
    /// The network's output made a term of the bound infinite or undefined.
    #[error(
        "the bound of picture {picture} of the batch is {nats}; check the weights, and that a network with a \
         learned variance gives variances above 0"
    )]
    BoundNotFinite {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// What came out.
        nats: f64,
    },
    /// A set too small to train with and to judge by.
    #[error("{found} pictures are too few to learn from and to be judged by: each set needs at least {needed}")]
    TooFewSamples {
        /// Pictures of the smaller set.
        found: usize,
        /// How many it needs.
        needed: usize,
    },
    /// A number of folds that cannot be dealt.
    #[error("{folds} folds: use 2 to {most}, so that each has 2 pictures or more of either set")]
    Folds {
        /// What was asked for.
        folds: usize,
        /// The most that these sets allow.
        most: usize,
    },
    /// The scores of a discriminator are not finite.
    #[error("the discriminator for {divergence} gives scores that are not finite: use a smaller learning rate")]
    Diverged {
        /// What it was trained for.
        divergence: &'static str,
    },
    /// Vectors of different widths.
    #[error(
        "features of {first} and of {second} numbers a picture cannot be compared: both sets need the same \
         features, and raw pixels need pictures of one size"
    )]
    Widths {
        /// The width of the first set's features.
        first: usize,
        /// That of the second's.
        second: usize,
    },
    /// More features than a covariance is computed of.
    #[error(
        "{found} features a picture have a covariance of {gibibytes:.1} GiB, and the largest that is computed is \
         that of {most} features, 2 GiB"
    )]
    TooWide {
        /// How many features a picture has.
        found: usize,
        /// What their covariance takes.
        gibibytes: f64,
        /// The most there may be.
        most: usize,
    },
    /// Statistics of other features than these.
    #[error(
        "statistics of the features \"{first}\" and of \"{second}\" cannot be compared: make them anew with one \
         of both"
    )]
    Identities {
        /// What the first are of.
        first: String,
        /// What the second are of.
        second: String,
    },
    /// A set that is too small.
    #[error("{statistic} needs at least {needed} pictures in each set, and one has {found}: take more")]
    TooFew {
        /// What was to be computed.
        statistic: &'static str,
        /// How many there are.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Subsets larger than the set that they are to be taken from.
    #[error(
        "subsets of {subset} pictures cannot be taken from a set of {pictures}: take more pictures, or subsets of \
         2 to {pictures}"
    )]
    SubsetSize {
        /// The size asked for.
        subset: usize,
        /// How many pictures the smaller set has.
        pictures: usize,
    },
    /// A count that makes no sense.
    #[error("{found} {what} give no estimate: use at least {needed}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many were asked for.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// A mean and a matrix that belong to no set of pictures.
    #[error("mu and sigma are not a mean and covariance: {problem}")]
    NoCovariance {
        /// What is wrong with them.
        problem: String,
    },
    /// A covariance with a negative eigenvalue.
    #[error(
        "a covariance has the eigenvalue {eigenvalue:e}, and its largest is {largest:e}: more below 0 than \
         rounding explains ({allowed:e}). It was damaged, or computed in too few digits: make the statistics anew"
    )]
    Negative {
        /// The smallest eigenvalue.
        eigenvalue: f64,
        /// The largest.
        largest: f64,
        /// How far below 0 rounding may bring one.
        allowed: f64,
    },
    /// A matrix whose eigenvalues could not be found.
    #[error("the eigenvalues of a covariance cannot be found: its entries are too large, or not finite")]
    NoEigenvalues,
}
