"""Requests and results of the jobs that export a model: merging an adapter into its base, converting the merged model
to GGUF, and publishing it on the Hub. All of them cross the door as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.errors import UsageError

SUMMARY = "merge.json"
MODEL_CARD = "README.md"
PUBLISHED = "published.json"
CONVERTED = "gguf.json"
WORK = ".merging"  # below the output folder, until the result is complete
GGUF_KINDS = ("q8_0", "bf16", "f16", "f32")  # that llama.cpp's converter writes itself
# Settings that hold for one machine alone.
OF_A_MACHINE = ("image_root", "resume_from_checkpoint", "cpu_threads", "dataloader_num_workers")


@dataclass(frozen=True)
class AdapterOrigin:
    """Where an adapter is from, as far as its files say; unknown fields are empty. It may be published: it names models
    and data, and no path.

    ``base`` is a Hub id where ``on_hub``, else a folder's name; ``data`` likewise where ``data_on_hub``. ``settings``
    are those of the fine-tune. Of a study it has the name, its ``trials`` by cause and the values that were
    ``tried`` of the searched settings. ``metrics`` are the adapter's (``eval_cer``, ``holdout_cer`` ...), ``untuned``
    those of its base; ``rows`` are counted by split.
    """

    base: str = ""
    on_hub: bool = False
    data: str = ""
    data_on_hub: bool = False
    study: str = ""
    trial: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    trials: Mapping[str, int] = field(default_factory=dict)
    tried: Mapping[str, list[Any]] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    untuned: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MergeRequest:
    """The adapter's folder, the folder for the merged model, the number format it is saved in, pictures that the
    models are compared on, and where the adapter is from."""

    lora_dir: str
    output_dir: str
    precision: str = "bf16"
    pictures: tuple[str, ...] = ()
    force: bool = False
    origin: AdapterOrigin = AdapterOrigin()

    @staticmethod
    def from_settings(settings: Mapping[str, Any]) -> MergeRequest:
        """Decode the result of ``asdict`` after it crossed the door."""
        origin = AdapterOrigin(**settings.get("origin", {}))
        return MergeRequest(**{**settings, "pictures": tuple(settings["pictures"]), "origin": origin})


def refuse_adapter(adapter: Path) -> None:
    """Refuse a folder that holds no adapter.

    Raises:
        UsageError: it lacks its configuration, or weights in the one format that holds nothing that could be run.
    """
    needed = ("adapter_config.json", "*.safetensors")
    missing = next((pattern for pattern in needed if not any(adapter.glob(pattern))), None)
    if missing:
        inside = [path for path in (adapter / "adapter", adapter / "best") if (path / needed[0]).is_file()]
        remedy = f"name {inside[0]}" if inside else "name one as studies/NAME/best, or .../adapter"
        raise UsageError(f"an adapter's folder has {missing}, but {adapter} has none", remedy)


def made_by_merge(target: Path) -> set[str]:
    """List the files that an earlier merge wrote into a folder."""
    try:
        return {SUMMARY, *json.loads((target / SUMMARY).read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def refuse_strange(target: Path, force: bool) -> None:
    """Refuse a folder that is not empty, unless an earlier merged model in it may be replaced.

    Raises:
        UsageError: it holds something else.
    """
    there = sorted(path.name for path in target.iterdir() if path.name != WORK) if target.is_dir() else []
    made = made_by_merge(target)
    if there and not (force and set(there) <= made):
        strange = [name for name in there if name not in made]
        more = "" if strange else ", or replace the merged model with --force"
        raise UsageError(
            f"merge writes into a new or empty folder, but {target} holds {', '.join((strange or there)[:3])}",
            f"choose another --output-dir{more}",
        )


@dataclass(frozen=True)
class PublishRequest:
    """A merged model's folder, the Hub's repository for it (OWNER/NAME) and whether that is private where it is made.
    ``only_ask``: only check whether it could be sent."""

    folder: str
    repo: str
    private: bool = True
    only_ask: bool = False


@dataclass(frozen=True)
class PublishedModel:
    """A model on the Hub: the repository's page, the commit, and the number of files and bytes."""

    url: str
    private: bool
    commit: str = ""
    files: int = 0
    bytes: int = 0

    def to_json(self) -> str:
        """Encode as one JSON object."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True)
class GgufRequest:
    """A merged model's folder, the number format of its GGUF file, the folder of llama.cpp and the Python that runs its
    converter ("": the one that runs the job). ``only_ask``: only check whether it could be done."""

    folder: str
    kind: str
    llama_cpp: str
    python: str = ""
    only_ask: bool = False


@dataclass(frozen=True)
class GgufFile:
    """A file that llama.cpp's converter wrote. ``compared`` counts those of its ``matrices`` that were compared with
    the merged model's; ``apart`` is the greatest norm of a difference, as a share of the matrix's own. ``kinds`` are
    number formats of matrices, by llama.cpp's names. ``lacking`` counts the layers that it declares and does not
    hold."""

    name: str
    bytes: int
    architecture: str
    kinds: tuple[str, ...]
    tensors: int
    matrices: int
    compared: int
    apart: float
    lacking: int = 0


@dataclass(frozen=True)
class Gguf:
    """A merged model for llama.cpp: the file of the language model in a number format, and that of the vision part.
    ``options`` are those of llama-server for the size of pictures."""

    kind: str
    model: GgufFile
    mmproj: GgufFile
    options: tuple[str, ...] = ()

    @staticmethod
    def of(fields: Mapping[str, Any]) -> Gguf:
        """Decode the result of ``asdict``."""
        files = {
            name: GgufFile(**{**fields[name], "kinds": tuple(fields[name]["kinds"])}) for name in ("model", "mmproj")
        }
        return Gguf(fields["kind"], **files, options=tuple(fields.get("options", ())))

    def serving(self, tokens: int) -> str:
        """Join the options of llama-server; ``tokens`` is the limit for image, question and answer, 0 for none."""
        return " ".join((*(("-c", str(tokens)) if tokens else ()), *self.options, "--jinja"))


@dataclass(frozen=True)
class Reading:
    """The texts of a picture by the base, with the adapter, and by the merged model."""

    picture: str
    base: str
    adapter: str
    merged: str


@dataclass(frozen=True)
class MergedModel:
    """A merged model. ``apart`` is the distance of its logits from the adapter's, as a share of the distance of the
    base's: 0 is the adapter, 1 as far as the base. ``bytes`` are those of its ``files``. ``adapter`` is a digest of the
    merged adapter."""

    base: str
    family: str
    precision: str
    apart: float
    bytes: int
    tokens: int
    readings: tuple[Reading, ...]
    files: tuple[str, ...] = ()
    adapter: str = ""
    origin: AdapterOrigin = AdapterOrigin()
    gguf: tuple[Gguf, ...] = ()

    def to_json(self) -> str:
        """Encode as one JSON object, indented for people."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> MergedModel:
        """Decode the result of ``to_json``."""
        fields = json.loads(text)
        return MergedModel(
            **{
                **fields,
                "readings": tuple(Reading(**reading) for reading in fields["readings"]),
                "files": tuple(fields["files"]),
                "origin": AdapterOrigin(**fields.get("origin", {})),
                "gguf": tuple(map(Gguf.of, fields.get("gguf", ()))),
            }
        )


def public_name(name: str, on_hub: bool) -> str:
    """Return a name of a model or data for others: a Hub id, asset:NAME, or the last part of a path."""
    return name if on_hub or name.startswith(PREFIX) else Path(name).name


def public_settings(settings: Mapping[str, Any], base: str, data: str) -> dict[str, Any]:
    """Return a fine-tune's settings with the public names of its base and data, without those of one machine."""
    named = {**settings, "model_name": base, "input_data": data}
    return {name: value for name, value in named.items() if name in settings and name not in OF_A_MACHINE}


def adapter_digest(folder: Path) -> str:
    """Compute a digest of an adapter's configuration and weights; empty where it has none."""
    digest = hashlib.sha256()
    paths = [folder / "adapter_config.json", *sorted(folder.glob("*.safetensors"))]
    for path in paths:
        if path.is_file():
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest() if len(paths) > 1 else ""
