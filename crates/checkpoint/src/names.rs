//! From the names of older and foreign weight files to those of today's diffusers.

use std::collections::BTreeMap;

use crate::weights::Stored;

/// Two tensors with one name, and which.
#[derive(Debug)]
pub(crate) struct Clash {
    pub(crate) tensor: String,
    pub(crate) problem: String,
}

/// What wrappers put before every name: `DataParallel`, training scripts, whole pipelines.
const PREFIXES: [&str; 4] = ["module.", "state_dict.", "model_state_dict.", "unet."];

/// Linear layers of attention, before and after diffusers 0.12.
const ATTENTION: [(&str, &str); 4] =
    [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];

/// The tensors by today's names.
pub(crate) fn modern(stored: Vec<Stored>) -> Result<BTreeMap<String, Stored>, Clash> {
    let skip = common_prefix(&stored);
    let mut tensors: BTreeMap<String, Stored> = BTreeMap::new();
    for tensor in stored {
        let name = modern_name(&tensor.name[skip..]);
        if let Some(other) = tensors.get(&name) {
            let problem = format!("it and {} are both {name}", other.name);
            return Err(Clash { tensor: tensor.name, problem });
        }
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// Bytes of the wrappers' prefixes that all names share.
fn common_prefix(stored: &[Stored]) -> usize {
    let mut skip = 0;
    while let Some(prefix) = PREFIXES
        .iter()
        .find(|prefix| !stored.is_empty() && stored.iter().all(|tensor| tensor.name[skip..].starts_with(**prefix)))
    {
        skip += prefix.len();
    }
    skip
}

fn modern_name(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    if let [.., block, _, layer, _] = parts.as_mut_slice()
        && *block == "attentions"
        && let Some((_, modern)) = ATTENTION.iter().find(|(old, _)| old == layer)
    {
        *layer = modern;
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Place;

    fn names(names: &[&str]) -> Result<Vec<String>, Clash> {
        let stored = names.iter().map(|name| Stored {
            name: (*name).to_owned(),
            dtype: "F32".to_owned(),
            shape: vec![],
            place: Place::Range(0..0),
        });
        modern(stored.collect()).map(|tensors| tensors.into_keys().collect())
    }

    #[test]
    fn attention_of_old_releases_is_renamed_and_nothing_else() {
        let old = [
            "mid_block.attentions.0.key.bias",
            "mid_block.attentions.0.proj_attn.weight",
            "mid_block.attentions.0.query.weight",
            "mid_block.attentions.0.value.weight",
            "query.weight",
        ];
        let new = [
            "mid_block.attentions.0.to_k.bias",
            "mid_block.attentions.0.to_out.0.weight",
            "mid_block.attentions.0.to_q.weight",
            "mid_block.attentions.0.to_v.weight",
            "query.weight",
        ];
        assert_eq!(names(&old).expect("distinct names"), new);
        assert_eq!(names(&new).expect("distinct names"), new);
    }

    #[test]
    fn prefixes_of_wrappers_fall_when_all_names_have_them() {
        let wrapped = ["state_dict.module.conv_in.bias", "state_dict.module.conv_in.weight"];
        assert_eq!(names(&wrapped).expect("distinct names"), ["conv_in.bias", "conv_in.weight"]);
        let mixed = ["conv_in.bias", "module.conv_in.weight"];
        assert_eq!(names(&mixed).expect("distinct names"), mixed);
        assert_eq!(names(&[]).expect("no names"), [""; 0]);
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let clash = names(&["a.attentions.0.query.bias", "a.attentions.0.to_q.bias"]).unwrap_err();
        assert!(clash.problem.contains("a.attentions.0.query.bias"), "{}", clash.problem);
    }
}
