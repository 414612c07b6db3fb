//! What a model with latents says of a picture: `p(x) = E p(x | z)` over its prior, bounded by what an encoder
//! `q(z | x)` finds (MATH.md section 35). All of it is f64, of latents of one picture.

pub(crate) mod activity;
pub(crate) mod diagnosis;
pub(crate) mod estimate;
pub(crate) mod estimator;
pub(crate) mod gaussian;
pub(crate) mod importance;
pub(crate) mod layers;
