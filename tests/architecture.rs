//! The rules of ARCHITECTURE.md that reading the sources can check.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file with comments and tests taken out: rules are about what the program does.
struct Source {
    path: PathBuf,
    code: String,
}

/// All Rust files below a folder of the repository.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} holds Rust files");
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.ends_with("tests.rs") {
            // The tests of a module, in a file of their own.
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let code = without_tests_and_comments(&fs::read_to_string(&path).expect("UTF-8"));
            found.push(Source { path, code });
        }
    }
}

/// Tests are the last part of a file, and comments take whole lines or a line's end.
fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of a package: `shaders` lies at the top, for whoever opens that first.
fn package(name: &str) -> PathBuf {
    let above = if name == "shaders" { root() } else { root().join("crates") };
    above.join(name)
}

/// Where its sources are, from the root of the repository.
fn code_of(package: &str) -> String {
    if package == "shaders" { package.to_owned() } else { format!("crates/{package}/src") }
}

/// The names under `[dependencies]`.
fn dependencies(crate_folder: &str) -> Vec<String> {
    let manifest = fs::read_to_string(package(crate_folder).join("Cargo.toml")).expect("a manifest");
    let (_, after) = manifest.split_once("\n[dependencies]\n").expect("dependencies");
    after
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// The words of the code: letters, digits and underscores that stand together.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|character: char| !(character.is_alphanumeric() || character == '_'))
}

/// No file below the folder has one of these words, alone or as a part between underscores.
fn assert_words_absent(folder: &str, absent: &[&str]) {
    for source in sources(folder) {
        for word in words(&source.code) {
            let lower = word.to_lowercase();
            let found = absent
                .iter()
                .find(|absent| lower == **absent || format!("_{lower}_").contains(&format!("_{absent}_")));
            assert!(found.is_none(), "{}: the word {word} does not belong here", source.path.display());
        }
    }
}

/// No file below the folder has one of these pieces of code.
fn assert_code_absent(folder: &str, absent: &[&str]) {
    for source in sources(folder) {
        for code in absent {
            assert!(!source.code.contains(code), "{}: {code} does not belong here", source.path.display());
        }
    }
}

fn assert_no_dependency(crate_folder: &str, refused: impl Fn(&str) -> bool) {
    for name in dependencies(crate_folder) {
        assert!(!refused(&name), "{crate_folder} must not depend on {name}");
    }
}

/// Every package but the command line.
const LIBRARIES: [&str; 20] = [
    "schedule",
    "graph",
    "autoencoder",
    "options",
    "transformer",
    "unet",
    "cpu",
    "gpu",
    "engine",
    "tensor",
    "sampler",
    "shaders",
    "checkpoint",
    "data",
    "train",
    "eval",
    "bench",
    "features",
    "ddim",
    "server",
];

const DEVICE_CONSTRUCTORS: [&str; 14] = [
    "Device::default(",
    "Device::new(",
    "Device::cpu(",
    "Device::flex(",
    "Device::wgpu(",
    "Device::wgpu_options(",
    "Device::vulkan(",
    "Device::metal(",
    "Device::webgpu(",
    "Device::cuda(",
    "Device::rocm(",
    "Device::ndarray(",
    "Device::libtorch(",
    "Device::enumerate(",
];

const PRINTING: [&str; 6] = ["println!", "print!(", "eprintln!", "eprint!(", "io::stdout(", "io::stderr("];

#[test]
fn schedule_is_arithmetic_in_f64() {
    assert_eq!(dependencies("schedule"), ["thiserror"]);
    assert_words_absent("crates/schedule/src", &["burn", "rand", "fs"]);
    for source in sources("crates/schedule/src") {
        // Rounding to pixels takes the tensors' f32: it is the border, not the arithmetic.
        if !source.path.ends_with("rounding.rs") {
            assert!(!words(&source.code).any(|word| word == "f32"), "{}: f32", source.path.display());
        }
    }
}

#[test]
fn networks_and_engines_do_not_know_what_diffusion_is() {
    for library in ["graph", "options", "unet", "transformer", "autoencoder", "tensor", "cpu", "gpu", "engine"] {
        let absent = ["eta", "sigma", "alpha_bar", "rand", "fs"];
        assert_words_absent(&format!("crates/{library}/src"), &absent);
    }
}

/// Engines run graphs, architectures write them: neither knows the other.
#[test]
fn architectures_and_engines_meet_in_the_graph() {
    assert_eq!(dependencies("graph"), ["thiserror"]);
    assert_eq!(dependencies("unet"), ["ddim-graph", "ddim-options", "serde", "serde_json"]);
    assert_eq!(dependencies("transformer"), ["ddim-graph", "ddim-options", "serde", "serde_json"]);
    assert_eq!(dependencies("autoencoder"), ["ddim-graph", "ddim-options", "serde"]);
    assert_eq!(dependencies("options"), ["ddim-graph", "serde", "serde_json", "thiserror"]);
    assert_eq!(dependencies("cpu"), ["ddim-graph", "rayon", "thiserror"]);
    assert_eq!(dependencies("gpu"), ["burn", "ddim-graph", "ddim-shaders"]);
    assert_eq!(dependencies("tensor"), ["burn", "rayon", "thiserror"]);
    let known = ["burn", "ddim-cpu", "ddim-gpu", "ddim-graph", "ddim-tensor", "thiserror"];
    assert_eq!(dependencies("engine"), known);
}

/// Drawing, evaluating and training on the processor build no tensor library: it is for GPUs, and asked for.
#[test]
fn tensors_of_burn_are_asked_for() {
    for library in LIBRARIES.iter().filter(|library| !["gpu", "shaders"].contains(library)) {
        let manifest = fs::read_to_string(package(library).join("Cargo.toml")).expect("a manifest");
        let required = manifest.split("[dev-dependencies]").next().expect("a first part");
        let asks = |line: &&str| {
            ["burn", "ddim-gpu", "ddim-shaders"].iter().any(|name| line.starts_with(&format!("{name}.")))
        };
        assert_eq!(required.lines().find(asks), None, "{library}: optional = true is missing");
    }
}

#[test]
fn sampler_knows_neither_networks_nor_files_nor_devices() {
    assert_code_absent("crates/sampler/src", &["std::fs", "File::"]);
    assert_no_dependency("sampler", |name| {
        matches!(
            name,
            "ddim" | "ddim-unet" | "ddim-checkpoint" | "ddim-data" | "ddim-train" | "clap" | "image" | "png"
        )
    });
}

#[test]
fn shaders_stand_alone() {
    assert_no_dependency("shaders", |name| name.starts_with("ddim"));
}

/// Whoever opens `shaders/` finds the same files in the folder of every kernel, and device code apart from the rest.
#[test]
fn every_shader_has_its_launch_its_plain_meaning_its_tests_and_its_row() {
    let readme = fs::read_to_string(package("shaders").join("README.md")).expect("a README");
    let mut kernels = 0;
    for entry in fs::read_dir(package("shaders")).expect("a folder") {
        let folder = entry.expect("an entry").path();
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        if !folder.is_dir() || ["common", "wgsl"].contains(&name.as_str()) {
            continue;
        }
        kernels += 1;
        for file in ["kernel.rs", "launch.rs", "plain.rs", "tests.rs", "mod.rs"] {
            assert!(folder.join(file).is_file(), "shaders/{name}/{file}");
        }
        assert!(readme.contains(&format!("| [`{name}`](")), "shaders/README.md has no row for {name}");
        let device = without_tests_and_comments(&fs::read_to_string(folder.join("kernel.rs")).expect("UTF-8"));
        assert!(!device.contains("burn::"), "shaders/{name}/kernel.rs: tensors belong into launch.rs");
    }
    assert!(kernels >= 4, "{kernels} kernels");
}

#[test]
fn checkpoint_does_not_sample() {
    assert_no_dependency("checkpoint", |name| matches!(name, "ddim" | "ddim-sampler" | "ddim-train"));
}

#[test]
fn eval_knows_tensors_graphs_schedules_pictures_and_the_sampler() {
    let known = ["ddim-cpu", "ddim-data", "ddim-graph", "ddim-sampler", "ddim-schedule", "ddim-tensor"];
    assert_eq!(dependencies("eval"), [&known[..], &["macerator", "rayon", "thiserror"]].concat());
    assert_code_absent("crates/eval/src", &["std::fs", "File::"]);
}

#[test]
fn features_know_pictures_and_weight_files_only() {
    assert_code_absent("crates/features/src", &["std::fs", "File::"]);
    assert_no_dependency("features", |name| {
        matches!(name, "ddim" | "ddim-sampler" | "ddim-schedule" | "ddim-unet" | "ddim-train")
    });
}

/// What embeds a library has no command line: its messages say what to do, and `crates/cli/advice.rs` with which
/// option.
#[test]
fn libraries_name_no_option_of_the_command_line() {
    for source in LIBRARIES.iter().flat_map(|library| sources(&code_of(library))) {
        let option =
            source.code.split("--").skip(1).find(|after| after.starts_with(|c: char| c.is_ascii_lowercase()));
        assert!(option.is_none(), "{}: --{}", source.path.display(), option.unwrap_or_default());
    }
}

#[test]
fn libraries_choose_no_device() {
    for library in [
        "unet",
        "transformer",
        "autoencoder",
        "options",
        "gpu",
        "engine",
        "sampler",
        "shaders",
        "data",
        "train",
        "eval",
        "features",
    ] {
        for source in sources(&code_of(library)) {
            let found = DEVICE_CONSTRUCTORS.iter().find(|code| source.code.contains(**code));
            assert!(found.is_none(), "{}: {found:?}", source.path.display());
        }
    }
}

#[test]
fn only_the_command_line_prints_and_parses_arguments() {
    for library in LIBRARIES {
        assert_code_absent(&code_of(library), &PRINTING);
        assert_no_dependency(library, |name| matches!(name, "clap" | "indicatif" | "tracing-subscriber"));
    }
}

/// Python's module is a door to the library, and no program of its own.
#[test]
fn the_python_module_prints_nothing_and_reads_no_environment() {
    assert_code_absent("bindings/python/src", &PRINTING);
    assert_code_absent("bindings/python/src", &["env::var", ".sqrt()", ".powi(", ".powf(", ".exp()", ".ln()"]);
    let manifest = fs::read_to_string(root().join("bindings/python/Cargo.toml")).expect("a manifest");
    assert!(manifest.contains("[lints]\nworkspace = true"));
    // It switches on features of crates under burn, which would then compile twice.
    assert!(!manifest.lines().any(|line| line.starts_with("numpy")), "arrays come by their protocols");
}

/// The C library likewise; its header has all of its functions, and there are twenty.
#[test]
fn the_c_library_is_twenty_functions_that_print_nothing() {
    assert_code_absent("bindings/c/src", &PRINTING);
    assert_code_absent("bindings/c/src", &["env::var", ".sqrt()", ".powi(", ".powf(", ".exp()", ".ln()"]);
    let header = fs::read_to_string(root().join("bindings/c/include/ddim.h")).expect("a header");
    let code = ["lib", "model", "run"]
        .map(|file| fs::read_to_string(root().join(format!("bindings/c/src/{file}.rs"))).expect("a source file"));
    let code = code.concat();
    let functions: Vec<&str> =
        code.split("extern \"C\" fn ").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    let functions: Vec<&str> = functions.into_iter().filter(|name| name.starts_with("ddim_")).collect();
    assert_eq!(functions.len(), 20, "{functions:?}");
    for function in functions {
        assert!(header.contains(&format!("{function}(")), "include/ddim.h lacks {function}: run cbindgen");
    }
}

#[test]
fn only_the_command_line_reads_the_environment() {
    for source in LIBRARIES.iter().flat_map(|library| sources(&code_of(library))) {
        // burn's runtime reads settings of its own.
        let exception = source.path.ends_with("device/runtime.rs");
        assert!(exception || !source.code.contains("env::var"), "{}: env::var", source.path.display());
    }
}

#[test]
fn the_command_line_holds_no_formula() {
    assert_words_absent("crates/cli", &["alpha_bar", "alphas_cumprod"]);
    assert_code_absent("crates/cli", &[".sqrt()", ".powi(", ".powf(", ".exp()", ".ln()"]);
}

/// A run is walked by one function, in `ddim::walk`: nothing else cuts it into batches, fills those up, or asks the
/// sampler to go down a plan.
#[test]
fn one_function_walks_a_run() {
    let everywhere =
        || LIBRARIES.iter().flat_map(|library| sources(&code_of(library))).chain(sources("crates/cli"));
    let places = |code: &str| -> Vec<String> {
        let found =
            everywhere().filter(|source| source.code.contains(code) && !source.path.ends_with("sample.rs"));
        let mut names: Vec<String> =
            found.map(|source| source.path.file_name().expect("a name").to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(places(".drive("), ["corrector.rs", "draw.rs"], "the sampler's own, and that of one batch");
    assert_eq!(places(".draw_watched("), ["draw.rs", "walk.rs"]);
    assert_eq!(places(".draw_adaptive_watched("), ["adaptive.rs", "walk.rs"]);
    assert_eq!(places(".padding("), ["together.rs", "walk.rs"], "of one run, and of one call for several");
    assert_code_absent("crates/cli", &["padded_to", "Outcome", "ddim::Batch", "chunks(job", "Noise::initial"]);
    assert_code_absent("crates/train/src", &["padded_to", "Outcome", "PictureNoise"]);
}

/// What was typed is lowered once: nothing outside `args` writes arguments down, and nobody parses an empty command
/// line for its defaults.
#[test]
fn arguments_are_read_and_never_made() {
    let (below, above) = (root().join("crates/cli/args"), root().join("crates/cli/args.rs"));
    for source in
        sources("crates/cli").iter().filter(|source| source.path != above && !source.path.starts_with(&below))
    {
        for code in ["Args {", "Args::default()", "get_matches_from([", "parse_from(["] {
            assert!(!source.code.contains(code), "{}: {code}", source.path.display());
        }
    }
}

#[test]
fn randomness_is_an_argument() {
    for library in [
        "graph",
        "cpu",
        "gpu",
        "engine",
        "unet",
        "transformer",
        "autoencoder",
        "sampler",
        "ddim",
        "checkpoint",
        "eval",
        "features",
    ] {
        assert_code_absent(
            &format!("crates/{library}/src"),
            &[".seed(", "thread_rng", "from_entropy", "SystemTime"],
        );
    }
}

#[test]
fn no_library_is_forgotten() {
    let crates =
        fs::read_dir(root().join("crates")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let packages = crates.filter(|folder| folder.join("Cargo.toml").is_file());
    let mut found: Vec<String> =
        packages.map(|folder| folder.file_name().expect("a name").to_string_lossy().into_owned()).collect();
    found.push("shaders".to_owned());
    found.sort();
    let mut listed = LIBRARIES.to_vec();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[test]
fn every_crate_keeps_the_lint_table() {
    let crates = fs::read_dir(root().join("crates")).expect("a folder");
    for folder in crates.map(|entry| entry.expect("an entry").path()).chain([package("shaders")]) {
        let manifest = folder.join("Cargo.toml");
        if let Ok(text) = fs::read_to_string(&manifest) {
            assert!(text.contains("[lints]\nworkspace = true"), "{}", manifest.display());
        }
    }
}

/// Where lines may still be wider.
const STILL_WIDE: [&str; 3] = ["crates/cli", "tests", "benches"];

/// What a page shows without scrolling.
const WIDTH: usize = 115;

/// rustfmt breaks code, and leaves comments and strings as they are. A row of a table cannot be broken.
#[test]
fn lines_are_no_wider_than_a_page() {
    let mut files = Vec::new();
    for folder in ["crates", "shaders", "tests", "benches", "bindings"] {
        rust_files(&root().join(folder), &mut files);
    }
    assert!(files.len() > 100, "{} files", files.len());
    let is_row = |line: &str| ["/// |", "//! |"].iter().any(|row| line.trim_start().starts_with(row));
    for file in files {
        let text = fs::read_to_string(&file).expect("UTF-8");
        let wide = text.lines().position(|line| line.chars().count() > WIDTH && !is_row(line));
        assert!(wide.is_none(), "{}:{}: wider than {WIDTH}", file.display(), wide.unwrap_or_default() + 1);
    }
}

/// All of them below a folder, tests and comments included, but for those that may be wide.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    if STILL_WIDE.iter().any(|wide| folder == root().join(wide)) {
        return;
    }
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// `vendor/turso` stands in for a version of the engine: when burn asks for another one, cargo takes the engine.
#[test]
fn no_sql_engine_is_built() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("in the repository");
    assert!(
        lock.contains("name = \"turso\"") && !lock.contains("name = \"turso_core\""),
        "vendor/turso is not taken"
    );
}

#[test]
fn comments_and_tests_are_no_code() {
    let text = "fn f() {} // sigma\n/// eta\n#[cfg(test)]\nmod tests {\n    alpha_bar\n}\n";
    let code = without_tests_and_comments(text);
    assert!(
        code.contains("fn f()") && !code.contains("sigma") && !code.contains("eta") && !code.contains("alpha_bar")
    );
}
