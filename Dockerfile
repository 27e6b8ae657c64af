# nmjax on a CPU, for single files, folders and the studio. As a user without privileges:
#   docker build -t nmjax .
#   docker run --rm -v "$PWD:/music" nmjax infer track.wav
#   docker run --rm -v "$PWD:/music" --network host nmjax studio --no-browser track.wav
# The studio listens on 127.0.0.1 only: with `--network host` (Linux) the same computer reaches it, and nobody else.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY nmjax nmjax
RUN pip install --no-cache-dir build==1.* && python -m build --wheel --outdir /wheels

FROM python:3.13-slim
RUN useradd --create-home --uid 1000 nmjax
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[dask,studio]" && rm -rf /wheels
USER 1000
WORKDIR /music
ENTRYPOINT ["nmjax"]
CMD ["--help"]
