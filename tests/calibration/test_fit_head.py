"""`fit_head` on networks of timm and torchvision with scikit-learn's digits, and what it refuses."""

import copy

import pytest
import timm
import torch
import torchvision
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import ghn_init
from ghn_init import CalibrationError


@pytest.fixture(scope="module")
def digits():
    """Images (n, 3, 32, 32) and labels."""
    data = load_digits()
    images = torch.from_numpy(data.images).float()[:, None].expand(-1, 3, -1, -1) / 8 - 1
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return F.interpolate(images, size=32)[order], torch.from_numpy(data.target).long()[order]


NETWORKS = {
    "a linear layer": lambda: timm.create_model("resnet18", num_classes=10, channels=(16, 32, 64, 128)),
    "layer norm": lambda: timm.create_model(
        "convnext_atto", num_classes=10, patch_size=2, depths=(1, 1, 1, 1), dims=(16, 32, 48, 64)
    ),
    "tokens": lambda: timm.create_model(
        "vit_tiny_patch16_224", num_classes=10, img_size=32, patch_size=8, depth=2, embed_dim=96
    ),
    "a 1x1 convolution": lambda: torchvision.models.squeezenet1_1(num_classes=10),
}


def loader(digits, count, start=0, batch=32):
    return DataLoader(TensorDataset(*(values[start : start + count] for values in digits)), batch_size=batch)


def accuracy(model, digits, start=1000, count=400):
    """With the statistics of the batch, as in training, and dropout off."""
    model.eval()
    for part in model.modules():
        part.training = isinstance(part, nn.BatchNorm2d)
    with torch.no_grad():
        logits = model(digits[0][start : start + count])
    model.eval()
    return (logits.argmax(1) == digits[1][start : start + count]).float().mean().item()


def running(model):
    norms = [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)]
    return {f"{norm}.{name}" for norm in norms for name in ("running_mean", "running_var", "num_batches_tracked")}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fitted_head_knows_digits_and_nothing_else_is_changed(name, digits):
    torch.manual_seed(0)
    model = ghn_init.apply(NETWORKS[name](), head=False).train()
    before = copy.deepcopy(model.state_dict())
    chance = accuracy(copy.deepcopy(model), digits)
    report = ghn_init.fit_head(model, loader(digits, 256), examples=256)
    assert model.training
    after = model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    (weight,) = report.heads
    assert changed - running(model) == {weight, weight.replace("weight", "bias")}
    assert (report.examples, report.batches, report.classes) == (256, 8, 10)
    unseen = accuracy(model, digits)
    assert unseen > chance + 0.3
    # what it says of itself is about what it does with other images
    assert report.accuracy == pytest.approx(unseen, abs=0.12)


def test_it_is_about_as_good_as_logistic_regression_on_the_same_features(digits):
    torch.manual_seed(0)
    model = ghn_init.apply(NETWORKS["layer norm"](), head=False).eval()
    ghn_init.fit_head(model, loader(digits, 128))
    with torch.no_grad():
        features = model.forward_head(model.forward_features(digits[0]), pre_logits=True).numpy()
    labels = digits[1].numpy()
    scale = features[:128].std(0) + 1e-6
    reference = LogisticRegression(max_iter=1000).fit(features[:128] / scale, labels[:128])
    assert accuracy(model, digits) > reference.score(features[1000:1400] / scale, labels[1000:1400]) - 0.05


def test_batch_norms_get_the_statistics_of_the_same_examples(digits):
    torch.manual_seed(0)
    model = ghn_init.apply(NETWORKS["a linear layer"](), head=False)
    left_alone, reference = copy.deepcopy(model), copy.deepcopy(model)
    report = ghn_init.fit_head(model, loader(digits, 256), examples=256)
    ghn_init.reestimate_batch_norm(reference, loader(digits, 256))
    for name in running(model):
        assert torch.equal(model.state_dict()[name], reference.state_dict()[name])
    assert {norm.momentum for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)} == {0.1}
    with torch.no_grad():  # so that it can be used as it is
        right = model.eval()(digits[0][1000:]).argmax(1) == digits[1][1000:]
    assert right.float().mean().item() == pytest.approx(report.accuracy, abs=0.12)
    before = copy.deepcopy(left_alone.state_dict())
    ghn_init.fit_head(left_alone, loader(digits, 256), examples=256, batch_norm=False)
    assert all(torch.equal(left_alone.state_dict()[name], before[name]) for name in running(model))
    assert torch.equal(left_alone.fc.weight, model.fc.weight)


def test_no_more_batches_are_taken_than_needed(digits):
    model = ghn_init.apply(NETWORKS["tokens"](), head=False)
    batches = iter(loader(digits, 320))
    assert ghn_init.fit_head(model, batches).examples == 128  # ten for each class, in batches of 32
    assert len(list(batches)) == 6
    assert ghn_init.fit_head(model, loader(digits, 64), examples=1000).batches == 2


def test_the_same_call_gives_the_same_bits_whatever_the_mode_and_random_state(digits):
    model = timm.create_model("resnet10t", num_classes=10, drop_rate=0.5, drop_path_rate=0.5)
    heads = []
    for seed, mode in ((1, True), (2, False)):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        ghn_init.fit_head(model.train(mode), loader(digits, 64))
        assert torch.equal(torch.get_rng_state(), state)
        heads.append(model.fc.weight.detach().clone())
    assert torch.equal(*heads)


class Dictionary(nn.Module):
    """As the models of transformers are called."""

    def __init__(self, bias=True):
        super().__init__()
        self.body = nn.Linear(6, 8)
        self.classifier = nn.Linear(8, 3, bias=bias)

    def forward(self, inputs, labels=None):
        return {"logits": self.classifier(torch.relu(self.body(inputs)))}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dicts_heads_without_a_bias_and_other_dtypes(bias, dtype):
    torch.manual_seed(0)
    model = Dictionary(bias).to(dtype)
    weight = model.classifier.weight.requires_grad_(False)
    x = torch.randn(90, 6)
    labels = x[:, :3].argmax(1)
    report = ghn_init.fit_head(model, [{"inputs": x, "labels": labels}], example_inputs=torch.zeros(1, 6))
    assert report.accuracy > 0.6
    assert model.classifier.weight is weight
    assert (weight.dtype, weight.requires_grad) == (dtype, False)
    logits = model(x.to(dtype))["logits"].float()
    assert F.cross_entropy(logits, labels) < report.loss + 0.05


class Segmenting(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 10, 1)

    def forward(self, x):
        return self.head(torch.relu(self.body(x)))


IMAGES, LABELS = torch.randn(8, 3, 32, 32), torch.arange(8)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "the loader has 0"),
        ([(IMAGES[:1], LABELS[:1])], "the loader has 1"),
        ([(IMAGES, LABELS + 3)], "labels from 3 to 10 do not fit a head of 10 classes"),
        ([(IMAGES, LABELS - 1)], "labels from -1"),
        ([(IMAGES, LABELS.float())], r"labels of shape \(8,\) and torch.float32"),
        ([(IMAGES, F.one_hot(LABELS))], r"labels of shape \(8, 8\)"),
        ([IMAGES], "a Tensor without labels"),
        ((IMAGES, LABELS), "a Tensor without labels"),
        ([(IMAGES, LABELS[:-1])], "gets 8 examples in a batch that has 7 labels"),
        ([(IMAGES,)], "a tuple without labels"),
        ([{"x": IMAGES, "target": LABELS}], "a dict without labels"),
        ([(IMAGES, LABELS.tolist())], "labels of type list"),
        ([(IMAGES * float("nan"), LABELS)], "features before head.fc are not finite"),
    ],
)
def test_what_cannot_be_fitted_to_is_refused_and_nothing_changes(batches, message):
    model = NETWORKS["layer norm"]().train()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(CalibrationError, match=message):
        ghn_init.fit_head(model, batches)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training
    assert not model.head.fc._forward_pre_hooks


def test_networks_without_a_head_for_whole_images_are_refused():
    with pytest.raises(CalibrationError, match="has no classifier head"):
        ghn_init.fit_head(timm.create_model("resnet10t", num_classes=0), [(IMAGES, LABELS)])
    with pytest.raises(CalibrationError, match=r"no single vector of logits|no classifier head"):
        ghn_init.fit_head(Segmenting(), [(IMAGES, LABELS)])
    with torch.device("meta"):
        weightless = timm.create_model("resnet10t", num_classes=10)
    with pytest.raises(CalibrationError, match="meta device"):
        ghn_init.fit_head(weightless, [(IMAGES, LABELS)])
    with pytest.raises(CalibrationError, match="examples=1"):
        ghn_init.fit_head(Segmenting(), [(IMAGES, LABELS)], examples=1)
