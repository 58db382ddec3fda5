"""The weights of a CAM++ of a few numbers: the same layers as the real one's, called as in its checkpoint."""

import numpy as np

from pipeline.weights.conversion.campplus import FILTERS

SIZE = 6


def weights(layers: int = 2, head: int = 2) -> dict[str, np.ndarray]:
    """Of a network of a few numbers with the same layers, as they are called in the real one's checkpoint."""
    chance = np.random.default_rng(1)
    made: dict[str, np.ndarray] = {}

    def conv(name: str, *shape: int, bias: bool = False) -> None:
        made[f"{name}.weight"] = chance.normal(0, 0.3, shape).astype(np.float32)
        if bias:
            made[f"{name}.bias"] = chance.normal(0, 0.3, shape[0]).astype(np.float32)

    def norm(name: str, size: int, *, affine: bool = True) -> None:
        made[f"{name}.running_mean"] = chance.normal(0, 0.1, size).astype(np.float32)
        made[f"{name}.running_var"] = chance.uniform(0.5, 1.5, size).astype(np.float32)
        if affine:
            made[f"{name}.weight"] = chance.uniform(0.5, 1.5, size).astype(np.float32)
            made[f"{name}.bias"] = chance.normal(0, 0.1, size).astype(np.float32)

    conv("head.conv1", head, 1, 3, 3)
    norm("head.bn1", head)
    for layer in ("head.layer1", "head.layer2"):
        for block in (0, 1):
            for number in (1, 2):
                conv(f"{layer}.{block}.conv{number}", head, head, 3, 3)
                norm(f"{layer}.{block}.bn{number}", head)
        conv(f"{layer}.0.shortcut.0", head, head, 1, 1)
        norm(f"{layer}.0.shortcut.1", head)
    conv("head.conv2", head, head, 3, 3)
    norm("head.bn2", head)
    wide, growth, inner = 8, 2, 4
    conv("xvector.tdnn.linear", wide, head * FILTERS // 8, 5)
    norm("xvector.tdnn.nonlinear.batchnorm", wide)
    for number in (1, 2, 3):
        for layer in range(1, layers + 1):
            name = f"xvector.block{number}.tdnnd{layer}"
            norm(f"{name}.nonlinear1.batchnorm", wide)
            conv(f"{name}.linear1", inner, wide, 1)
            norm(f"{name}.nonlinear2.batchnorm", inner)
            conv(f"{name}.cam_layer.linear_local", growth, inner, 3)
            conv(f"{name}.cam_layer.linear1", inner // 2, inner, 1, bias=True)
            conv(f"{name}.cam_layer.linear2", growth, inner // 2, 1, bias=True)
            wide += growth
        norm(f"xvector.transit{number}.nonlinear.batchnorm", wide)
        conv(f"xvector.transit{number}.linear", wide // 2, wide, 1)
        wide //= 2
    norm("xvector.out_nonlinear.batchnorm", wide)
    conv("xvector.dense.linear", SIZE, 2 * wide, 1)
    norm("xvector.dense.nonlinear.batchnorm", SIZE, affine=False)
    return made
