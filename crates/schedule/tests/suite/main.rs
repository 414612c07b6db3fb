//! The plan against published numbers, and against closed forms.

mod conventions;
mod gaussian;
mod golden;
mod golden_solvers;
mod lambda_solvers;
mod marginals;
mod objective;
mod pinned;
mod properties;
mod refusals;
mod scalar;
mod tables;
mod trajectories;
