//! Commands for Python, which make usable files of what only Python can read.

use std::path::Path;

use ddim_schedule::quoted;

use crate::layout::file_name;
use crate::places::{NETWORKS, networks_of};

/// Fills a network of the configuration from the list that the keys lead to, and saves it.
const NAMING: &str = "import functools, sys, torch; from diffusers import UNet2DModel as U; c, out, file, *keys = \
                      sys.argv[1:]; m = U.from_config(U.load_config(c)); w = functools.reduce(lambda d, k: d[k], \
                      keys, torch.load(file, map_location='cpu')); [p.data.copy_(v) for p, v in \
                      zip(m.parameters(), w, strict=True)]; m.save_pretrained(out)";

#[cfg(feature = "pickles")]
/// Saves the weights of all networks in a file, each under the name that it has there.
const WEIGHTS_ALONE: &str = "import sys, torch; o = torch.load(sys.argv[1], map_location='cpu', \
                             weights_only=False); o = o if isinstance(o, dict) else {'model': o}; torch.save({k: \
                             m.state_dict() for k, m in o.items() if isinstance(m, torch.nn.Module)}, \
                             sys.argv[2])";

/// The command that makes a folder `unet_ema` of weights in a list without names, as `EMAModel` of diffusers and
/// `torch_ema` keep moving averages: those of the parameters of a network in the order in which Python made them.
/// That order changes from release to release, and tensors of one shape would change places unseen, so whoever has
/// that Python puts them in order. The folder lies where that of the model is looked through for it.
pub(crate) fn naming(weights: &Path, config: &Path, keys: &[String]) -> String {
    let network = config.parent().unwrap_or(Path::new(""));
    let averaged = match networks_of(&file_name(network)) {
        Some([averaged, _]) => network.with_file_name(averaged),
        None => network.join(NETWORKS[0][0]),
    };
    let paths = [config, &averaged, weights].map(|path| path.display().to_string());
    command(NAMING, paths.iter().chain(keys))
}

#[cfg(feature = "pickles")]
/// The command that makes a file of weights of one with whole networks in it, and the name of that file.
pub(crate) fn weights_alone(weights: &Path) -> (String, String) {
    let made = weights.with_extension("weights.pt").display().to_string();
    (command(WEIGHTS_ALONE, [&weights.display().to_string(), &made]), made)
}

fn command<'a>(script: &str, words: impl IntoIterator<Item = &'a String>) -> String {
    let words = words.into_iter().map(|word| quoted(word));
    format!("python -c \"{script}\" {}", words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_ends_in_words_that_can_be_copied() {
        let words_of = |command: &str| {
            let parts = command.strip_prefix("python -c \"").and_then(|rest| rest.split_once("\" "));
            let (script, words) = parts.expect("a script and its words");
            // What a shell would read otherwise between double quotes.
            assert!(!script.contains(['$', '`', '\\', '!', '\n']) && !script.contains("  "), "{script}");
            words.to_owned()
        };
        let words = |weights: &str, config: &str, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            words_of(&naming(Path::new(weights), Path::new(config), &keys))
        };
        assert_eq!(
            words("my run/ema.pt", "my run/unet/config.json", &["shadow_params"]),
            "'my run/unet/config.json' 'my run/unet_ema' 'my run/ema.pt' shadow_params"
        );
        assert_eq!(
            words("ema.pt", "config.json", &["it's; rm x", "shadow_params"]),
            r"config.json unet_ema ema.pt 'it'\''s; rm x' shadow_params"
        );
        assert!(words("a/e.pt", "a/unet_ema/config.json", &["x"]).contains(" a/unet_ema a/e.pt"));
        let (command, made) = weights_alone(Path::new("a b/whole.pt"));
        assert_eq!(words_of(&command), "'a b/whole.pt' 'a b/whole.weights.pt'");
        assert_eq!(made, "a b/whole.weights.pt");
    }
}
