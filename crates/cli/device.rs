//! Which device computes, and in which numbers.

use std::ffi::OsStr;
use std::{fmt, thread};

use anyhow::Context;
use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, ValueEnum};
use ddim::device::{self, Adapter};
use ddim_tensor::Device;
use serde::{Deserialize, Serialize};

use crate::kernels;

/// What `--device` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceChoice {
    api: Api,
    /// Its place among those of that API.
    index: Option<usize>,
}

/// What `--device` can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Api {
    /// A GPU where there is one, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// A GPU, through whatever this system offers; wgpu:1 is the second of all that `ddim devices` shows
    Wgpu,
    /// A GPU through Vulkan; vulkan:1 is the one that `ddim devices` shows so
    Vulkan,
    /// A GPU through Metal
    Metal,
    /// A GPU through DirectX 12
    Dx12,
    /// A GPU through WebGPU shaders
    Webgpu,
}

/// What devices are called elsewhere, and what to type here.
const ELSEWHERE: [(&[&str], &str); 4] = [
    (
        &["cuda", "nvidia", "rocm", "hip", "amd", "xpu", "opencl"],
        "GPUs of NVIDIA, AMD and Intel compute through Vulkan here: type vulkan, or dx12 on Windows; auto takes what \
         there is",
    ),
    (
        &["gpu"],
        "type auto for a GPU where there is one and else the CPU, wgpu for a GPU and nothing else, vulkan, metal or \
         dx12 for its interface",
    ),
    (&["mps", "apple"], "GPUs of Apple compute through Metal: type metal, or auto"),
    (&["dml", "directml", "directx", "d3d12", "dx11"], "type dx12, or auto"),
];

impl DeviceChoice {
    /// A GPU where there is one, else the CPU.
    pub(crate) const AUTO: Self = Self { api: Api::Auto, index: None };
    pub(crate) const CPU: Self = Self { api: Api::Cpu, index: None };

    /// Whether it names a GPU, which may not be there.
    pub(crate) fn is_gpu(self) -> bool {
        !matches!(self.api, Api::Auto | Api::Cpu)
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.api.to_possible_value();
        f.write_str(name.as_ref().map_or("", PossibleValue::get_name))?;
        self.index.map_or(Ok(()), |index| write!(f, ":{index}"))
    }
}

/// Reads `vulkan` and `vulkan:1`.
#[derive(Clone, Debug)]
pub(crate) struct DeviceParser;

impl TypedValueParser for DeviceParser {
    type Value = DeviceChoice;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<DeviceChoice, clap::Error> {
        let typed = value.to_string_lossy();
        let (name, index) = match typed.split_once(':') {
            Some((name, index)) => (OsStr::new(name), Some(index)),
            None => (value, None),
        };
        let small = name.to_string_lossy().to_ascii_lowercase();
        if let Some((_, what)) = ELSEWHERE.iter().find(|(names, _)| names.contains(&small.as_str())) {
            let text = format!("--device {typed}: there is no such device here; {what}\n");
            return Err(clap::Error::raw(ErrorKind::InvalidValue, text).with_cmd(command));
        }
        let api = EnumValueParser::<Api>::new().parse_ref(command, arg, name)?;
        let counted = !matches!(api, Api::Auto | Api::Cpu);
        let index = match index.map(str::parse) {
            None => None,
            Some(Ok(index)) if counted => Some(index),
            Some(_) => {
                let name = name.to_string_lossy();
                let what = if counted {
                    format!("the number behind the colon must be 0 or more, as in {name}:1")
                } else {
                    format!("{name} takes no number; type {name}")
                };
                let text = format!("--device {typed}: {what}\n");
                return Err(clap::Error::raw(ErrorKind::InvalidValue, text).with_cmd(command));
            }
        };
        Ok(DeviceChoice { api, index })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Api::value_variants().iter().filter_map(Api::to_possible_value)))
    }
}

/// What `--precision` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Precision {
    /// 32 bits
    F32,
    /// 16 bits, values up to 65504: GPUs that have it
    F16,
    /// 16 bits, three digits: the CPU, and GPUs that have it
    Bf16,
}

impl Precision {
    /// The name typed.
    pub(crate) fn name(self) -> &'static str {
        ddim::engine::Precision::from(self).name()
    }
}

impl From<Precision> for ddim::engine::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// The CPU's name in records.
pub(crate) const CPU: &str = "cpu";

/// A device to compute on.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The device.
    pub(crate) device: Device,
    /// Its name in records: `cpu`, or the name of the GPU.
    pub(crate) name: String,
    /// The same for people.
    pub(crate) description: String,
}

/// Picks the device.
pub(crate) fn choose(choice: DeviceChoice) -> anyhow::Result<Chosen> {
    match choice.api {
        Api::Cpu => Ok(cpu()),
        Api::Auto => Ok(device::preferred(&device::adapters()).map_or_else(cpu, |adapter| {
            gpu(adapter).unwrap_or_else(|error| {
                tracing::warn!("--device auto: {error}; computing on it");
                cpu()
            })
        })),
        _ => {
            let found = device::adapters();
            gpu(asked_for(choice, &found)?).with_context(|| format!("--device {choice}"))
        }
    }
}

/// The CPU, in words.
pub(crate) fn cpu_description() -> String {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    format!("CPU, {threads} {}", if threads == 1 { "thread" } else { "threads" })
}

/// The GPU of that number, else the first, one made of hardware if possible: who asks for it may have a software one.
fn asked_for(choice: DeviceChoice, found: &[Adapter]) -> anyhow::Result<&Adapter> {
    let fits = |adapter: &&Adapter| match choice.api {
        Api::Vulkan => adapter.api == "vulkan",
        Api::Metal => adapter.api == "metal",
        Api::Dx12 => adapter.api == "dx12",
        Api::Wgpu | Api::Webgpu | Api::Auto | Api::Cpu => true,
    };
    let fitting: Vec<&Adapter> = found.iter().filter(fits).collect();
    let chosen = match choice.index {
        Some(index) => fitting.get(index),
        None => fitting.iter().find(|adapter| adapter.is_hardware()).or(fitting.first()),
    };
    chosen.copied().with_context(|| {
        let there = match (choice.index, fitting.len()) {
            (None, _) | (_, 0) => "there is no such device here".to_owned(),
            (_, count) => format!("the last of these devices here has number {}", count - 1),
        };
        format!("--device {choice}: {there}; `ddim devices` lists what there is, auto and cpu always work")
    })
}

fn cpu() -> Chosen {
    Chosen { device: device::cpu(), name: CPU.to_owned(), description: cpu_description() }
}

fn gpu(adapter: &Adapter) -> Result<Chosen, ddim::Error> {
    kernels::keep();
    Ok(Chosen {
        device: adapter.open()?,
        name: adapter.name.clone(),
        description: format!("{} ({})", adapter.name, adapter.api),
    })
}

#[cfg(test)]
mod tests {
    use ddim::device::AdapterKind;

    use super::*;

    #[test]
    fn the_cpu_always_works() {
        assert_eq!(choose(DeviceChoice { api: Api::Cpu, index: None }).expect("always there").name, "cpu");
    }

    fn parsed(typed: &str) -> Result<DeviceChoice, clap::Error> {
        DeviceParser.parse_ref(&Command::new("ddim"), None, OsStr::new(typed))
    }

    #[test]
    fn a_device_has_a_name_and_may_have_a_number() {
        for typed in ["auto", "cpu", "vulkan", "vulkan:0", "metal:12"] {
            assert_eq!(parsed(typed).expect(typed).to_string(), typed);
        }
        for (typed, word) in
            [("cuda", "vulkan"), ("CUDA:1", "vulkan"), ("gpu", "auto"), ("mps", "metal"), ("directml", "dx12")]
        {
            let error = parsed(typed).expect_err(typed).to_string();
            assert!(
                error.contains(&format!("--device {typed}: there is no such device")) && error.contains(word),
                "{error}"
            );
        }
        for typed in ["", "vulkn", "vulkan:", "vulkan:-1", "vulkan:x", "cpu:0", "auto:1", ":1"] {
            assert!(parsed(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn hardware_comes_first_unless_a_number_says_otherwise() {
        let adapter = |kind, api: &str, index| Adapter {
            name: format!("{kind:?} {index}"),
            kind,
            api: api.to_owned(),
            driver: String::new(),
            index,
            index_of_kind: 0,
            abilities: device::Abilities::default(),
        };
        let found = [
            adapter(AdapterKind::Software, "vulkan", 0),
            adapter(AdapterKind::Discrete, "vulkan", 1),
            adapter(AdapterKind::Integrated, "dx12", 0),
        ];
        let name = |typed| asked_for(parsed(typed).expect("a device"), &found).map(|adapter| adapter.name.clone());
        assert_eq!(name("vulkan").expect("there"), "Discrete 1");
        assert_eq!(name("vulkan:0").expect("there"), "Software 0");
        assert_eq!(name("wgpu:2").expect("there"), "Integrated 0");
        let refused = name("vulkan:2").expect_err("there are two").to_string();
        assert!(
            refused.starts_with("--device vulkan:2: the last of these devices here has number 1"),
            "{refused}"
        );
        assert!(name("metal:0").expect_err("none").to_string().contains("there is no such device"));
        assert_eq!(device::preferred(&found).expect("one").name, "Discrete 1");
    }
}
