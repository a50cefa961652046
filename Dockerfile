# avatar-optuna on the CPU; for GPUs: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
FROM python:3.12-slim

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

WORKDIR /app
COPY constraints.txt LICENSE pyproject.toml README.md ./
# torch first and by itself: it is nearly all of the image, and changes least.
RUN grep '^torch==' constraints.txt | xargs pip install --index-url "$TORCH_INDEX"
COPY avatar_optuna ./avatar_optuna
COPY avatar_optuna_python_tasks ./avatar_optuna_python_tasks
RUN pip install --constraint constraints.txt .

# Volumes take the owner of what they cover: the folders are there, and the user's.
RUN useradd --create-home --uid 10001 avatar \
    && install --directory --owner=avatar --mode=0750 /var/lib/avatar/artifacts /var/lib/avatar/cache
USER avatar
ENV AVATAR_ARTIFACTS=/var/lib/avatar/artifacts AVATAR_CACHE=/var/lib/avatar/cache
ENTRYPOINT []
CMD ["avatar-optuna", "--help"]
