"""Pictures of the embedded model: drawn, watched, changed, encoded and walked between."""

import numpy as np

import ddim

model = ddim.Model.embedded()
print(model, model.classes)

pictures = model.sample(16, steps=20, seed=7, solver="unipc", progress=lambda step: print(step.index + 1, end=" "))
pictures.save("pictures.png")
assert np.asarray(pictures).shape == (16, 28, 28, 1)

# Picture 12 is picture 12, whatever else is drawn with it.
assert model.sample(1, steps=20, seed=7, solver="unipc", first=12) == pictures[12]

# A run as an iterator: each step has the state and the picture that it predicts.
for step in model.stream(4, steps=10, classes=["sneaker", "bag"]):
    contrast = np.asarray(step.x0).std()
print(f"\nthe last prediction has a contrast of {contrast:.2f}")

# Half of a picture repainted, another one changed a little.
mask = np.zeros((28, 28), np.float32)
mask[14:] = 1
coat = model.sample(1, steps=20, classes="coat")
model.sample(4, steps=20, init=coat, mask=mask, inpaint="repaint", classes="coat").save("repainted.png")
model.sample(4, steps=20, init=coat, strength=0.5, classes="coat").save("changed.png")

# To noise and back, and from one picture to another.
again, errors = model.reconstruct(coat, steps=50, classes="coat")
print(f"there and back: mean squared error {np.asarray(errors)[0]:.4f}")
model.interpolate([coat, 3], count=7, steps=20, classes="coat").save("walk.png")
