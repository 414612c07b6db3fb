//! `ddim devices`: what can be used here.

use std::io::{self, Write};

use ddim::device::{self, Adapter};
use serde_json::{Value, json};

use crate::Ending;
use crate::args::DevicesArgs;
use crate::device::cpu_description;

/// Prints every device, the one that `--device auto` takes marked.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(args: &DevicesArgs) -> anyhow::Result<Ending> {
    let adapters = device::adapters();
    let auto = adapters.iter().position(Adapter::is_hardware);
    let text = if args.json { format!("{:#}\n", as_json(&adapters, auto)) } else { as_text(&adapters, auto) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Ending::Done)
}

fn as_json(adapters: &[Adapter], auto: Option<usize>) -> Value {
    let cpu = json!({ "device": "cpu", "name": cpu_description(), "kind": "cpu", "auto": auto.is_none() });
    let gpus = adapters.iter().enumerate().map(|(index, adapter)| {
        json!({
            "device": adapter.api,
            "name": adapter.name,
            "kind": kind(adapter),
            "driver": adapter.driver,
            "auto": auto == Some(index),
        })
    });
    json!({ "devices": std::iter::once(cpu).chain(gpus).collect::<Vec<_>>() })
}

fn as_text(adapters: &[Adapter], auto: Option<usize>) -> String {
    let mark = |is_auto| if is_auto { "  <- auto" } else { "" };
    let mut text = format!("{:<8} {}{}\n", "cpu", cpu_description(), mark(auto.is_none()));
    for (index, adapter) in adapters.iter().enumerate() {
        let (api, name, driver) = (&adapter.api, &adapter.name, adapter.driver.trim());
        text.push_str(&format!("{api:<8} {name}, {}, {driver}{}\n", kind(adapter), mark(auto == Some(index))));
    }
    if adapters.is_empty() {
        text.push_str("no GPU was found\n");
    }
    text
}

/// What it is, in words.
fn kind(adapter: &Adapter) -> String {
    format!("{:?}", adapter.kind).to_lowercase()
}
