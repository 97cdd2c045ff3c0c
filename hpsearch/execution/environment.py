"""The environment of a job's program: a listed part of the runner's, never all of it.

A program gets the variables for libraries, devices, caches, certificates and proxies, those that ``env_pass`` names,
and those that hpsearch sets itself. It never gets hpsearch's own variables (the storage's address may hold a password)
nor Postgres's; and a variable that looks like a secret, by its name or by its value (a token, or a URL with user or
password), only if ``env_pass`` names it in full.
The token of the Hugging Face Hub is for the jobs that download or upload: trials run offline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

ALLOWED = (
    # The shell and the interpreter
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TMP", "TEMP",
    "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR",
    "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_EXE", "CONDA_PYTHON_EXE", "CONDA_SHLVL",
    "PYTHONPATH", "PYTHONHOME", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONMALLOC",
    "PYTHONFAULTHANDLER", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONNOUSERSITE", "PYTHONSAFEPATH",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH", "CPATH", "CC", "CXX", "MALLOC_*",
    # Devices and computation
    "CUDA_*", "CUDNN_*", "CUBLAS_*", "NVIDIA_*", "NCCL_*", "GLOO_*", "UCX_*", "HIP_*", "HSA_*", "ROCR_*", "ROCM_*",
    "OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "NUMEXPR_*",
    "TORCH_*", "TORCHINDUCTOR_*", "TORCHDYNAMO_*", "PYTORCH_*", "TRITON_*",
    "ACCELERATE_*", "FSDP_*", "DEEPSPEED_*", "DS_*", "BNB_*", "BITSANDBYTES_*", "UNSLOTH_*", "XFORMERS_*", "FLASH_*",
    # Models and data
    "HF_*", "HUGGINGFACE_*", "TRANSFORMERS_*", "DATASETS_*", "SAFETENSORS_*", "TOKENIZERS_*",
    # The network
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
)  # fmt: skip

# Not even if env_pass names them.
_NEVER = ("HPSEARCH_*", "PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE")

# Kinds of jobs that use the network.
ONLINE = ("survey", "preflight", "prepare", "ocr", "stats", "join", "merge", "publish", "doctor")
# Allowed to them although they are, or may hold, secrets: they download models and data, or upload a model.
_FOR_PREPARE = (
    "HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_ENDPOINT",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
)  # fmt: skip

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:TOKENS?|TOK|JWT|PAT|BEARER|OAUTH|SECRETS?|PASSWORDS?|PASSWD|PASSCODE|PASS|PASSPHRASE|PWD|CREDS?"
    r"|CREDENTIALS?|AUTH|AUTHORIZATION|COOKIES?|KEYS?|SIGNATURE|SAS|DSN)(?:_|$)"
    r"|APIKEY|API_?TOKEN|ACCESS_?KEY|PRIVATE_?KEY|SECRET|PASSWORD",
    re.IGNORECASE,
)
_PARAMETER = r"[?&](?i:[\w.-]*(?:password|passwd|token|secret|key|signature|sig|auth|credential))=[^&\s\"'\\]+"
_USER_IN_URL = r"(?<=://)[^/\s@\"'\\]+(?=@)"
_SECRET_IN_URL = re.compile(rf"{_USER_IN_URL}|{_PARAMETER}|^[^/\s@]+:[^/\s@]*@")
# Tokens as their issuers make them: Hugging Face, GitHub, GitLab, OpenAI and others with "sk-", AWS, Slack, Google,
# NVIDIA, Groq, Replicate, Docker, npm, PyPI; JSON Web Tokens; private keys.
_SHAPES = (
    r"(?<![A-Za-z0-9/_-])(?:(?:hf|api_org|gh[oprsu]|gsk|r8|npm)_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|sk-[\w-]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abeoprs]-[\w-]{10,}|AIza[\w-]{30,}|ya29\.[\w-]{16,}"
    r"|nvapi-[\w-]{16,}|dckr_pat_[\w-]{16,}|pypi-[\w-]{16,}|eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:(?:\s|\\[nr])*[A-Za-z0-9+/=]{16,})*"
)
_KNOWN = re.compile(_SHAPES)
_SECRET_TEXT = re.compile(rf"{_USER_IN_URL}|{_PARAMETER}|{_SHAPES}")
# Numbers of devices, in CUDA_VISIBLE_DEVICES.
_UUID = re.compile(r"(?:GPU-|MIG-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# One word that no person wrote: 32 or more hexadecimal digits, or 24 or more characters, small, capital and digits.
_RANDOM_WORD = re.compile(
    r"(?:[0-9a-f]{32,}|[0-9A-F]{32,}|(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=\D*\d)[A-Za-z0-9_.~+-]{24,}={0,2})"
)
WITHHELD = "(withheld)"

# Names whose absence could surprise: of tools that training programs read, beside everything that looks like a secret.
_INTERESTING = (
    "AWS_*", "AZURE_*", "GOOGLE_*", "GCP_*", "GCS_*", "S3_*", "MLFLOW_*", "WANDB_*", "COMET_*", "NEPTUNE_*",
    "CLEARML_*", "OPENAI_*", "ANTHROPIC_*", "HUGGING_*", "KAGGLE_*", "MODELSCOPE_*", "PG*", "DATABASE_*",
    "*_DATABASE_URL", "HPSEARCH_STORAGE*", "RAY_*", "SLURM_*", "MASTER_*", "WORLD_SIZE", "RANK", "LOCAL_RANK",
    "TF_CONFIG", "JAX_*", "XLA_*",
)  # fmt: skip

_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

# Several trials at once on one CPU slow each other down by far more than their number when each uses every core.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def build_environment(
    source: Mapping[str, str], env_pass: Sequence[str], *, kind: str, extra: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    """Choose a job's environment from ``source``; returns it, and the names of withheld variables that might be missed.

    ``env_pass`` holds names, or patterns with ``*`` which do not let secrets through. ``kind`` is the job's. ``extra``
    overrides all others.
    """
    passed = {name: value for name, value in source.items() if _may_pass(name, value, env_pass, kind)}
    may_be_missed = (*ALLOWED, *_INTERESTING, *env_pass)
    withheld = sorted(
        name
        for name in source
        if name not in passed
        and name not in ("PWD", "OLDPWD")
        and (_matches(name, may_be_missed) or _SECRET_NAME.search(name))
    )
    defaults = {"PYTHONUNBUFFERED": "1"} | (dict.fromkeys(_ONE_THREAD, "1") if not has_gpu() else {})
    forced = {"TOKENIZERS_PARALLELISM": "false"} | (_OFFLINE if kind not in ONLINE else {})
    return {**defaults, **passed, **forced, **(extra or {})}, withheld


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """True if this machine has a GPU's device file: NVIDIA's, or AMD's compute driver's."""
    return any(devices.glob("nvidia[0-9]*")) or (devices / "kfd").exists()


def looks_secret(name: str, value: str) -> bool:
    """Return True for a variable that seems to hold a secret, by its name or its value. Its name lets one that is
    listed in full pass with any value but a URL with user or password: a path may look like a token."""
    if _SECRET_NAME.search(name) or _SECRET_IN_URL.search(value):
        return True
    if name.lower().endswith("_proxy") and "@" in value:
        return True
    return name not in ALLOWED and bool(_KNOWN.search(value) or _RANDOM_WORD.fullmatch(_UUID.sub("", value)))


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` with "(withheld)" in the place of these secrets and of all that has the form of a known token,
    or of a user or password in a URL."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, WITHHELD)
    return _SECRET_TEXT.sub(WITHHELD, text)


def _may_pass(name: str, value: str, env_pass: Sequence[str], kind: str) -> bool:
    if _matches(name, _NEVER):
        return False
    if name in env_pass or (kind in ONLINE and name in _FOR_PREPARE):
        return True
    return _matches(name, (*ALLOWED, *env_pass)) and not looks_secret(name, value)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return _any_of(patterns).match(name) is not None


@lru_cache(maxsize=16)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Compile the patterns, of which there is at least one, into one: each job matches some hundred names."""
    return re.compile("|".join(map(translate, patterns)))
