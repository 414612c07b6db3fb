/** Options, named as on the command line; `docs/c.md` has each with its range. */
export interface Options {
  /** How many pictures, 1 if not said. */
  num?: number;
  /** Picture k depends on the seed and on k alone. */
  seed?: number;
  /** Steps a picture, 20 if not said. */
  steps?: number;
  /** A name of `solvers()`, with its options as in "dpm++:order=3"; "ddim" if not said. */
  solver?: string;
  /** The noise that a step of DDIM adds: 0 none, 1 that of DDPM, "hat" more. */
  eta?: number | "hat";
  spacing?: string;
  timesteps?: number[];
  convention?: "exact" | "diffusers" | "openai" | (string & {});
  /** Names or numbers, used in turn; all classes if not said. */
  class?: string | number | (string | number)[];
  /** For models that take numbers, or rows of them, in place of classes. */
  label?: number | number[] | number[][];
  /** Classifier-free guidance; 1 is none. */
  guidance?: number;
  /** Noise levels between which guidance acts; null is no end. */
  guidance_interval?: [number, number | null];
  guidance_rescale?: number;
  /** Only the first so many channels are guided. */
  guided_channels?: number;
  corrector_steps?: number;
  corrector_snr?: number;
  /** A part of the network whose output is kept, and how often all of it runs: "up_blocks.1:3". */
  reuse?: string;
  /** Pictures drawn at once. */
  batch_size?: number;
}

/** Pictures in 8 bits: `pixels` is [num, height, width, channels], row by row from the top. */
export interface Pictures {
  num: number;
  channels: number;
  height: number;
  width: number;
  pixels: Uint8Array;
}

/** What a model is. */
export interface About {
  readonly name: string;
  /** Channels, height and width of its pictures; null where the model does not say. */
  readonly picture: [number, number, number] | null;
  /** The same of what its network draws: pictures or latents. */
  readonly shape: [number, number, number] | null;
  readonly classes: string[];
  readonly null_class: number | null;
  readonly train_steps: number;
  readonly convention: string;
  readonly warnings: string[];
}

/** The files of a model folder. */
export interface Files {
  /** unet/config.json */
  unetConfig: string;
  /** scheduler/scheduler_config.json */
  schedulerConfig: string;
  /** ddim.json, where there is one. */
  card?: string | null;
  /** unet/diffusion_pytorch_model.safetensors */
  weights: ArrayBuffer | Uint8Array;
}

/** A call that failed; the message says which option, and what it can be. */
export class DdimError extends Error {}

export class Model {
  private constructor();
  readonly about: About;
  /** The model that is part of the library: Fashion-MNIST, ten classes, 28x28. */
  static embedded(name?: string | null): Promise<Model>;
  static load(files: Files): Promise<Model>;
  /** Draws all at once. The thread waits: on a page, do it in a worker. */
  sample(options?: Options): Pictures;
  /** Pictures `first` to `first + count - 1`, to be stepped by hand; `num` of them if no count is said. */
  run(options?: Options, pictures?: { first?: number; count?: number }): Run;
  /** The same as an iterator, which shows the run after each step and frees it in the end. */
  steps(options?: Options, pictures?: { first?: number; count?: number }): AsyncGenerator<Run, void>;
  free(): void;
}

export class Run {
  private constructor();
  readonly count: number;
  /** Steps that were taken. */
  readonly taken: number;
  /** How many steps there are; corrections are calls besides. */
  readonly calls: number;
  /** The whole plan, as `ddim schedule --json` prints it: numbers call by call. */
  readonly plan: { time: number[] } & Record<string, unknown>;
  /** Takes a step; whether more are to come. */
  step(): boolean;
  /** The noisy pictures; after the last step what was drawn. */
  readonly state: Pictures;
  /** The clean pictures as the last step predicts them. */
  readonly prediction: Pictures;
  /** The numbers, [count, channels, height, width], neither clipped nor rounded. */
  values(what?: "state" | "prediction"): Float32Array;
  free(): void;
}

/** The names that `solver` can have, each with one sentence. */
export function solvers(): Promise<Record<string, string>>;

/** The command that draws the same pictures with the program `ddim`. */
export function command(options: Options, about?: { model?: string }): string;
