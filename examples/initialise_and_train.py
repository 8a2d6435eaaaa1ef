# %% [markdown]
# # Initialise and train
#
# A small ResNet of timm starts from the weights that a Graph HyperNetwork (GHN) predicts, without and with a head that
# is fitted to a hundred digits, and once more from its own random weights. All are trained alike on scikit-learn's
# handwritten digits, which need no download. Enlarge the settings for a result that you can rely on.

# %% tags=["parameters"]
STEPS = 60  # of SGD, from each start
SEEDS = 2  # trainings from each start
BATCH = 32
LEARNING_RATE = 0.03  # the largest of a one-cycle schedule
IMAGE_SIZE = 32  # pixels a side; the images have 8

# %%
import matplotlib.pyplot as plt
import timm
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

import ghn_init

TRAINING_IMAGES = 1200  # the other 597 are for tests, and mostly by other writers


def network(seed):
    """ResNet-18 with a quarter of its channels, from its own random weights."""
    torch.manual_seed(seed)
    return timm.create_model("resnet18", num_classes=10, channels=(16, 32, 64, 128))


# %% [markdown]
# ## What is predicted
#
# `predict` writes nothing yet. The report says what it covers. The GHN that comes with the package was trained on
# CIFAR-10; its prediction for a head of 10 classes is one for CIFAR-10's, and `head=False` leaves the head alone.

# %%
prediction = ghn_init.predict(network(0), head=False)
prediction.report

# %% [markdown]
# This graph is all that the GHN knows about the network: it has seen neither its weights nor any digit.

# %%
prediction.graph

# %%
from ghn_init.drawing import draw

draw(prediction.graph, title="ResNet-18, a quarter of the channels")

# %% [markdown]
# ## Train from each

# %%
digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32)[:, None]
images = functional.interpolate(images, (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear").expand(-1, 3, -1, -1)
images = (images - images.mean()) / images.std()
labels = torch.tensor(digits.target)


def accuracy(model):
    """Share of test images that are classified correctly, with the batch's own statistics in batch norm."""
    model.train()
    with torch.no_grad():
        right = model(images[TRAINING_IMAGES:]).argmax(1) == labels[TRAINING_IMAGES:]
    return right.float().mean().item()


def train(model, seed):
    """The loss of each step, and the accuracies before and after."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(model.parameters(), LEARNING_RATE, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=STEPS)
    losses, before = [], accuracy(model)
    for _ in range(STEPS):
        batch = torch.randint(TRAINING_IMAGES, (BATCH,), generator=generator)
        loss = functional.cross_entropy(model(images[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    return losses, before, accuracy(model)


def predicted(seed):
    """The network with predicted weights, but for its head."""
    return ghn_init.apply(network(seed), head=False, seed=seed)


def fitted(seed):
    """The same, and the head solved for on a hundred digits."""
    model = predicted(seed)
    print(ghn_init.fit_head(model, [(images[:100], labels[:100])]))
    return model


starts = {"own weights": network, "GHN": predicted, "GHN, head fitted": fitted}
results = {start: [train(make(seed), seed) for seed in range(SEEDS)] for start, make in starts.items()}

# %%
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained", dpi=72)
for start, runs in results.items():
    losses = torch.tensor([losses for losses, *_ in runs]).mean(0)
    axes.plot(range(1, STEPS + 1), losses, label=start)
axes.set(xlabel="step", ylabel="training loss", ylim=(0, None), title=f"mean of {SEEDS} trainings")
axes.legend()
plt.show()

# %%
for start, runs in results.items():
    for seed, (losses, before, after) in enumerate(runs):
        first = sum(losses[: len(losses) // 3]) / max(1, len(losses) // 3)
        print(
            f"{start}, seed {seed}: test accuracy {before:.1%} before and {after:.1%} after {STEPS} steps; "
            f"mean loss of the first third {first:.2f}"
        )
means = {start: sum(after for *_, after in runs) / SEEDS for start, runs in results.items()}
for start in ("GHN", "GHN, head fitted"):
    difference = 100 * (means[start] - means["own weights"])
    print(f"mean difference after training, {start} minus own weights: {difference:+.1f} points")

# %% [markdown]
# All starts had one learning rate, and a handful of trainings decide little: a start that suits another rate is at
# a disadvantage here. `compare.ipynb` gives each start a learning rate of its own and states confidence intervals,
# and [benchmarks/comparison.md](../benchmarks/comparison.md) has such results for CIFAR-10, which this GHN was
# trained on, and for data that it never saw.
