//! Libraries say what can be done; this says with which option of the command line.

/// How messages of libraries end, and the option that does it.
const OPTIONS: [(&str, &str); 6] = [
    (" Give one", " with --scheduler-config"),
    (" Give the configuration of one of them", " with --scheduler-config"),
    (" name a method", " with --solver"),
    (" change images", " or --images"),
    (" compute on the CPU", " with --device cpu"),
    (" the folder of a trained classifier?", " `ddim train --classifier` writes one"),
];

/// The message with the option in it, where there is one.
pub(crate) fn with_option(message: String) -> String {
    match OPTIONS.iter().find(|(ending, _)| message.ends_with(ending)) {
        Some((_, option)) => message + option,
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use ddim_checkpoint::{SchedulerConfig, SchedulerConfigError};
    use ddim_features::Classifier;
    use ddim_sampler::SampleError;
    use ddim_train::TrainError;

    use super::*;

    /// The first is in tests/cmd/refused.md.
    #[test]
    fn every_ending_is_one_that_a_library_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let device = ddim::device::cpu();
        let said = [
            SchedulerConfig::from_json(r#"{"_class_name": "Unheard"}"#).expect_err("unknown").to_string(),
            SchedulerConfigError::NoMethod { class: "LCMScheduler" }.to_string(),
            TrainError::Images { first: 5, end: 9, count: 4 }.to_string(),
            SampleError::device("it is out of memory").to_string(),
            Classifier::load(folder.path(), &device).expect_err("empty").to_string(),
        ];
        for (message, (ending, option)) in said.into_iter().zip(&OPTIONS[1..]) {
            assert!(message.ends_with(ending), "{message}");
            assert!(with_option(message.clone()).ends_with(&format!("{ending}{option}")), "{message}");
        }
    }

    #[test]
    fn other_messages_stay_as_they_are() {
        assert_eq!(with_option("no room".to_owned()), "no room");
    }
}
