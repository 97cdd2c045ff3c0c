"""Which index has the torch wheel that fits."""

from __future__ import annotations

INDEX = "https://download.pytorch.org/whl"


def index_option(torch: str) -> str:
    """The option of pip that finds packages of the same build as this version of torch, with a space before it; empty
    where the build is that of the package index."""
    _, plus, build = torch.partition("+")
    return f" --index-url {INDEX}/{build}" if plus else ""


def cuda_index(driver_cuda: str) -> str:
    """The index of CUDA wheels that a driver of this CUDA version can run. CUDA's minor versions are compatible within
    a major one (docs.nvidia.com/deploy/cuda-compatibility), so the oldest build of each is named."""
    major = driver_cuda.partition(".")[0]
    return f"{INDEX}/{'cu126' if major == '12' else 'cu130'}"
