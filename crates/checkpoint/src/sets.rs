//! The sets of weights in a file.
//!
//! Wrappers and training scripts put words before the names of a network's parameters: `module.`, `_orig_mod.`,
//! `state_dict.model.`, `ema.ema_model.model.`. Such words are not known here: a set is whatever stands before the names
//! of at least half of the network's parameters. So a file may hold the weights, their moving averages, and the
//! states of an optimizer, each under a name of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::fit::Slot;
use crate::names;
use crate::places::WeightChoice;
use crate::weights::Stored;

/// The tensors of one set by their names in the network, and what else there was to choose from.
pub(crate) struct Selection {
    pub(crate) tensors: Vec<(String, Stored)>,
    /// The set, where there were several.
    pub(crate) chosen: Option<String>,
    /// The sets that were not chosen.
    pub(crate) others: Vec<String>,
}

/// No set is called so; those that there are.
pub(crate) struct NoSuchSet(pub(crate) Vec<String>);

/// Takes one set of the weights of a network with these parameters. Where there is none, as in the file of another
/// network, the tensors keep their names but for what all of them begin with.
pub(crate) fn select(stored: Vec<Stored>, slots: &[Slot], choice: &WeightChoice) -> Result<Selection, NoSuchSet> {
    let prefixes = prefixes(&stored, slots);
    let Some(chosen) = choose(&prefixes, choice)?.cloned() else {
        return Ok(Selection { tensors: names::modern(stored), chosen: None, others: Vec::new() });
    };
    let others: Vec<&String> = prefixes.iter().filter(|prefix| **prefix != chosen).collect();
    let is_of_another =
        |name: &str| others.iter().any(|other| other.len() > chosen.len() && name.starts_with(other.as_str()));
    let mut tensors = Vec::new();
    for tensor in stored {
        let name = names::unwrapped(&tensor.name);
        if let Some(rest) = name.strip_prefix(&chosen).filter(|_| !is_of_another(&name)) {
            tensors.push((names::modern_name(rest), tensor));
        }
    }
    let others: Vec<String> = others.into_iter().map(|prefix| shown(prefix)).collect();
    Ok(Selection { tensors, chosen: (!others.is_empty()).then(|| shown(&chosen)), others })
}

/// What stands before the names of at least half of the parameters, moving averages first.
fn prefixes(stored: &[Stored], slots: &[Slot]) -> Vec<String> {
    let known: BTreeSet<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let longest = known.iter().map(|name| name.split('.').count()).max().unwrap_or(0);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for tensor in stored {
        let name = names::unwrapped(&tensor.name);
        let starts = name.rmatch_indices('.').map(|(dot, _)| dot + 1).take(longest);
        let whole = (name.split('.').take(longest + 1).count() <= longest).then_some(0);
        for start in starts.chain(whole) {
            if known.contains(names::modern_name(&name[start..]).as_str()) {
                *found.entry(name[..start].to_owned()).or_default() += 1;
            }
        }
    }
    let mut sets: Vec<String> =
        found.into_iter().filter(|(_, count)| 2 * count >= slots.len()).map(|(prefix, _)| prefix).collect();
    sets.sort_by_key(|prefix| (!is_averaged(prefix), prefix.len(), prefix.clone()));
    sets
}

/// The wanted one; none where there is none at all.
fn choose<'a>(prefixes: &'a [String], choice: &WeightChoice) -> Result<Option<&'a String>, NoSuchSet> {
    let WeightChoice::Named(name) = choice else { return Ok(prefixes.first()) };
    if prefixes.is_empty() {
        return Ok(None);
    }
    let mut exact = prefixes.iter().filter(|prefix| shown(prefix) == *name);
    let found = exact.next().or_else(|| match name.as_str() {
        "ema" => prefixes.iter().find(|prefix| is_averaged(prefix)),
        "model" => prefixes.iter().find(|prefix| !is_averaged(prefix)),
        _ => prefixes.iter().find(|prefix| prefix.split('.').any(|part| part == name)),
    });
    found.map(Some).ok_or_else(|| NoSuchSet(prefixes.iter().map(|prefix| shown(prefix)).collect()))
}

/// Whether these are moving averages of weights, by what people call them: `ema`, `ema_model`, `params_ema`. What they
/// are averages of is called `online` beside them.
fn is_averaged(prefix: &str) -> bool {
    let words: BTreeSet<String> = prefix.split(['.', '_']).map(str::to_lowercase).collect();
    words.contains("ema") && !words.contains("online")
}

/// A set without a name is the model itself.
fn shown(prefix: &str) -> String {
    match prefix.strip_suffix('.') {
        Some(name) => name.to_owned(),
        None => "model".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Place;

    const PARAMETERS: [&str; 3] = ["conv_in.weight", "conv_in.bias", "mid_block.attentions.0.to_q.weight"];

    fn slots() -> Vec<Slot> {
        PARAMETERS.map(|name| Slot { name: name.to_owned(), shape: vec![] }).to_vec()
    }

    /// The parameters behind each of these prefixes, and further tensors.
    fn file(prefixes: &[&str], further: &[&str]) -> Vec<Stored> {
        let of_sets = prefixes.iter().flat_map(|prefix| PARAMETERS.map(|name| format!("{prefix}{name}")));
        of_sets.chain(further.iter().map(|name| (*name).to_owned())).map(stored).collect()
    }

    fn stored(name: String) -> Stored {
        Stored { name, dtype: "F32".to_owned(), shape: vec![], place: Place::Range(0..0), file: 0 }
    }

    fn selected(stored: Vec<Stored>, choice: &str) -> Result<Selection, NoSuchSet> {
        let named = WeightChoice::Named(choice.to_owned());
        select(stored, &slots(), if choice.is_empty() { &WeightChoice::Usual } else { &named })
    }

    fn names(selection: &Selection) -> Vec<&str> {
        selection.tensors.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn whatever_stands_before_all_names_falls_away() {
        for prefix in [
            "",
            "module.",
            "_orig_mod.",
            "_fsdp_wrapped_module.",
            "model.",
            "ema.",
            "ema_model.",
            "net.",
            "params_ema.",
            "unet.",
            "diffusion_model.",
            "state_dict.model._orig_mod.module.",
            "a.b.c.d.e.f.g.h.i.j.k.l.m.",
        ] {
            let selection = selected(file(&[prefix], &[]), "").ok().expect("one set");
            assert_eq!(names(&selection), PARAMETERS, "{prefix}");
            assert_eq!((selection.chosen, selection.others.len()), (None, 0), "{prefix}");
        }
    }

    #[test]
    fn wrappers_inside_of_names_fall_away_as_well() {
        let names_with = [
            "_orig_mod.conv_in.weight",
            "conv_in._orig_mod.bias",
            "mid_block._fsdp_wrapped_module.attentions.0.query.weight",
        ];
        let selection =
            selected(names_with.map(|name| stored(name.to_owned())).to_vec(), "").ok().expect("one set");
        assert_eq!(names(&selection), PARAMETERS);
    }

    #[test]
    fn moving_averages_come_first_and_the_rest_is_told() {
        // Lightning, lucidrains, and names of our own making.
        for (sets, chosen) in [
            (vec!["state_dict.model.", "state_dict.ema_model."], "state_dict.ema_model"),
            (vec!["model.model.", "ema.online_model.model.", "ema.ema_model.model."], "ema.ema_model.model"),
            (vec!["", "ema."], "ema"),
            (vec!["params.", "params_ema."], "params_ema"),
            (vec!["b.", "a."], "a"),
        ] {
            let extra = ["optimizer.state.0.exp_avg", "ema.decay", "conv.betas"];
            let selection = selected(file(&sets, &extra), "").ok().expect("a set");
            assert_eq!(selection.chosen.as_deref(), Some(chosen));
            assert_eq!(selection.others.len(), sets.len() - 1);
            assert_eq!(names(&selection)[..3], PARAMETERS, "{chosen}");
        }
    }

    #[test]
    fn a_set_can_be_named() {
        let all = ["", "ema.ema_model.model.", "ema.online_model.model."];
        for (asked, first) in [
            ("ema", "ema.ema_model.model.conv_in.weight"),
            ("model", "conv_in.weight"),
            ("ema.online_model.model", "ema.online_model.model.conv_in.weight"),
            ("online_model", "ema.online_model.model.conv_in.weight"),
        ] {
            let selection = selected(file(&all, &[]), asked).ok().expect("a set");
            assert_eq!(selection.tensors[0].1.name, first, "{asked}");
            assert_eq!(names(&selection), PARAMETERS, "{asked}");
        }
        let NoSuchSet(known) = selected(file(&all, &[]), "teacher").err().expect("none is called so");
        assert_eq!(known, ["ema.ema_model.model", "model", "ema.online_model.model"]);
        assert!(selected(file(&["model."], &[]), "ema").is_err(), "there is none");
    }

    #[test]
    fn the_file_of_another_network_keeps_its_names() {
        let selection = selected(file(&[], &["module.a.weight", "module.b.weight"]), "").ok().expect("no set");
        assert_eq!(names(&selection), ["a.weight", "b.weight"]);
    }
}
