"""A diffusers pipeline with a scheduler of ddim: any solver, and noise that belongs to a picture."""

import diffusers
import torch

import ddim
from ddim.diffusers import PlanScheduler

# Any pipeline does; this one is small and not trained.
torch.manual_seed(0)
unet = diffusers.UNet2DModel(
    sample_size=8,
    block_out_channels=(8, 8),
    norm_num_groups=4,
    layers_per_block=1,
    down_block_types=("DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D"),
)
pipe = diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler())

pipe.scheduler = PlanScheduler.from_config(pipe.scheduler.config, solver="unipc", spacing="karras")
print(pipe(batch_size=2, num_inference_steps=8, output_type="np").images.shape)

# By hand: picture 1 is the same alone and among others, noise of every step included.
scheduler = PlanScheduler.from_config(pipe.scheduler.config, solver="ddpm", spacing=None)


@torch.no_grad()
def drawn(pictures):
    scheduler.set_timesteps(8)
    scheduler.noise = ddim.Noise(seed=7, pictures=pictures)
    x = scheduler.latents((3, 8, 8)) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x = scheduler.step(unet(scheduler.scale_model_input(x, t), t).sample, t, x).prev_sample
    return x


together, alone = drawn(range(4))[1], drawn([1])[0]
print(f"alone and among others: {(together - alone).abs().max():.1e} apart")
assert (together - alone).abs().max() < 1e-4
