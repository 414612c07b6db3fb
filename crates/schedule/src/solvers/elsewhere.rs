//! What other programs call these methods: diffusers' classes, k-diffusion's functions, and the names of programs
//! built on them. Compared are letters and digits, `+` read as `p`, whatever stands between.

use std::borrow::Cow;

use super::names;
use crate::ScheduleError;

/// Names of methods that are here as well, with the options that make them the same.
///
/// A class stands for its defaults. k-diffusion ends every run at noise level 0, where the order is 1 whatever the
/// options say, and lowers it nowhere else.
const SAME: [(&str, &str); 50] = [
    ("ddim", "ddim"),
    ("ddimparallel", "ddim"),
    // ermongroup's `--sample_type`
    ("generalized", "ddim"),
    // Here it is a solver of its own in records.
    ("sigmahat", "ddim:eta=hat"),
    ("ddpm", "ddpm"),
    ("ddpmparallel", "ddpm"),
    ("euler", "euler"),
    ("eulerdiscrete", "euler"),
    ("edmeuler", "euler"),
    ("eulera", "euler-a"),
    ("eulerancestral", "euler-a"),
    ("eulerancestraldiscrete", "euler-a"),
    ("heun", "heun"),
    ("heundiscrete", "heun"),
    ("edm", "edm"),
    ("dpm2", "dpm2"),
    ("kdpm2", "dpm2"),
    ("kdpm2discrete", "dpm2"),
    ("lms", "lms"),
    ("lmsdiscrete", "lms"),
    ("ipndm", "ipndm"),
    ("pndm", "pndm"),
    ("pndmscheduler", "pndm:average=outputs"),
    ("plms", "plms"),
    ("iddim", "iddim"),
    ("deis", "deis"),
    ("deismultistep", "deis"),
    ("dpmpp", "dpm++"),
    ("dpmpp2m", "dpm++"),
    ("dpmpp3m", "dpm++:order=3"),
    ("dpmsolverpp", "dpm++"),
    ("dpmsolverpp2m", "dpm++"),
    ("dpmsolvermultistep", "dpm++"),
    ("edmdpmsolvermultistep", "dpm++"),
    ("dpm", "dpm"),
    ("dpmsolver", "dpm"),
    ("dpmppsingle", "dpm++-single"),
    ("dpmsolversinglestep", "dpm++-single"),
    ("dpmsingle", "dpm-single"),
    ("sdedpmpp", "sde-dpm++"),
    ("sdedpmsolverpp", "sde-dpm++"),
    ("dpmpp2msde", "sde-dpm++"),
    ("dpmpp2msdeheun", "sde-dpm++:variant=heun"),
    ("dpmpp3msde", "sde-dpm++:order=3,variant=heun,lower_order_final=false"),
    ("sdedpm", "sde-dpm"),
    ("sdedpmsolver", "sde-dpm"),
    ("unipc", "unipc"),
    ("unipcmultistep", "unipc"),
    ("unipcbh1", "unipc:variant=bh1"),
    ("unipcbh2", "unipc"),
];

/// Names of methods that are not here: what they are, and which of ours comes nearest.
const OTHER: [(&str, &str, &str); 23] = [
    ("dpmppsde", "DPM-Solver++ with noise in single steps of two calls", "sde-dpm++"),
    ("dpmsolversde", "DPM-Solver++ with noise in single steps of two calls", "sde-dpm++"),
    ("dpmpp2sa", "DPM-Solver++ in single steps with ancestral noise", SINGLE),
    ("dpmpp2sancestral", "DPM-Solver++ in single steps with ancestral noise", SINGLE),
    ("dpmpp2mv2", "an unpublished change of DPM-Solver++ 2M", "dpm++"),
    ("dpm2a", "DPM-Solver-2 with ancestral noise", ANCESTRAL),
    ("dpm2ancestral", "DPM-Solver-2 with ancestral noise", ANCESTRAL),
    ("kdpm2ancestraldiscrete", "DPM-Solver-2 with ancestral noise", ANCESTRAL),
    ("dpmfast", "DPM-Solver of mixed orders", "dpm-single:order=3"),
    ("dpmadaptive", "DPM-Solver with steps to a tolerance", "adaptive, which has another error estimate"),
    ("ipndmv", "iPNDM for steps of unequal length", "ipndm"),
    ("ipndmscheduler", "iPNDM over a noise schedule of its own", "ipndm"),
    ("resmultistep", "a multistep method with exact integrals", "dpm++:variant=exact"),
    ("ersde", "a solver of another stochastic equation", "sde-dpm++"),
    ("sasolver", "a stochastic Adams method", "sde-dpm++"),
    ("lcm", "the sampler of distilled models", "ddim"),
    ("tcd", "the sampler of distilled models", "ddim"),
    ("cmstochasticiterative", "the sampler of consistency models", "ddim"),
    ("cosinedpmsolvermultistep", "DPM-Solver++ with noise over a schedule of its own", "sde-dpm++"),
    ("flowmatcheulerdiscrete", "Euler's method for flow models, which are not drawn here", "euler"),
    ("scoresdeve", "ancestral sampling with Langevin corrections", "ddpm, which can be corrected as well"),
    ("ddiminverse", "the way from a picture to its noise", "ddim, which encodes as well as it draws"),
    ("dpmsolvermultistepinverse", "a way from a picture to its noise", "ddim, which encodes as well as it draws"),
];

const SINGLE: &str = "sde-dpm++, or dpm++-single without noise";
const ANCESTRAL: &str = "euler-a, or dpm2 without noise";

/// What k-diffusion and the programs built on it put before a method's name.
const PREFIXES: [&str; 3] = ["k_", "k-", "sample_"];

/// Spacings that some programs make part of a method's name.
const SPACINGS: [(&str, &str); 4] =
    [("karras", "karras"), ("exponential", "logsnr"), ("sgmuniform", "trailing"), ("trailing", "trailing")];

/// A method's text, `name:options`, with the name that it has here. A name that nobody has stays as it is.
///
/// # Errors
/// [`ScheduleError::ForeignSolver`] for the name of a method that is not here.
pub(crate) fn translated(text: &str) -> Result<Cow<'_, str>, ScheduleError> {
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    if names().contains(&name) {
        return Ok(text.into());
    }
    let small = name.trim().to_ascii_lowercase();
    let bare = PREFIXES.iter().find_map(|prefix| small.strip_prefix(prefix)).unwrap_or(&small);
    let key: String = bare.replace('+', "p").chars().filter(char::is_ascii_alphanumeric).collect();
    let foreign = |what, nearest| ScheduleError::ForeignSolver { text: name.to_owned(), what, nearest };
    match found(&key) {
        Some(Found::Same(ours)) => return Ok(with_options(ours, options).into()),
        Some(Found::Other(what, nearest)) => return Err(foreign(what, nearest.to_owned())),
        None => {}
    }
    for (suffix, spacing) in SPACINGS {
        if let Some(Found::Same(ours)) = key.strip_suffix(suffix).and_then(found) {
            return Err(foreign(
                "a method and a spacing in one name",
                format!("{ours} with the spacing {spacing}"),
            ));
        }
    }
    Ok(text.into())
}

/// What a name stands for.
enum Found {
    Same(&'static str),
    Other(&'static str, &'static str),
}

/// A class is looked for with its ending first: some mean more by it.
fn found(key: &str) -> Option<Found> {
    [key, key.strip_suffix("scheduler").unwrap_or(key)].into_iter().find_map(|key| {
        let same = SAME.iter().find(|(name, _)| *name == key).map(|(_, ours)| Found::Same(ours));
        let other = || OTHER.iter().find(|(name, ..)| *name == key);
        same.or_else(|| other().map(|(_, what, nearest)| Found::Other(what, nearest)))
    })
}

/// Options that were typed come last, and win.
fn with_options(ours: &str, options: &str) -> String {
    match (ours.contains(':'), options) {
        (_, "") => ours.to_owned(),
        (false, options) => format!("{ours}:{options}"),
        (true, options) => format!("{ours},{options}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solvers::exponential::rows_of_halving_noise;
    use crate::{Row, solvers};

    fn of(text: &str) -> String {
        translated(text).expect("a method that is here").into_owned()
    }

    #[test]
    fn names_of_others_mean_ours() {
        for (theirs, ours) in [
            ("euler_a", "euler-a"),
            ("Euler a", "euler-a"),
            ("k_euler", "euler"),
            ("k_euler_a", "euler-a"),
            ("sample_dpm_2", "dpm2"),
            ("dpmpp_2m", "dpm++"),
            ("DPM++ 2M", "dpm++"),
            ("dpm++2m", "dpm++"),
            ("dpmpp_2m_sde", "sde-dpm++"),
            ("dpm_solver++", "dpm++"),
            ("dpmsolver++", "dpm++"),
            ("dpmsolver", "dpm"),
            ("sde-dpmsolver++", "sde-dpm++"),
            ("uni_pc", "unipc"),
            ("uni_pc_bh2", "unipc"),
            ("DPMSolverMultistepScheduler", "dpm++"),
            ("DPMSolverSinglestepScheduler", "dpm++-single"),
            ("EulerAncestralDiscreteScheduler", "euler-a"),
            ("UniPCMultistepScheduler", "unipc"),
            ("PNDMScheduler", "pndm:average=outputs"),
            ("PNDM", "pndm"),
            ("DDIMScheduler", "ddim"),
            ("dpmpp_2m:order=1", "dpm++:order=1"),
            ("dpmpp_3m:order=1", "dpm++:order=3,order=1"),
            ("dpm++:order=3", "dpm++:order=3"),
            ("eulr", "eulr"),
        ] {
            assert_eq!(of(theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn every_entry_is_a_method_and_every_name_stands_once() {
        let mut keys: Vec<&str> =
            SAME.iter().map(|(key, _)| *key).chain(OTHER.iter().map(|(key, ..)| *key)).collect();
        for (theirs, ours) in SAME {
            assert!(solvers::parse(ours).is_ok() && solvers::parse(theirs) == solvers::parse(ours), "{theirs}");
        }
        keys.sort_unstable();
        let before = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), before);
    }

    #[test]
    fn what_is_not_here_says_what_is_nearest() {
        let error = |text: &str| solvers::parse(text).expect_err("not here").to_string();
        assert_eq!(
            error("dpmpp_sde"),
            "\"dpmpp_sde\" is not a solver here: it is DPM-Solver++ with noise in single steps of two calls; the \
             nearest is sde-dpm++"
        );
        assert!(error("IPNDMScheduler").ends_with("the nearest is ipndm"), "{}", error("IPNDMScheduler"));
        assert!(error("DPM++ 2M Karras").ends_with("the nearest is dpm++ with the spacing karras"));
        assert!(error("eulr").ends_with("; the nearest is euler"), "{}", error("eulr"));
        assert_eq!(error("ddpm:eta=1"), "solver ddpm has no option eta=1: it has none");
    }

    /// k-diffusion's `sample_dpmpp_3m_sde` with eta 1, over noise levels s with h = ln(s/s'), H = 2h:
    /// `x' = e^-H x - (e^-H - 1) x0 + phi_2 d1 - phi_3 d2`, where `phi_2 = (e^-H - 1)/H + 1`,
    /// `phi_3 = phi_2/H - 1/2`. Here s halves, so that h = ln 2, r0 = r1 = 1; of three levels the second has one
    /// call behind it.
    #[test]
    fn the_second_step_of_3m_sde() {
        let solver = solvers::parse("dpmpp_3m_sde").expect("it is here");
        let rows: Vec<Row> = rows_of_halving_noise(solver.as_ref());
        let h = 2.0 * 2.0_f64.ln();
        let phi_2 = ((-h).exp() - 1.0) / h + 1.0;
        let signal = 0.5_f64.sqrt(); // at noise level 1
        let expected = [(1.0 - (-h).exp() + phi_2) * signal, -phi_2 * signal];
        let found = [rows[1].c_x0, rows[1].history[0]];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-14), "{found:?}");
    }
}
