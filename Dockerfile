# causalprint on a CPU; docs/deploy says how the same image serves the workers of Flink and Spark. For a GPU, take a base image that has torch with CUDA, and leave out the line that installs torch.
FROM python:3.11-slim

WORKDIR /opt/causalprint
COPY setup.py pyproject.toml constraints.txt README.md LICENSE ./
COPY causalprint causalprint
COPY schemas schemas
COPY models models
COPY transforms transforms
COPY pipelines pipelines
COPY research research

RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir --constraint constraints.txt '.[compare,demo]'

RUN useradd --create-home auditor
USER auditor
WORKDIR /home/auditor
ENTRYPOINT ["causalprint"]
CMD ["--help"]
