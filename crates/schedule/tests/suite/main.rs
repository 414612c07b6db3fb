//! The plan against published numbers, and against closed forms.

mod conventions;
mod convergence;
mod gaussian;
mod golden;
mod golden_noise_level;
mod golden_solvers;
mod lambda_properties;
mod lambda_solvers;
mod marginals;
mod noise_level_solvers;
mod objective;
mod oracle;
mod pinned;
mod pinned_noise_level;
mod preconditioning;
mod problem;
mod properties;
mod refusals;
mod scalar;
mod stochastic;
mod tables;
mod trajectories;
