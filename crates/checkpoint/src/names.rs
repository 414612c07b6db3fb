//! From the names of older and foreign weight files to those of today's diffusers.

use crate::weights::Stored;

/// What wrappers put before every name: `DataParallel`, training scripts, whole pipelines.
const PREFIXES: [&str; 11] = [
    "module.",
    "state_dict.",
    "model_state_dict.",
    "unet.",
    "model.",
    "net.",
    "ema.",
    "ema_model.",
    "params.",
    "params_ema.",
    "diffusion_model.",
];

/// Parts of names that wrappers put anywhere: torch.compile, FSDP, activation checkpoints.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// Linear layers of attention, before and after diffusers 0.12.
const ATTENTION: [(&str, &str); 4] =
    [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];

/// The tensors by today's names, without what all names begin with.
pub(crate) fn modern(stored: Vec<Stored>) -> Vec<(String, Stored)> {
    let names: Vec<String> = stored.iter().map(|tensor| unwrapped(&tensor.name)).collect();
    let skip = common_prefix(&names);
    names.iter().map(|name| modern_name(&name[skip..])).zip(stored).collect()
}

/// The name without the parts that wrappers put into it.
pub(crate) fn unwrapped(name: &str) -> String {
    match WRAPPERS.iter().any(|wrapper| name.contains(wrapper)) {
        false => name.to_owned(),
        true => name.split('.').filter(|part| !WRAPPERS.contains(part)).collect::<Vec<_>>().join("."),
    }
}

/// Bytes of the wrappers' prefixes that all names share.
fn common_prefix(names: &[String]) -> usize {
    let mut skip = 0;
    while let Some(prefix) = PREFIXES
        .iter()
        .find(|prefix| !names.is_empty() && names.iter().all(|name| name[skip..].starts_with(**prefix)))
    {
        skip += prefix.len();
    }
    skip
}

/// Today's name of a layer of attention.
pub(crate) fn modern_name(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    if let [.., block, _, layer, _] = parts.as_mut_slice()
        && *block == "attentions"
        && let Some((_, modern)) = ATTENTION.iter().find(|(old, _)| old == layer)
    {
        *layer = modern;
    }
    parts.join(".")
}

/// The name that a layer of attention had before diffusers 0.12; any other name stays.
pub(crate) fn old_name(name: &str) -> String {
    let old = ATTENTION.iter().find_map(|(old, modern)| {
        let (block, parameter) = name.split_once(&format!(".{modern}."))?;
        block.contains("attentions.").then(|| format!("{block}.{old}.{parameter}"))
    });
    old.unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Place;

    fn names(names: &[&str]) -> Vec<String> {
        let stored = names.iter().map(|name| Stored {
            name: (*name).to_owned(),
            dtype: "F32".to_owned(),
            shape: vec![],
            place: Place::Range(0..0),
            file: 0,
        });
        modern(stored.collect()).into_iter().map(|(name, _)| name).collect()
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
        assert_eq!(names(&old), new);
        assert_eq!(names(&new), new);
    }

    #[test]
    fn prefixes_of_wrappers_fall_when_all_names_have_them() {
        let wrapped = ["state_dict.module.conv_in.bias", "state_dict.module.conv_in.weight"];
        assert_eq!(names(&wrapped), ["conv_in.bias", "conv_in.weight"]);
        assert_eq!(names(&["_orig_mod.a._orig_mod.b", "a._fsdp_wrapped_module.c"]), ["a.b", "a.c"]);
        let mixed = ["conv_in.bias", "module.conv_in.weight"];
        assert_eq!(names(&mixed), mixed);
        assert_eq!(names(&[]), [""; 0]);
    }
}
