# docker build -t riskmodel . && docker run --rm -p 8000:8000 -e RISKMODEL_API_KEYS=desk:<32 random characters> riskmodel
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY riskmodel riskmodel
COPY service service
RUN pip install --no-cache-dir --prefix=/install ".[service]" tzdata

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home riskmodel && install -d -o riskmodel /var/lib/riskmodel
COPY --from=build /install /usr/local
USER riskmodel
WORKDIR /var/lib/riskmodel
ENV PYTHONUNBUFFERED=1
# Compiles and caches the kernels, and proves that the model of the image judges as it must.
RUN python -c "from service.app import create_app; create_app()"
EXPOSE 8000
VOLUME /var/lib/riskmodel
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["uvicorn", "--factory", "service.app:create_app", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", \
     "--timeout-graceful-shutdown", "20", "--backlog", "512"]
