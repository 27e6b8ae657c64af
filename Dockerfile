# nmjax on a CPU, for folders and single files. As a user without privileges:
#   docker build -t nmjax .
#   docker run --rm -v "$PWD:/music" nmjax infer track.wav
# A server inside listens on 127.0.0.1 only, so nothing is reachable from outside the container unless you ask for it.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY nmjax nmjax
RUN pip install --no-cache-dir build==1.* && python -m build --wheel --outdir /wheels

FROM python:3.13-slim
RUN useradd --create-home --uid 1000 nmjax
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[dask]" && rm -rf /wheels
USER 1000
WORKDIR /music
ENTRYPOINT ["nmjax"]
CMD ["--help"]
