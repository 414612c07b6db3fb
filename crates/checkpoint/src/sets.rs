//! The sets of weights in a file.
//!
//! Wrappers and training scripts put words before the names of a network's parameters: `module.`, `_orig_mod.`,
//! `state_dict.model.`, `ema.ema_model.model.`. Such words are not known here: a set is whatever stands before the
//! names of at least half of the network's parameters. So a file may hold the weights, their moving averages, and
//! the states of an optimizer, each under a name of its own.
//!
//! Some keep moving averages under names without dots (CompVis' `LitEma`), or in a list without names
//! (`shadow_params` of diffusers' `EMAModel`). The former are read; the latter stand in an order that only the
//! network in Python knows.

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
    /// Where there are moving averages without names, and none with: the list, as what it lies in has keys.
    pub(crate) unnamed: Option<Vec<String>>,
}

/// Why no set is taken.
pub(crate) enum Refused {
    /// No set is called so; those that there are.
    NoSuchSet(Vec<String>),
    /// There are moving averages without names, and no others; where their list is.
    Unnamed(Vec<String>),
}

/// Takes one set of the weights of a network with these parameters. Where there is none, as in the file of another
/// network, the tensors keep their names but for what all of them begin with.
pub(crate) fn select(stored: Vec<Stored>, slots: &[Slot], choice: &WeightChoice) -> Result<Selection, Refused> {
    let undotted = undotted(slots);
    let sets = sets(&stored, slots, &undotted);
    let unnamed = if sets.iter().any(Set::is_averaged) { None } else { list_without_names(&stored) };
    let asks_for_averages = matches!(choice, WeightChoice::Named(name) if name == "ema");
    if let Some(list) = unnamed.clone().filter(|_| sets.is_empty() || asks_for_averages) {
        return Err(Refused::Unnamed(list));
    }
    let Some(chosen) = choose(&sets, choice)?.cloned() else {
        return Ok(Selection { tensors: names::modern(stored), chosen: None, others: Vec::new(), unnamed: None });
    };
    let others: Vec<&Set> = sets.iter().filter(|set| **set != chosen).collect();
    let is_of_another = |name: &str| {
        let longer = others.iter().filter(|other| other.prefix.len() > chosen.prefix.len());
        longer.into_iter().any(|other| name.starts_with(&other.prefix))
    };
    let mut tensors = Vec::new();
    for tensor in stored {
        let name = names::unwrapped(&tensor.name);
        if let Some(rest) = name.strip_prefix(&chosen.prefix).filter(|_| !is_of_another(&name)) {
            match chosen.spelling {
                Spelling::Dotted => tensors.push((names::modern_name(rest), tensor)),
                Spelling::Undotted if COUNTERS.contains(&rest) => {}
                Spelling::Undotted => {
                    let name = undotted.get(rest).map_or(rest, |name| name.as_str());
                    tensors.push((name.to_owned(), tensor));
                }
            }
        }
    }
    let others: Vec<String> = others.into_iter().map(Set::shown).collect();
    Ok(Selection { tensors, chosen: (!others.is_empty()).then(|| chosen.shown()), others, unnamed })
}

/// A set of weights in a file.
#[derive(Clone, PartialEq, Eq)]
struct Set {
    /// What stands before the names of its parameters.
    prefix: String,
    spelling: Spelling,
}

/// How the names of parameters are spelt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// `conv_in.weight`
    Dotted,
    /// `conv_inweight`: moving averages that `LitEma` keeps as buffers, which may have no dots in PyTorch.
    Undotted,
}

/// What `LitEma` keeps beside the averages.
const COUNTERS: [&str; 2] = ["decay", "num_updates"];

impl Set {
    /// Whether these are moving averages of weights, by what people call them: `ema`, `ema_model`, `params_ema`.
    /// What they are averages of is called `online` beside them.
    fn is_averaged(&self) -> bool {
        let words: BTreeSet<String> = self.prefix.split(['.', '_']).map(str::to_lowercase).collect();
        self.spelling == Spelling::Undotted || words.contains("ema") && !words.contains("online")
    }

    /// What people call it. A set without a name is the model itself.
    fn shown(&self) -> String {
        match (self.prefix.trim_end_matches('.'), self.spelling) {
            ("", Spelling::Dotted) => "model".to_owned(),
            ("", Spelling::Undotted) => "ema".to_owned(),
            (name, _) => name.to_owned(),
        }
    }
}

/// Those of which at least half of the parameters are there, moving averages first.
fn sets(stored: &[Stored], slots: &[Slot], undotted: &BTreeMap<String, String>) -> Vec<Set> {
    let known: BTreeSet<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    let longest = known.iter().map(|name| name.split('.').count()).max().unwrap_or(0);
    let (mut dotted, mut plain): (BTreeMap<String, usize>, BTreeMap<String, usize>) = Default::default();
    for tensor in stored {
        let name = names::unwrapped(&tensor.name);
        let starts = name.rmatch_indices('.').map(|(dot, _)| dot + 1).take(longest);
        let whole = (name.split('.').take(longest + 1).count() <= longest).then_some(0);
        for start in starts.chain(whole) {
            if known.contains(names::modern_name(&name[start..]).as_str()) {
                *dotted.entry(name[..start].to_owned()).or_default() += 1;
            }
        }
        for prefix in undotted.keys().filter_map(|undotted| name.strip_suffix(undotted.as_str())) {
            *plain.entry(prefix.to_owned()).or_default() += 1;
        }
    }
    let of = |found: BTreeMap<String, usize>, spelling| {
        let enough = found.into_iter().filter(|(_, count)| 2 * count >= slots.len());
        enough.map(move |(prefix, _)| Set { prefix, spelling })
    };
    let mut sets: Vec<Set> = of(dotted, Spelling::Dotted).chain(of(plain, Spelling::Undotted)).collect();
    sets.sort_by_key(|set| (!set.is_averaged(), set.prefix.len(), set.prefix.clone()));
    sets
}

/// The parameters by their names without dots, of today and of old releases; none where two become the same.
fn undotted(slots: &[Slot]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for slot in slots {
        for spelt in BTreeSet::from([slot.name.clone(), names::old_name(&slot.name)]) {
            if names.insert(spelt.replace('.', ""), slot.name.clone()).is_some() {
                return BTreeMap::new();
            }
        }
    }
    names
}

/// Where a file has a list of moving averages without names: the keys on the way there, those of a list being
/// numbers.
fn list_without_names(stored: &[Stored]) -> Option<Vec<String>> {
    const LIST: &str = "shadow_params";
    let mut names = stored.iter().filter_map(|tensor| tensor.name.rsplit_once('.'));
    let is_list = |(list, number): &(&str, &str)| {
        list.rsplit('.').next() == Some(LIST) && number.bytes().all(|digit| digit.is_ascii_digit())
    };
    let (list, _) = names.find(is_list)?;
    Some(list.split('.').map(str::to_owned).collect())
}

/// The wanted one; none where there is none at all.
fn choose<'a>(sets: &'a [Set], choice: &WeightChoice) -> Result<Option<&'a Set>, Refused> {
    let WeightChoice::Named(name) = choice else { return Ok(sets.first()) };
    if sets.is_empty() {
        return Ok(None);
    }
    let mut exact = sets.iter().filter(|set| set.shown() == *name);
    let found = exact.next().or_else(|| match name.as_str() {
        "ema" => sets.iter().find(|set| set.is_averaged()),
        "model" => sets.iter().find(|set| !set.is_averaged()),
        _ => sets.iter().find(|set| set.prefix.split('.').any(|part| part == name)),
    });
    found.map(Some).ok_or_else(|| Refused::NoSuchSet(sets.iter().map(Set::shown).collect()))
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

    fn selected(stored: Vec<Stored>, choice: &str) -> Result<Selection, Refused> {
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
        let Some(Refused::NoSuchSet(known)) = selected(file(&all, &[]), "teacher").err() else {
            panic!("none is called so");
        };
        assert_eq!(known, ["ema.ema_model.model", "model", "ema.online_model.model"]);
        assert!(selected(file(&["model."], &[]), "ema").is_err(), "there is none");
    }

    /// As CompVis' programs and those after them keep moving averages.
    #[test]
    fn names_without_dots_are_understood() {
        let undotted = |prefix: &str, names: &[&str]| -> Vec<Stored> {
            names.iter().map(|name| stored(format!("{prefix}{}", name.replace('.', "")))).collect()
        };
        let old = ["conv_in.weight", "conv_in.bias", "mid_block.attentions.0.query.weight"];
        for prefix in ["model_ema.", "model_ema.diffusion_model", ""] {
            for names_of in [PARAMETERS, old] {
                let counters = ["decay", "num_updates"].map(|name| stored(format!("{prefix}{name}")));
                let all = [undotted(prefix, &names_of), counters.to_vec()].concat();
                let selection = selected(all.clone(), "").ok().expect("one set");
                assert_eq!(names(&selection), PARAMETERS, "{prefix}");
                assert_eq!((selection.chosen, selection.others.len()), (None, 0), "{prefix}");
                // Beside the weights that they are averages of.
                let both = [file(&["model."], &[]), all].concat();
                let selection = selected(both.clone(), "").ok().expect("two sets");
                let called = if prefix.is_empty() { "ema" } else { prefix.trim_end_matches('.') };
                assert_eq!(
                    (selection.chosen.as_deref(), selection.others),
                    (Some(called), vec!["model".to_owned()])
                );
                let selection = selected(both, "model").ok().expect("two sets");
                assert_eq!(selection.tensors[0].1.name, "model.conv_in.weight");
            }
        }
    }

    /// In the order of a network in Python: taken by guess they would draw noise, passed over nobody would know.
    #[test]
    fn moving_averages_without_names_are_refused_or_told() {
        let list = ["ema.shadow_params.0", "ema.shadow_params.1", "ema.decay"];
        for (sets, asked) in [(&[][..], ""), (&[], "ema"), (&["model."], "ema")] {
            let Some(Refused::Unnamed(keys)) = selected(file(sets, &list), asked).err() else {
                panic!("{sets:?} {asked}");
            };
            assert_eq!(keys, ["ema", "shadow_params"]);
        }
        let keys = |sets: &[&str]| selected(file(sets, &list), "").ok().expect("a set").unnamed;
        assert_eq!(keys(&["model."]), Some(vec!["ema".to_owned(), "shadow_params".to_owned()]));
        assert_eq!(keys(&["model.", "ema_model."]), None, "others have names");
    }

    #[test]
    fn the_file_of_another_network_keeps_its_names() {
        let selection = selected(file(&[], &["module.a.weight", "module.b.weight"]), "").ok().expect("no set");
        assert_eq!(names(&selection), ["a.weight", "b.weight"]);
    }
}
