//! Which scheduler of diffusers has which options, besides those that most of them share.
//!
//! diffusers copies the options of one scheduler into the configuration of the next when it makes one from the
//! other, and the classes ignore what they do not know. So a key may stand in a file and change nothing there.

use crate::scheduler_names::SchedulerClass;

/// The options of a class that are read by its method alone.
pub(crate) fn own(class: SchedulerClass) -> &'static [&'static str] {
    match class.name() {
        "DDPMScheduler" | "DDPMParallelScheduler" => &["variance_type"],
        "DDIMScheduler" | "DDIMParallelScheduler" | "DDIMInverseScheduler" => &["set_alpha_to_one"],
        "DEISMultistepScheduler" => &[
            "algorithm_type",
            "flow_shift",
            "lower_order_final",
            "solver_order",
            "solver_type",
            "time_shift_type",
            "use_beta_sigmas",
            "use_dynamic_shifting",
            "use_exponential_sigmas",
            "use_flow_sigmas",
            "use_karras_sigmas",
        ],
        "DPMSolverMultistepScheduler" | "DPMSolverMultistepInverseScheduler" => &[
            "algorithm_type",
            "euler_at_final",
            "final_sigmas_type",
            "flow_shift",
            "lambda_min_clipped",
            "lower_order_final",
            "solver_order",
            "solver_type",
            "time_shift_type",
            "use_beta_sigmas",
            "use_dynamic_shifting",
            "use_exponential_sigmas",
            "use_flow_sigmas",
            "use_karras_sigmas",
            "use_lu_lambdas",
            "variance_type",
        ],
        "DPMSolverSinglestepScheduler" => &[
            "algorithm_type",
            "final_sigmas_type",
            "flow_shift",
            "lambda_min_clipped",
            "lower_order_final",
            "solver_order",
            "solver_type",
            "time_shift_type",
            "use_beta_sigmas",
            "use_dynamic_shifting",
            "use_exponential_sigmas",
            "use_flow_sigmas",
            "use_karras_sigmas",
            "variance_type",
        ],
        "DPMSolverSDEScheduler" => {
            &["noise_sampler_seed", "use_beta_sigmas", "use_exponential_sigmas", "use_karras_sigmas"]
        }
        "EDMDPMSolverMultistepScheduler" => &[
            "algorithm_type",
            "euler_at_final",
            "final_sigmas_type",
            "lower_order_final",
            "rho",
            "sigma_data",
            "sigma_max",
            "sigma_min",
            "sigma_schedule",
            "solver_order",
            "solver_type",
        ],
        "EDMEulerScheduler" => {
            &["final_sigmas_type", "rho", "sigma_data", "sigma_max", "sigma_min", "sigma_schedule"]
        }
        "EulerDiscreteScheduler" => &[
            "final_sigmas_type",
            "interpolation_type",
            "sigma_max",
            "sigma_min",
            "timestep_type",
            "use_beta_sigmas",
            "use_exponential_sigmas",
            "use_karras_sigmas",
        ],
        "HeunDiscreteScheduler"
        | "KDPM2AncestralDiscreteScheduler"
        | "KDPM2DiscreteScheduler"
        | "LMSDiscreteScheduler" => &["use_beta_sigmas", "use_exponential_sigmas", "use_karras_sigmas"],
        "LCMScheduler" | "TCDScheduler" => &["original_inference_steps", "set_alpha_to_one", "timestep_scaling"],
        "PNDMScheduler" => &["set_alpha_to_one", "skip_prk_steps"],
        "SASolverScheduler" => &[
            "algorithm_type",
            "corrector_order",
            "flow_shift",
            "lambda_min_clipped",
            "lower_order_final",
            "predictor_order",
            "tau_func",
            "use_beta_sigmas",
            "use_exponential_sigmas",
            "use_flow_sigmas",
            "use_karras_sigmas",
            "variance_type",
        ],
        "ScoreSdeVeScheduler" => &["correct_steps", "sampling_eps", "sigma_max", "sigma_min", "snr"],
        "UniPCMultistepScheduler" => &[
            "disable_corrector",
            "final_sigmas_type",
            "flow_shift",
            "lower_order_final",
            "predict_x0",
            "shift_terminal",
            "sigma_max",
            "sigma_min",
            "solver_order",
            "solver_p",
            "solver_type",
            "time_shift_type",
            "use_beta_sigmas",
            "use_dynamic_shifting",
            "use_exponential_sigmas",
            "use_flow_sigmas",
            "use_karras_sigmas",
        ],
        _ => &[],
    }
}

/// Options of schedulers that are not known here, and of releases of long ago.
const ELSEWHERE: [&str; 12] = [
    "base_image_seq_len",
    "base_shift",
    "invert_sigmas",
    "max_image_seq_len",
    "max_shift",
    "set_alpha_to_zero",
    "shift",
    "stochastic_sampling",
    "tensor_format",
    "timestep_values",
    "use_timestep_scaling",
    "s_noise",
];

/// Whether some scheduler of diffusers has this option.
pub(crate) fn is_of_some_class(key: &str) -> bool {
    let classes = SchedulerClass::OTHERS.into_iter().map(SchedulerClass::Other);
    let mut all = [SchedulerClass::Ddim, SchedulerClass::Ddpm].into_iter().chain(classes);
    ELSEWHERE.contains(&key) || all.any(|class| own(class).contains(&key))
}
