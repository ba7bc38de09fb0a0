"""The build. Beam workers take it with ``--setup_file ./setup.py``."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "causalprint" / "__init__.py").read_text())

setup(
    name="causalprint",
    version=VERSION.group(1) if VERSION else "0",
    description="Which generative model made each image of a web-scale dataset, with the evidence in Parquet",
    long_description=(HERE / "README.md").read_text() if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["causalprint", "causalprint.*"]),
    package_data={
        "": ["*.md.j2", "*.html.j2", "*.css", "photographs.yaml"],
        "causalprint": ["py.typed"],
        "causalprint.models": [
            "recipes/*.yaml",
            *(f"weights/**/*.{suffix}" for suffix in ("json", "onnx", "parquet", "safetensors", "md", "txt")),
        ],
    },
    install_requires=[
        "apache-beam>=2.76",
        "c2pa-python>=0.38",
        "diffusers>=0.42,<0.43",
        "duckdb>=2",
        "fsspec>=2025.9",
        "gcsfs>=2025.9",
        "google-crc32c>=1.7",
        "huggingface-hub>=1.0",
        "idna>=3.7",
        "jinja2>=3.1",
        "numpy>=2.0,<2.5",
        "onnxruntime>=1.24",
        "pandas>=2.2",
        "pillow>=12.3,<13",
        "prometheus-client>=0.22",
        "publicsuffixlist>=1.1",
        "pyarrow>=21,<26",
        "pyyaml>=6",
        "rich>=14",
        "s3fs>=2025.9",
        "safetensors>=0.6",
        "scikit-learn>=1.7",
        "scipy>=1.15",
        "threadpoolctl>=3.5",
        "torch>=2.8",
        "typer>=0.20",
        "zstandard>=0.23",
    ],
    extras_require={
        "compare": [
            "faiss-cpu>=1.13",
            "matplotlib>=3.10",
            "onnx>=1.20",
            "scikit-image>=0.26",
            "transformers>=5",
        ],
        "lineage": ["openlineage-python>=1.40"],
        "publish": ["pyiceberg[pyarrow]>=0.10"],
        "sign": ["rfc3161-client>=1.0.5", "securesystemslib[crypto]>=1.3"],
        "dataflow": ["apache-beam[gcp]>=2.76"],
        "test": [
            "cryptography>=46",
            "gcp-storage-emulator>=2026.7",
            "hypothesis>=6.150",
            "import-linter>=2.10",
            "mlcroissant>=1.1",
            "moto[s3,server]>=5.2",
            "mypy>=2.4",
            "pandas-stubs>=2.2",
            "polars>=2",
            "protobuf>=5.29",
            "pyiceberg[sql-sqlite]>=0.10",
            "pytest>=9",
            "pytest-timeout>=2.4",
            "pytest-xdist>=3.8",
            "ruff>=0.17",
        ],
        "demo": ["matplotlib>=3.10", "scikit-image>=0.26"],
    },
    entry_points={
        "console_scripts": [
            "causalprint = causalprint.__main__:main",
            "causalprint-worker = causalprint.pipelines.engine_worker:main",
        ]
    },
)
