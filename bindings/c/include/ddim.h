/* ddim: diffusion sampling, for C and C++.
 *
 * A model is loaded once and shared by any number of threads; a run belongs to one thread at a time. Options are JSON
 * with the names that the command line has: {"num": 4, "seed": 7, "steps": 20, "class": "coat"}; docs/c.md
 * has them all. Picture k of a seed is the same in any batch, on any number of threads.
 *
 * Options may be NULL, which is all defaults. A pointer points at what is said here, as long as a call takes; text ends
 * with a zero and is UTF-8. Only where it is said may a pointer be NULL; everywhere else NULL is an error, and no crash.
 * What can fail gives NULL or a negative number, and ddim_last_error() says why. Nothing here prints, exits or throws. What the library made, the library
 * frees: text belongs to what it was asked of. */

#ifndef DDIM_H
#define DDIM_H

#include <stddef.h>
#include <stdint.h>

/*
 The noisy state of a run; after the last step what was drawn.
 */
#define DDIM_STATE 0

/*
 The clean pictures as the last step of a run predicts them.
 */
#define DDIM_PREDICTION 1

/*
 A model, ready to draw. Any number of threads may use it at once.
 */
typedef struct ddim_model ddim_model;

/*
 Some pictures under way. One thread at a time may use it.
 */
typedef struct ddim_run ddim_run;

/*
 Is told how many steps of all are done, those of several batches one after another; anything but 0 stops. It is
 called on the thread that draws, and must come back: no `longjmp`, no exception.
 */
typedef int (*ddim_progress)(void *user, size_t done, size_t all);

/*
 The network call that a run wants next.
 */
typedef struct ddim_call {
  /*
   The step that it is for, counted from 0.
   */
  size_t step;
  /*
   How many steps there are.
   */
  size_t steps;
  /*
   The time that the network is told.
   */
  double time;
  /*
   The shape of its input: pictures, channels, height, width.
   */
  size_t shape[4];
} ddim_call;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of the library, as in "0.1.0".
 */
const char *ddim_version(void);

/*
 Why the most recent failed call on this thread failed; "" before any has. The text is good until the next one
 fails.
 */
const char *ddim_last_error(void);

/*
 JSON: an object of the names that "solver" can have, each with one sentence.
 */
const char *ddim_solvers(void);

/*
 Fills `values` with standard normal numbers: the noise that picture `picture` of seed `seed` starts with, as it
 is for that picture everywhere. 0, or -1.
 */
int ddim_normals(uint64_t seed,
                 uint64_t picture,
                 float *values,
                 size_t count);

/*
 A model that is part of the library: `name`, or NULL for the first. `device` is "cpu" (so is NULL), "auto", or
 a GPU as in "vulkan:0". NULL if there is no such model or device.
 */
struct ddim_model *ddim_model_embedded(const char *name,
                                       const char *device);

/*
 The model that `path` means: a folder in the layout of diffusers, a part of it, its weight file, or the folder
 of the run that made it. `device` as above. NULL if it cannot be read.
 */
struct ddim_model *ddim_model_load(const char *path,
                                   const char *device);

/*
 A model whose files lie in memory: the texts of unet/config.json, scheduler/scheduler_config.json and ddim.json
 (NULL where there is none), and the `len` bytes of unet/diffusion_pytorch_model.safetensors. They are copied.
 `device` as above. NULL if they are not a model.
 */
struct ddim_model *ddim_model_of_files(const char *unet_config,
                                       const char *scheduler_config,
                                       const char *card,
                                       const uint8_t *weights,
                                       size_t len,
                                       const char *device);

/*
 JSON about a model: "name", "picture" (channels, height, width of its pictures; null where the model does not
 say), "shape" (the same of what its network draws: pictures or latents), "classes", "null_class",
 "train_steps", "convention", "warnings". The text lives as long as the model. NULL for NULL.
 */
const char *ddim_model_about(const struct ddim_model *model);

/*
 Frees a model. Runs of it go on. NULL is ignored.
 */
void ddim_model_free(struct ddim_model *model);

/*
 Draws the pictures that `options` ask for into `pixels`: 8 bits each, [num, height, width, channels], row by
 row from the top; `len` is exactly that many. `progress` may be NULL. 0; 1 if it was stopped, and -1 if it
 failed, `pixels` being as they were.
 */
int ddim_sample(const struct ddim_model *model,
                const char *options,
                ddim_progress progress,
                void *user,
                uint8_t *pixels,
                size_t len);

/*
 Pictures `first` to `first + count - 1` of the run that `options` mean, at their start. They are those pictures
 in every run of this seed, whatever "num" is. NULL if that cannot be had.
 */
struct ddim_run *ddim_run_new(const struct ddim_model *model,
                              const char *options,
                              size_t first,
                              size_t count);

/*
 The same for a network of your own, which was trained as `scheduler_config` says (a scheduler_config.json; its
 class is the method unless the options say otherwise) and draws pictures of `channels` by `height` by `width`.
 It is asked by ddim_run_wants and answered by ddim_run_feed.
 */
struct ddim_run *ddim_run_of_network(const char *scheduler_config,
                                     const char *options,
                                     size_t first,
                                     size_t count,
                                     size_t channels,
                                     size_t height,
                                     size_t width);

/*
 Which network call is next: 1 and `call`, 0 behind the last, -1 for NULL. Asking changes nothing.
 */
int ddim_run_wants(const struct ddim_run *run, struct ddim_call *call);

/*
 What the network is given for that call: the state, scaled as it wants it, of the shape that the call has. 0,
 or -1.
 */
int ddim_run_input(const struct ddim_run *run,
                   float *values,
                   size_t len);

/*
 Takes your network's output for that call, and the step if it was the step's last: `len` numbers of the input's
 shape, or with twice the channels where a variance is learned. 1 while more calls are wanted, 0 behind the
 last, -1 if it failed.
 */
int ddim_run_feed(struct ddim_run *run,
                  const float *output,
                  size_t len);

/*
 Takes a step with the run's own model. 1 while more are to come, 0 behind the last, -1 if it failed.
 */
int ddim_run_step(struct ddim_run *run);

/*
 The numbers of a run, [count, channels, height, width], neither clipped nor rounded. 0, or -1.
 */
int ddim_run_values(const struct ddim_run *run, int what, float *values, size_t len);

/*
 The pictures of a run in 8 bits, [count, height, width, channels], row by row from the top; latents are
 decoded, which takes a while. 0, or -1.
 */
int ddim_run_pixels(const struct ddim_run *run,
                    int what,
                    uint8_t *pixels,
                    size_t len);

/*
 JSON: the whole plan of a run, as `ddim schedule --json` prints it. The text lives as long as the run. NULL for
 NULL.
 */
const char *ddim_run_plan(const struct ddim_run *run);

/*
 Frees a run, wherever it is. NULL is ignored.
 */
void ddim_run_free(struct ddim_run *run);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DDIM_H */
