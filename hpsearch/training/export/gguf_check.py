"""Compares GGUF files with the model that they were made of: a program of its own, for a Python that has the gguf
package. Its arguments are the folder of that package (or "" where it is installed), the model's folder and the files;
it prints a JSON list of objects: the fields of ``hpsearch.execution.model_export.GgufFile`` that a file has."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SUFFIXES = (".weight", ".bias")
# Weights of linear attention (Qwen3.5) that have one row, or several, for each head of values; those that have these
# rows after those of queries and keys; and the one that has columns for them.
ONE_A_HEAD = ("in_proj_a", "in_proj_b")
OF_VALUES = (*ONE_A_HEAD, "in_proj_z")
BEHIND_KEYS = ("in_proj_qkv", "conv1d")
OUT = "out_proj"


def compare(folder: Path, path: Path) -> dict[str, Any]:
    """Describe the file, and compare its matrices with the model's: ``apart`` is the greatest norm of a difference as a
    share of the matrix's own."""
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    architecture = str(reader.fields["general.architecture"].contents())
    names = _names(gguf, reader, architecture)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = dict(config.get("text_config") or config)
    compared, apart = 0, 0.0
    for name, weight in _weights(folder):
        tensor = next((tensors[new] for new in _renamed(names, name) if new in tensors), None)
        if tensor is None or weight.ndim < 2:
            continue
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if value.size == weight.numel():
            own = _as_llama_cpp(name, weight.float().numpy(), text).reshape(-1)
            size = float(np.linalg.norm(own)) or 1.0
            compared += 1
            apart = max(apart, float(np.linalg.norm(value.reshape(-1) - own)) / size)
    kinds = sorted({tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) > 1})
    matrices = sum(len(tensor.shape) > 1 for tensor in reader.tensors)
    return {
        "architecture": architecture, "kinds": kinds, "tensors": len(tensors), "matrices": matrices,
        "compared": compared, "apart": apart, "lacking": _lacking(reader, architecture, tensors),
    }  # fmt: skip


def _lacking(reader: Any, architecture: str, names: Iterable[str]) -> int:
    """Count the language model's layers that the file claims and lacks; llama.cpp could not load it."""
    claimed = reader.fields.get(f"{architecture}.block_count")
    layers = {name.split(".")[1] for name in names if name.startswith("blk.")}
    return max(0, int(claimed.contents()) - len(layers)) if claimed is not None else 0


def _as_llama_cpp(name: str, weight: Any, text: dict[str, Any]) -> Any:
    """Put the weight in the converter's order. Where linear attention has more heads of values than of keys,
    transformers has those of a key side by side, and llama.cpp the first of each key, then the second ...: weights into
    and out of these heads are put in that order, and compared exactly. (Comparing what no order changes would pass a
    file whose heads are in the wrong one.)"""
    import numpy as np

    keys, values = text.get("linear_num_key_heads") or 0, text.get("linear_num_value_heads") or 0
    _, separator, rest = name.partition(".linear_attn.")
    if not separator or not keys or keys == values:
        return weight
    kind = rest.split(".")[0]
    width = 1 if kind in ONE_A_HEAD else text["linear_value_head_dim"]
    order = np.arange(values * width).reshape(keys, values // keys, width).swapaxes(0, 1).reshape(-1)
    if kind in OF_VALUES:
        return weight[order]
    if kind == OUT:
        return weight[:, order]
    if kind in BEHIND_KEYS:
        first = 2 * keys * text["linear_key_head_dim"]  # queries and keys
        return np.concatenate((weight[:first], weight[first:][order]))
    return weight


def _names(gguf: Any, reader: Any, architecture: str) -> Any:
    """Return llama.cpp's names for a model's tensors; those of the vision part have an architecture of their own."""
    kinds = {"clip": gguf.MODEL_ARCH.MMPROJ}
    known = kinds | {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name != "clip"}
    blocks = [field.contents() for name, field in reader.fields.items() if name.endswith(".block_count")]
    return gguf.get_tensor_name_map(known[architecture], max(blocks, default=0))


def _renamed(names: Any, name: str) -> Iterator[str]:
    """Yield the names in the file that a weight may have: layouts differ in the prefix of a layer's name."""
    inner = name.removeprefix("model.")
    paddle = name.replace("visual.vision_model.", "model.vision_model.", 1)  # PaddleOCR-VL
    for form in (
        name,
        name.removeprefix("language_model."),
        inner,
        inner.replace("language_model.", "model.", 1),
        paddle,
    ):
        new = names.get_name(form, try_suffixes=SUFFIXES)
        if new is not None:
            yield new


def _weights(folder: Path) -> Iterator[tuple[str, Any]]:
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - it is no mapping
                yield name, file.get_tensor(name)


if __name__ == "__main__":
    if sys.argv[1]:
        sys.path.insert(0, sys.argv[1])
    print(json.dumps([compare(Path(sys.argv[2]), Path(name)) for name in sys.argv[3:]]))
