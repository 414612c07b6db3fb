//! `ddim devices`: what can be used here.

use ddim::device::{self, Abilities, Adapter};
use serde_json::{Value, json};

use crate::args::DevicesArgs;
use crate::device::cpu_description;
use crate::ending::Ending;
use crate::printing;
use ddim_bench::units::mebibytes;

/// Prints every device, what it can do, and which one `--device auto` takes.
pub(crate) fn run(args: &DevicesArgs) -> anyhow::Result<Ending> {
    let adapters = device::adapters();
    let text = if args.json { format!("{:#}\n", as_json(&adapters)) } else { as_text(&adapters) };
    printing::results(&text)?;
    Ok(Ending::Done)
}

fn as_json(adapters: &[Adapter]) -> Value {
    let auto = device::preferred(adapters);
    let cpu = json!({ "device": "cpu", "name": cpu_description(), "kind": "cpu", "auto": auto.is_none() });
    let gpus = adapters.iter().map(|adapter| {
        let Abilities { f16, bf16, subgroups, cooperative_matrices, largest_buffer } = adapter.abilities;
        json!({
            "device": adapter.api,
            "index": adapter.index,
            "name": adapter.name,
            "kind": kind(adapter),
            "driver": adapter.driver.trim(),
            "f16": f16,
            "bf16": bf16,
            "subgroups": subgroups,
            "cooperative_matrices": cooperative_matrices,
            "largest_buffer_bytes": largest_buffer,
            "auto": auto == Some(adapter),
        })
    });
    json!({ "devices": std::iter::once(cpu).chain(gpus).collect::<Vec<_>>(), "auto_because": reason(adapters) })
}

fn as_text(adapters: &[Adapter]) -> String {
    let auto = device::preferred(adapters);
    let mark = |is_auto| if is_auto { "  <- auto" } else { "" };
    let mut text = format!("{:<9} {}{}\n", "cpu", cpu_description(), mark(auto.is_none()));
    for adapter in adapters {
        let device = format!("{}:{}", adapter.api, adapter.index);
        let (name, driver, mark) = (&adapter.name, adapter.driver.trim(), mark(auto == Some(adapter)));
        text.push_str(&format!("{device:<9} {name}, {}, {driver}{mark}\n", kind(adapter)));
        text.push_str(&format!("{:<9} {}\n", "", abilities(adapter.abilities)));
    }
    text + &format!("auto takes the {}\n", reason(adapters))
}

/// What `auto` takes, and why.
fn reason(adapters: &[Adapter]) -> String {
    match (device::preferred(adapters), adapters) {
        (Some(adapter), _) => format!("first GPU made of hardware: {}:{}", adapter.api, adapter.index),
        (None, []) => "cpu: no GPU was found".to_owned(),
        (None, _) => "cpu: no GPU made of hardware was found, and one of software is slower than it".to_owned(),
    }
}

/// What it can do, in words.
fn abilities(abilities: Abilities) -> String {
    let Abilities { f16, bf16, subgroups, cooperative_matrices, largest_buffer } = abilities;
    let has = |yes| if yes { "yes" } else { "no" };
    let bf16 = bf16.map_or("perhaps", has);
    format!(
        "f16 {}, bf16 {bf16}, subgroups {}, cooperative matrices {}, tensors of up to {}",
        has(f16),
        has(subgroups),
        has(cooperative_matrices),
        mebibytes(largest_buffer)
    )
}

/// What it is, in words.
fn kind(adapter: &Adapter) -> String {
    format!("{:?}", adapter.kind).to_lowercase()
}
