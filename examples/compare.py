# %% [markdown]
# # Which start is best?
#
# `ghn_init.comparison.compare` trains a network from several starts and says which is best after so many steps. All
# starts get the same images in the same order; each gets a learning rate of its own, chosen on held-out training
# images. The data are scikit-learn's digits, which need no download. Enlarge the settings for a result that you can
# rely on.

# %% tags=["parameters"]
STRATEGIES = ("default", "ghn,head=False", "ghn")  # "all" for all that need no argument
BUDGETS = (5, 20)  # steps of training
SEEDS = 3
LEARNING_RATES = (0.001, 0.003)  # to begin with; a sweep whose best rate is at its edge goes on
EXTENSIONS = 1  # how often
TEST_IMAGES = 300
IMAGE_SIZE = 32

# %%
import timm

from ghn_init.comparison import CompareConfig, compare


def network():
    """ResNet-18 with a quarter of its channels, from its own random weights."""
    return timm.create_model("resnet18", num_classes=10, channels=(16, 32, 64, 128))


config = CompareConfig(
    strategies=STRATEGIES,
    budgets=BUDGETS,
    seeds=SEEDS,
    lrs=LEARNING_RATES,
    extensions=EXTENSIONS,
    batch_size=32,
    held_out=200,
    limit_test=TEST_IMAGES,
    image_size=IMAGE_SIZE,
)
result = compare({"resnet18, width 1/4": network}, "digits", config)

# %% [markdown]
# `ghn` predicts all weights, the head among them. The GHN of the package was trained on CIFAR-10, so that this head
# is one for CIFAR-10's classes; `ghn,head=False` leaves the head at its random weights.

# %%
result

# %% [markdown]
# A difference counts where its whole interval is on one side of zero. This is what the tables say:

# %%
for (model, strategy, steps), cell in result.analysis.cells.items():
    difference = cell.difference
    if strategy != config.reference and difference.n:
        verdict = (
            "ahead" if difference.low > 0 else "behind" if difference.high < 0 else "no difference that is certain"
        )
        print(f"{model}, {steps} steps, {strategy}: {100 * difference.value:+.1f} points, {verdict}")

# %% [markdown]
# `result.write("folder")` writes CSV, JSON, plots and one HTML page to send to a colleague; `compare(...,
# out="folder")` keeps every training, so that a comparison that was stopped goes on. The same on the command line:
# `ghn-init compare resnet18 --out folder`.
