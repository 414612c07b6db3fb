//! Takes the pictures of a run as they are finished, and puts them where they were asked for.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ddim_bench::units;
use ddim_data::Picture;
use ddim_sampler::Effort;
use ddim_schedule::Direction;
use serde_json::Value;

use crate::args::misused;
use crate::files::Existing;
use crate::job::{Job, Series};
use crate::output::{
    self, AnimateWhat, Animation, Captions, Destination, FileKind, Frames, MOST_SHOWN, half_blocks, terminal_width,
};
use crate::request::OutputRequest;
use crate::run_record;
use crate::sample::place::{Place, manifest};
use crate::sample::scales::{self, Scales};
use crate::signals::Parting;

/// A finished batch, as numbers on the host.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The finished pictures.
    pub(super) finals: Vec<f32>,
    /// The latents that they were decoded from; empty where the network draws pictures.
    pub(super) latents: Vec<f32>,
    /// Every state, the noise first; empty unless kept.
    pub(super) states: Vec<Vec<f32>>,
    /// What an animation shows of the steps, each with the number of its frame.
    pub(super) frames: Vec<(usize, Vec<f32>)>,
    /// What each picture has cost, where no plan says so.
    pub(super) effort: Vec<Effort>,
}

/// Where the pictures of a run go.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    job: &'a Job<'a>,
    run: Value,
    scales: Scales,
    place: Place,
    states: States,
    grid: Grid,
    animation: Option<Animation>,
    preview: Option<Vec<Picture>>,
    finished: usize,
    /// Pictures that an earlier run has left in the folder.
    found: usize,
    args: OutputRequest,
}

/// Whether the states between are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum States {
    Kept,
    Dropped,
}

/// Whether a folder gets a grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grid {
    Wanted,
    Unwanted,
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    /// The folder or file.
    pub(super) out: Option<PathBuf>,
    /// The animation.
    pub(super) animation: Option<PathBuf>,
    /// The pictures for the terminal.
    pub(super) preview: String,
    /// Pictures finished, earlier runs into the same folder included.
    pub(super) finished: usize,
    /// The run's JSON.
    pub(super) run: Value,
    pictures: usize,
    advice: String,
}

impl<'a> Sink<'a> {
    /// Claims every place that will be written, and says which pictures are still to be drawn.
    pub(super) fn open(args: &OutputRequest, job: &'a Job<'a>) -> anyhow::Result<(Self, Vec<usize>)> {
        let destination = Destination::new(args.out.as_deref(), args.show)?;
        check(args, &destination, job)?;
        let scales = Scales::new(args, job);
        let run = scales.recorded(&job.run);
        let existing = Existing::from_force(args.force);
        let animation = args.animate.as_deref();
        let animation = animation.map(|path| Animation::create(path, frames(args, job), existing)).transpose()?;
        let (place, missing) = Place::open(destination, args, job, &run)?;
        let found = job.pictures() - missing.len();
        let sink = Self {
            job,
            run,
            scales,
            args: args.clone(),
            place,
            states: if args.trajectory { States::Kept } else { States::Dropped },
            grid: if args.no_grid { Grid::Unwanted } else { Grid::Wanted },
            animation,
            preview: args.show.then(Vec::new),
            finished: found,
            found,
        };
        Ok((sink, missing))
    }

    /// Whether the states between are wanted.
    pub(super) fn keeps_states(&self) -> bool {
        self.states == States::Kept
    }

    /// What the pictures have cost that an earlier run has finished, where no plan says so.
    pub(super) fn effort_before(&self) -> Vec<Effort> {
        match &self.place {
            Place::Folder(folder, _) | Place::Part(folder, _) => folder.effort_before().collect(),
            Place::File(_) | Place::Nowhere => Vec::new(),
        }
    }

    /// The frame of the animation that shows the run after so many steps, if there is one, and what it shows.
    pub(super) fn frame_after(&self, steps: usize) -> Option<(usize, AnimateWhat)> {
        self.animation.as_ref()?.kind().after(steps)
    }

    /// Takes a finished batch.
    pub(super) fn add(&mut self, pictures: &[usize], drawn: &Batch) -> anyhow::Result<()> {
        let one: usize = self.job.shape.iter().product();
        match &mut self.place {
            Place::File(file) => file.add(&drawn.finals, &drawn.latents, &drawn.states),
            Place::Folder(folder, _) | Place::Part(folder, _) => {
                for (place, (index, values)) in pictures.iter().zip(drawn.finals.chunks(one)).enumerate() {
                    let picture = self.job.picture(values).enlarged(self.scales.single);
                    folder.write(*index, &picture, drawn.effort.get(place))?;
                }
            }
            Place::Nowhere => {}
        }
        if let Some(animation) = &mut self.animation {
            for (frame, values) in &drawn.frames {
                for values in values.chunks(one) {
                    animation.add(*frame, self.job.picture(values));
                }
            }
            for (index, values) in pictures.iter().zip(drawn.finals.chunks(one)) {
                animation.add_finished(*index, || self.job.picture(values));
            }
        }
        if let Some(shown) = &mut self.preview {
            let room = MOST_SHOWN.saturating_sub(shown.len());
            shown.extend(drawn.finals.chunks(one).take(room).map(|values| self.job.picture(values)));
        }
        self.finished += pictures.len();
        Ok(())
    }

    /// What an end between two batches would mean: a folder has every finished picture already.
    pub(super) fn parting(&self) -> Parting {
        let out = match &self.place {
            Place::Folder(_, path) => Some(path.clone()),
            Place::Part(_, part) => Some(part.work().to_owned()),
            Place::File(_) | Place::Nowhere => None,
        };
        let is_folder = out.is_some();
        let in_memory = !is_folder || self.animation.is_some() || self.preview.is_some();
        if in_memory && self.finished > self.found {
            return Parting::saves(format!(
                "the step under way is finished, then what there is so far is kept, {}",
                units::pictures(self.finished)
            ));
        }
        let (animation, preview, run) = (None, String::new(), Value::Null);
        let (finished, pictures) = (self.finished, self.job.pictures());
        let direction = self.job.direction();
        let advice = advice(&self.args, &self.place, finished, direction);
        Parting::free(Written { out, animation, preview, finished, run, pictures, advice }.how_to_go_on())
    }

    /// Writes what can be written only at the end; `calls` is what the pictures have cost, where no plan tells.
    pub(super) fn finish(mut self, calls: Option<&Value>) -> anyhow::Result<Written> {
        if let Some(calls) = calls {
            self.run = run_record::with_calls(&self.run, calls.clone());
        }
        let run = format!("{:#}\n", self.run);
        let (job, pictures, scales) = (self.job, self.job.pictures(), self.scales);
        // All that there will be: a picture to begin with may be unusable.
        let all = job.drawable(&job.asked.clone().collect::<Vec<_>>());
        let state = job.drawing.shape()?;
        let captions = Captions {
            run: &run,
            shape: if job.direction() == Direction::Encode { state } else { job.shape },
            state,
            rounding: job.drawing.route.rounding(),
            timesteps: &job.drawing.route.times(),
            labels: &job.drawing.labels.in_turn(all.iter().copied()),
            layout: job.layout,
            scale: scales.file,
            direction: job.direction(),
        };
        let advice = advice(&self.args, &self.place, self.finished, captions.direction);
        let out = match self.place {
            Place::Folder(folder, path) => {
                if let Some(calls) = calls {
                    folder.write_calls(calls)?;
                }
                if self.grid == Grid::Wanted && self.finished >= all.len() && !folder.holds_more() {
                    folder.write_grid(&all, job.layout, scales.folder_grid)?;
                }
                Some(path)
            }
            Place::Part(folder, part) if self.finished < all.len() => {
                drop(folder);
                Some(part.work().to_owned())
            }
            Place::Part(folder, part) => {
                if let Some(calls) = calls {
                    folder.write_calls(calls)?;
                }
                Some(part.finish(folder, manifest(&self.args, job, &self.run, &all)?)?)
            }
            Place::File(file) => file.finish(&captions)?.inspect(|path| scales.announce(path, job)),
            Place::Nowhere => None,
        };
        let animation = match self.animation {
            Some(animation) => animation.finish(job.layout, scales.animation, self.finished, &run)?,
            None => None,
        };
        let preview = self.preview.map(|shown| half_blocks(&shown, terminal_width())).unwrap_or_default();
        Ok(Written { out, animation, preview, finished: self.finished, run: self.run, pictures, advice })
    }
}

impl Written {
    /// What to do after an interruption.
    pub(super) fn how_to_go_on(&self) -> String {
        let state = format!("interrupted with {} of {} finished", self.finished, units::pictures(self.pictures));
        match &self.out {
            Some(path) if self.finished > 0 => format!("{state}; they are in {}, {}", path.display(), self.advice),
            _ => format!("{state}; {}", self.advice),
        }
    }
}

/// What to type to complete a run like this after an interruption: what is refused together is not advised.
fn advice(args: &OutputRequest, place: &Place, finished: usize, direction: Direction) -> String {
    let has_folders = direction == Direction::Decode && !args.trajectory;
    let folder = if has_folders { " (--out FOLDER can be resumed)" } else { "" };
    match place {
        Place::Part(_, part) if part.is_shard() => {
            let force = if args.force { ", without --force," } else { "" };
            let others = if finished == 0 { "them" } else { "the others" };
            format!("the same command{force} draws {others}")
        }
        Place::Folder(..) | Place::Part(..) => {
            let force = if args.force { " in place of --force" } else { "" };
            let animate = if args.animate.is_some() { ", without --animate," } else { "" };
            let others = if finished == 0 { "them" } else { "the others" };
            format!("the same command with --resume{force}{animate} draws {others}")
        }
        Place::File(_) if args.out.is_some() && !args.force => {
            format!("the same command with --force draws all again{folder}")
        }
        Place::File(_) | Place::Nowhere => format!("the same command draws all again{folder}"),
    }
}

/// Refuses options that do not fit the destination.
fn check(args: &OutputRequest, destination: &Destination, job: &Job<'_>) -> anyhow::Result<()> {
    if let Some(out) = args.out.as_deref().filter(|out| args.animate.as_deref() == Some(*out)) {
        misused!("--out and --animate both name {}; give the moving picture another name", out.display());
    }
    if args.trajectory && !matches!(destination, Destination::File(_, FileKind::Tensors)) {
        misused!("--trajectory needs --out FILE.safetensors, the only file that holds every state");
    }
    if job.drawing.route.plan().is_none() && (args.trajectory || args.animate.is_some()) {
        misused!(
            "--trajectory and --animate need steps that all pictures share; leave them out with --solver adaptive"
        );
    }
    if args.animate_what.is_some() && job.series != Series::Apart {
        misused!("--animate-what: here --animate shows the finished pictures, one after another; leave it out");
    }
    if args.resume && !matches!(destination, Destination::Folder(_)) {
        misused!("--resume needs --out FOLDER; a single file is written at the end and cannot be resumed");
    }
    if job.shard.is_some() && !matches!(destination, Destination::Folder(_) | Destination::File(_, FileKind::Npz))
    {
        misused!(
            "--shard: --out {} is written by one process: name a folder or an .npz, which `ddim merge` writes \
             from the pictures of all shards, or draw some pictures with --pictures",
            args.out.as_deref().unwrap_or(Path::new("")).display()
        );
    }
    if let (Some(shard), Err(_)) = (job.shard, output::check_channels(job.shape[0])) {
        let (channels, Range { start, end }) = (job.shape[0], job.asked.clone());
        misused!(
            "--shard {shard}: the model draws {channels} channels, which no PNG holds, and a part consists of PNGs: \
             draw the same pictures with --pictures {start}..{end} --out FILE.npz"
        );
    }
    if destination.needs_picture_channels() || args.animate.is_some() || args.show {
        output::check_channels(job.shape[0])?;
    }
    scales::check(args, destination, job)
}

/// What the frames of an animation are.
pub(super) fn frames(args: &OutputRequest, job: &Job<'_>) -> Frames {
    match job.series {
        Series::Apart => Frames::Steps(args.animate_what.unwrap_or_default(), job.drawing.route.times().len()),
        Series::Walk { side } => Frames::Walk { pictures: job.pictures(), side },
    }
}
