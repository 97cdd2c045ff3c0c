# hpsearch in two sizes: `search` shows and analyses studies, `train` also fine-tunes. docker-compose.yml builds both.
FROM python:3.11-slim-trixie AS source
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY hpsearch hpsearch
COPY studies studies
COPY search_spaces search_spaces
# Any user may be given to a container, so the folder of caches is everyone's, like /tmp.
RUN useradd --uid 1000 --home-dir /cache --no-create-home hpsearch && mkdir --mode 1777 /cache
ENV HOME=/cache USER=hpsearch HF_HOME=/cache/huggingface PYTHONUNBUFFERED=1
CMD ["hpsearch", "--help"]

FROM source AS search
RUN --mount=type=cache,target=/root/.cache/pip HOME=/root pip install -c constraints.txt ".[postgres]"
WORKDIR /work
USER hpsearch

FROM source AS train
# On a GPU, triton (beneath torch) compiles what it launches kernels with.
RUN apt-get -qq update && apt-get -qq install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
# Of torch, the package index has the CUDA build; another index may have the small one for CPUs.
ARG PIP_EXTRA_INDEX_URL=""
RUN --mount=type=cache,target=/root/.cache/pip HOME=/root pip install -c constraints.txt ".[train,tracking,postgres]"
WORKDIR /work
USER hpsearch
