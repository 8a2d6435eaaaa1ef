# %% [markdown]
# # Rank networks without training them
#
# A GHN predicts the weights of many networks in seconds. Their accuracies without any training rank them. Here
# random architectures are ranked so, on scikit-learn's digits, which need no download; then they are trained for a
# moment, to see what the ranking was worth. Enlarge the settings for a result that you can rely on.

# %% tags=["parameters"]
NETWORKS = 6  # random architectures
MOST_PARAMETERS = 200_000
IMAGES = 400  # to rank on
STEPS = 30  # of training each, to compare with
IMAGE_SIZE = 16
LEARNING_RATE = 0.003

# %%
import torch
from scipy.stats import kendalltau
from torch.nn import functional

import ghn_init
from ghn_init.explain import explain
from ghn_init.images import load_images, normalise
from ghn_init.ranking import rank, search

# %% [markdown]
# ## Search
#
# `search` draws architectures from the `search` split of DeepNets until enough are within the budget, and ranks them
# by their accuracy with predicted weights. Chance is 10 %; the intervals are for the number of images.

# %%
options = {"data_split": "train", "images": IMAGES, "image_size": IMAGE_SIZE}
found = search(NETWORKS, "digits", keep=NETWORKS, max_parameters=MOST_PARAMETERS, **options)
found

# %%
above = [row for row in found.ranked if row.low > 1 / found.num_classes]
print(f"{len(above)} of {len(found.ranked)} networks are better than chance, by their whole intervals")

# %% [markdown]
# The GHN of the package was trained on CIFAR-10, and predicts heads for CIFAR-10's classes. Where its networks are no
# better than chance on other data, their order says nothing: take a GHN that was trained on your data (`ghn-init
# train`), or rank by something that needs none. `params` counts parameters, and the other proxies look at each
# network's own random weights:

# %%
subjects = [found.subjects[row.name] for row in found.ranked]
rankings = {"ghn": found}
for proxy in ("params", "naswot", "synflow"):
    rankings[proxy] = rank(subjects, "digits", by=proxy, **options)
rankings["naswot"]

# %% [markdown]
# ## What the rankings are worth
#
# Every network is trained from its own random weights, for as many steps as the settings say, and measured on test
# images.

# %%
training, test = load_images("digits", "train"), load_images("digits", "test")


def trained_accuracy(subject):
    """Accuracy on test images after training from the network's own random weights."""
    torch.manual_seed(0)
    model = subject.build(training.num_classes, IMAGE_SIZE).train()
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE)
    generator = torch.Generator().manual_seed(0)

    def logits(images, indices):
        pixels, labels = images.take(indices)
        return model(normalise(pixels, IMAGE_SIZE, training.mean, training.std)), labels

    for _ in range(STEPS):
        outputs, labels = logits(training, torch.randint(len(training), (32,), generator=generator))
        optimiser.zero_grad()
        functional.cross_entropy(outputs, labels).backward()
        optimiser.step()
    with torch.no_grad():
        outputs, labels = logits(test, torch.arange(len(test)))
    return (outputs.argmax(1) == labels).float().mean().item()


trained = {subject.name: trained_accuracy(subject) for subject in subjects}
for name, accuracy in sorted(trained.items(), key=lambda item: -item[1]):
    print(f"{name}: {accuracy:.1%} after {STEPS} steps")

# %%
for by, ranking in rankings.items():
    scores = [(row.score, trained[row.name]) for row in ranking.ranked]
    tau = kendalltau(*zip(*scores, strict=True))
    print(f"{by} and training, {len(scores)} networks: Kendall's tau {tau.statistic:+.2f} (p = {tau.pvalue:.2f})")

# %% [markdown]
# A tau of 1 is the same order, -1 the reverse, 0 none; a large p says that chance alone gives as much. With as few
# networks as here hardly any p is small. [benchmarks/ranking.md](../benchmarks/ranking.md) has the same for a pool
# of networks on CIFAR-10.
#
# ## What it rests on
#
# How familiar is the first network to the GHN?

# %%
explain(found.modules(1)[0], example_inputs=torch.zeros(2, 3, IMAGE_SIZE, IMAGE_SIZE))

# %% [markdown]
# `ghn_init.embed` gives the vector by which the GHN knows a network. The cosines between these
# networks' embeddings, in the ranking's order:

# %%
embeddings = ghn_init.embed(found.modules(), example_inputs=torch.zeros(2, 3, IMAGE_SIZE, IMAGE_SIZE))
likeness = functional.cosine_similarity(embeddings[:, None], embeddings[None], dim=-1)
for row, values in zip(found.ranked, likeness.tolist(), strict=True):
    print(f"{row.name:12}", " ".join(f"{value:.2f}" for value in values))

# %% [markdown]
# `found.save("folder")` writes the networks with their predicted weights, and `ghn_init.ranking.load_kept` reads
# them. The same on the command line: `ghn-init search --help`, `ghn-init rank --help`.
