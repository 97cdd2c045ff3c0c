"""How much memory and disk a study will roughly need. Rough, and said to be."""

from __future__ import annotations

from hpsearch.commands.doctor.patient import Patient

GB = 1e9
# Bytes for each parameter, by how the base is loaded. In 4 bits embeddings, head and vision tower stay in 16: for
# Gemma 3 12B that is 5.6 GB + 2 GB + 0.8 GB over 12.2 billion.
_FOUR_BITS, _SIXTEEN_BITS = 0.7, 2.0
# Parameters of LoRA matrices on all language layers, for each rank and each parameter of the base: 4.3 million for each
# rank of Gemma 3 12B. They are saved in 32 bits.
_LORA_SHARE, _LORA_BYTES = 0.00036, 4


def shown(size: float) -> str:
    """Bytes for people: 12.3 GB, 87 MB."""
    return f"{size / GB:.3g} GB" if size >= GB else f"{size / 1e6:.2g} MB"


def weights_bytes(patient: Patient) -> float:
    """What the base's weights alone take when they are loaded, on a GPU; 0 where the model is not known."""
    each = _FOUR_BITS if all(patient.values("load_in_4bit") or [False]) else _SIXTEEN_BITS
    return each * float(patient.facts.get("parameters", 0))


def studies_bytes(patient: Patient) -> float:
    """What a search keeps on disk: the adapters of the best trials, best/, and one that is being written."""
    if patient.definition is None:
        return 0.0
    rank = max((value for value in patient.values("lora_r") if isinstance(value, int)), default=0)
    adapter = rank * _LORA_SHARE * _LORA_BYTES * float(patient.facts.get("parameters", 0))
    return (patient.definition.keep_adapters + 2) * adapter
