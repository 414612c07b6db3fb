//! Whole sampling runs of diffusers' DPM-Solver, UniPC and DEIS, reproduced state by state.

use crate::trajectories::check_folder;

/// Runs that wait for the quantile of the beta distribution.
const PENDING: [&str; 1] = ["dpmsolverpp_beta_sigmas_10steps"];

#[test]
fn dpm_solver() {
    assert_eq!(check_folder("trajectories/dpmsolvermultistep", &PENDING), 27);
}

#[test]
fn unipc() {
    assert_eq!(check_folder("trajectories/unipcmultistep", &PENDING), 9);
}

#[test]
fn deis() {
    assert_eq!(check_folder("trajectories/deismultistep", &PENDING), 5);
}
